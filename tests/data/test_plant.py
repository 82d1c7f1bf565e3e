"""Planted wrong captions: all wrong, all recorded."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vestige.data import open_source
from vestige.data.plant import ExchangedCaptions, exchange_captions
from vestige.data.subset import Subset
from vestige.errors import VestigeError


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
    assert len(planted.donor) == count
    assert sorted(planted.donor) == sorted(planted.donor.values())
    for key, donor in planted.donor.items():
        own, other = keys.index(key), keys.index(donor)
        assert groups[own] != groups[other]
        assert planted.captions[key] == captions[other] != captions[own]
        assert planted.original[key] == captions[own]


def test_plants_where_it_can():
    keys = [str(number) for number in range(200)]
    planted = exchange_captions(keys, keys, [(key,) for key in keys], count=20, seed=1)
    assert len(planted.donor) == 20
    assert planted != exchange_captions(keys, keys, [(key,) for key in keys], count=20, seed=2)


def test_record_round_trips_and_applies(make_folder, tmp_path):
    source = open_source(f"folder:{make_folder(6)}")
    samples = list(source.samples(source.keys()))
    planted = exchange_captions(
        source.keys(), [sample.group for sample in samples], [sample.captions for sample in samples], count=3, seed=0
    )
    planted.save(tmp_path / "planted.parquet")
    assert ExchangedCaptions.load(tmp_path / "planted.parquet") == planted
    applied = planted.apply(Subset(source, ["0005", "0001", "0000"]))
    assert (len(applied), list(applied.keys())) == (3, ["0005", "0001", "0000"])
    for sample, before in zip(planted.apply(source).samples(source.keys()), samples, strict=True):
        assert sample.captions == planted.captions.get(sample.key, before.captions)
        assert sample.media == before.media


def test_nothing_planted_is_recorded_too(tmp_path):
    exchange_captions([], [], [], count=0, seed=0).save(tmp_path / "planted.parquet")
    assert ExchangedCaptions.load(tmp_path / "planted.parquet") == ExchangedCaptions({}, {}, {})


@pytest.mark.parametrize(("count", "captions"), [(1, "ab"), (3, "ab"), (2, "aa")])
def test_what_cannot_be_exchanged(count, captions):
    with pytest.raises(VestigeError, match=r"plant\.captions"):
        exchange_captions(["1", "2"], ["1", "2"], [(text,) for text in captions], count=count, seed=0)
