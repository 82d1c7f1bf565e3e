"""Planted faults: all wrong, all recorded, all undone again."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drawings import draw
from vestige.data import open_source
from vestige.data.grouping import joined_groups
from vestige.data.media import content_of, decode_picture
from vestige.data.memory import SampleList
from vestige.data.plant import (
    Fault,
    FaultCounts,
    Kind,
    Planted,
    copy_samples,
    draw_faults,
    exchange_captions,
    exchange_media,
    flip_labels,
)
from vestige.data.plant.alteration import Alteration, altered
from vestige.data.subset import Subset
from vestige.errors import VestigeError
from vestige.files import write_table
from vestige.samples import Modality, Sample


@settings(deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=25), st.integers(0, 99), st.data()
)
def test_every_exchanged_caption_is_wrong(samples, seed, data):
    keys = [str(number) for number in range(len(samples))]
    groups = [f"g{group}" for group, _ in samples]
    captions = [(f"caption {caption}",) for _, caption in samples]
    count = data.draw(st.integers(2, len(samples)))
    try:
        planted = exchange_captions(keys, groups, captions, count=count, seed=seed)
    except VestigeError:
        return
    assert len(planted.faults) == count
    assert sorted(fault.key for fault in planted.faults) == sorted(fault.donor for fault in planted.faults)
    for fault in planted.faults:
        own, other = keys.index(fault.key), keys.index(fault.donor)
        assert groups[own] != groups[other]
        assert planted.captions[fault.key] == fault.planted == captions[other] != captions[own]
        assert fault.original == captions[own]


def test_plants_where_it_can():
    keys = [str(number) for number in range(200)]
    planted = exchange_captions(keys, keys, [(key,) for key in keys], count=20, seed=1)
    assert len(planted.faults) == 20
    assert planted != exchange_captions(keys, keys, [(key,) for key in keys], count=20, seed=2)


def test_record_round_trips_and_applies(make_folder, tmp_path):
    source = open_source(f"folder:{make_folder(6)}")
    samples = list(source.samples(source.keys()))
    planted = exchange_captions(
        source.keys(), [sample.group for sample in samples], [sample.captions for sample in samples], count=3, seed=0
    )
    planted.save(tmp_path / "planted.parquet")
    assert Planted.load(tmp_path / "planted.parquet") == planted
    applied = planted.apply(Subset(source, ["0005", "0001", "0000"]))
    assert (len(applied), list(applied.keys())) == (3, ["0005", "0001", "0000"])
    for sample, before in zip(planted.apply(source).samples(source.keys()), samples, strict=True):
        assert sample.captions == planted.captions.get(sample.key, before.captions)
        assert sample.media == before.media


def test_nothing_planted_is_recorded_too(tmp_path):
    exchange_captions([], [], [], count=0, seed=0).save(tmp_path / "planted.parquet")
    assert Planted.load(tmp_path / "planted.parquet") == Planted()


@pytest.mark.parametrize(("count", "captions"), [(1, "ab"), (3, "ab"), (2, "aa")])
def test_what_cannot_be_exchanged(count, captions):
    with pytest.raises(VestigeError, match=r"plant\.captions"):
        exchange_captions(["1", "2"], ["1", "2"], [(text,) for text in captions], count=count, seed=0)


@pytest.fixture
def source():
    """Twelve pictures in six groups; every third has a sound, of three classes."""
    samples = []
    for number in range(12):
        media = {Modality.IMAGE: draw(number, side=40)[0]}
        if number % 3 == 0:
            media[Modality.AUDIO] = f"sound {number}".encode()
        label = f"class {number % 3}" if number != 5 else None
        samples.append(Sample(f"k{number}", f"g{number // 2}", media, (f"caption {number}",), label))
    return SampleList(samples)


def everything(source):
    return list(source.samples(source.keys()))


def test_labels_are_wrong(source):
    samples = everything(source)
    planted = flip_labels([s.key for s in samples], [s.label for s in samples], count=11, seed=3)
    for before, after in zip(samples, everything(planted.apply(source)), strict=True):
        assert (after.label is None) == (before.key == "k5")
        if before.label is not None:
            assert after.label in {"class 0", "class 1", "class 2"} - {before.label}
        assert after.captions == before.captions
    # Every other class is met, not the next one alone.
    assert len({(fault.original, fault.planted) for fault in planted.faults}) > 3
    with pytest.raises(VestigeError, match=r"plant\.labels: 12 labels cannot be flipped: 11 candidates have a label"):
        flip_labels([s.key for s in samples], [s.label for s in samples], count=12, seed=3)
    with pytest.raises(VestigeError, match="of 1 classes"):
        flip_labels(["a", "b"], ["x", "x"], count=1, seed=0)


def test_media_are_wrong(source):
    samples = everything(source)
    planted = exchange_media(samples, Modality.AUDIO, count=4, seed=1)
    changed = {sample.key: sample for sample in everything(planted.apply(source))}
    assert {fault.key for fault in planted.faults} == {"k0", "k3", "k6", "k9"}
    for fault in planted.faults:
        assert fault.kind == Kind.AUDIO
        assert changed[fault.key].media[Modality.AUDIO] == f"sound {fault.donor[1:]}".encode()
        assert fault.donor != fault.key
    for before in samples:
        assert changed[before.key].media[Modality.IMAGE] == before.media[Modality.IMAGE]
    with pytest.raises(VestigeError, match=r"plant\.audio: 5 of 4 candidates"):
        exchange_media(samples, Modality.AUDIO, count=5, seed=1)
    with pytest.raises(VestigeError, match=r"plant\.video: 2 of 0 candidates"):
        exchange_media(samples, Modality.VIDEO, count=2, seed=1)
    with pytest.raises(VestigeError, match="text is exchanged as captions"):
        exchange_media(samples, Modality.TEXT, count=2, seed=1)


def grouped(source):
    """The groups after those of byte-identical pictures were joined, as the catalogue does."""
    samples = everything(source)
    return set(joined_groups([(s.group, content_of(s.media[Modality.IMAGE])) for s in samples]))


def test_copies_are_new_samples(source):
    samples = everything(source)
    keys, groups = [s.key for s in samples], [s.group for s in samples]
    planted = copy_samples(keys, groups, count=3, seed=2)
    with_copies = planted.apply(source)
    assert (len(with_copies), len(with_copies.keys()), with_copies.keys()[:12]) == (15, 15, tuple(keys))
    for fault, copy in zip(planted.faults, with_copies.samples(with_copies.keys()[12:]), strict=True):
        original = next(source.samples([fault.donor]))
        assert (copy.key, copy.group) == (f"{fault.donor}~copy1", f"{fault.donor}~copy1")
        assert (copy.captions, copy.media) == (original.captions, original.media)
    together = copy_samples(keys, groups, count=3, seed=2, group="original").apply(source)
    assert {sample.group for sample in together.samples(together.keys()[12:])} <= set(groups)
    # The catalogue finds exact copies, whatever group they claim, and takes near ones for samples of their own.
    assert grouped(with_copies) == set(groups)
    near = copy_samples(keys, groups, count=3, seed=2, near=True).apply(source)
    assert len(grouped(near)) == len(set(groups)) + 3
    with pytest.raises(VestigeError, match="13 copies asked for, of 12 candidates"):
        copy_samples(keys, groups, count=13, seed=2)


def test_copies_need_keys_of_their_own(source):
    twice = copy_samples(["k1"], ["g"], count=1, seed=0, taken=["k1~copy1"])
    assert twice.faults[0].key == "k1~copy2"
    planted = copy_samples(["k1"], ["g"], count=1, seed=0)
    clash = SampleList([Sample("k1", "g"), Sample("k1~copy1", "g")])
    with pytest.raises(VestigeError, match="the data have the key 'k1~copy1'"):
        planted.apply(clash)
    assert list(planted.apply(Subset(source, ["k2"])).keys()) == ["k2"]


@pytest.mark.parametrize(
    "alteration",
    [Alteration(60), Alteration(60, crop=0.1, left=0.5, top=0.25), Alteration(60, right=0.1, down=-0.05)],
)
def test_near_copies_are_nearly_the_picture(alteration):
    picture = draw(3, side=40)[0]
    data = altered(picture, alteration)
    assert data == altered(picture, alteration)
    near = decode_picture(data)
    assert near.size == ((36, 36) if alteration.crop else (40, 40))
    whole = np.asarray(picture, float)
    if alteration.crop:
        whole = whole[1:37, 2:38]
    difference = abs(np.asarray(near, float) - whole).mean()
    assert 0 < difference < (40 if alteration.right else 12)
    if alteration.right:
        assert abs(np.asarray(near, float)[:38, 4:] - whole[2:, :36]).mean() < 12
        assert np.asarray(near)[:, :3].min() > 200
    # What cannot be decoded is the decoder's to list; what is tiny stays a picture.
    assert altered(b"nothing", alteration) == b"nothing"
    assert decode_picture(altered(draw(1, side=1)[0], alteration)).size == (1, 1)


COUNTS = FaultCounts(captions=0.25, labels=2, audio=2, copies=1, near_copies=1)


def test_faults_of_all_kinds_are_undone_again(source, tmp_path):
    samples = everything(source)
    planted = draw_faults(samples, COUNTS, seed=5)
    kinds = [fault.kind for fault in planted.faults]
    wanted = {Kind.CAPTIONS: 3, Kind.LABEL: 2, Kind.AUDIO: 2, Kind.COPY: 1, Kind.NEAR_COPY: 1}
    assert {kind: kinds.count(kind) for kind in kinds} == wanted
    touched = {fault.key.partition("~")[0] for fault in planted.faults}
    assert len(touched) == 9
    planted.save(tmp_path / "planted.parquet")
    assert Planted.load(tmp_path / "planted.parquet") == planted
    assert draw_faults(samples, COUNTS, seed=5) == planted
    assert draw_faults(samples, COUNTS, seed=6) != planted

    faulty = planted.apply(source)
    held = SampleList(everything(faulty))
    changed = {
        before.key for before, after in zip(samples, held.samples(source.keys()), strict=True) if before != after
    }
    assert changed == {fault.key for fault in planted.faults if "~" not in fault.key}
    assert everything(planted.revert(held)) == samples
    assert list(planted.revert(faulty).keys()) == list(source.keys())


def test_what_cannot_be_planted(source):
    samples = everything(source)
    with pytest.raises(VestigeError, match=r"plant\.labels is a share or a number, not -1"):
        draw_faults(samples, FaultCounts(labels=-1), seed=0)
    with pytest.raises(VestigeError, match="of 4 candidates"):
        draw_faults(samples, FaultCounts(captions=8, copies=5), seed=0)
    assert draw_faults([], FaultCounts(), seed=0) == Planted()
    with pytest.raises(VestigeError, match="'k' has 2 faults"):
        Planted((Fault("k", Kind.LABEL), Fault("k", Kind.COPY)))


def test_records_from_before_there_were_kinds(tmp_path):
    path = tmp_path / "planted.parquet"
    write_table(path, pa.table({"key": ["a"], "donor": ["b"], "captions": [["x"]], "original": [["y"]]}))
    assert Planted.load(path) == Planted((Fault("a", Kind.CAPTIONS, "b", ("x",), ("y",)),))
    write_table(path, pa.table({"key": ["a"]}))
    with pytest.raises(VestigeError, match="not a record of planted faults"):
        Planted.load(path)
