"""One pass over a source: what is unreadable, what belongs together, what is kept."""

import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vestige.data import catalogue as module
from vestige.data import open_source
from vestige.data.builtin.twemoji import Twemoji
from vestige.data.canvases import FreshCanvases, KeptCanvases, PictureCanvas
from vestige.data.catalogue import open_canvases, read_catalogue
from vestige.data.grouping import joined_groups
from vestige.errors import VestigeError
from vestige.samples import Modality, Sample

CANVAS24, CANVAS8 = ({Modality.IMAGE: PictureCanvas(side)} for side in (24, 8))


def test_reads_all_and_lists_what_it_cannot(make_folder, tmp_path):
    folder = make_folder(6)
    (folder / "0001.png").write_bytes(b"")
    (folder / "0004.png").write_bytes((folder / "0004.png").read_bytes()[:60])
    source = open_source(f"folder:{folder}")
    (folder / "0003.png").unlink()
    found = read_catalogue(source, tmp_path / "pass", CANVAS24)
    assert found.keys == ("0000", "0002", "0005")
    assert {key: reason.split(":")[0] for key, reason in found.skipped} == {
        "0001": "the file is empty (0 bytes)",
        "0003": "No such file or directory",
        "0004": "not a readable picture",
    }
    assert found.sizes[Modality.IMAGE].tolist() == [[24, 24]] * 3
    canvases = open_canvases(source, found, tmp_path / "pass", CANVAS24)[Modality.IMAGE].take(np.arange(3))
    for key, canvas in zip(found.keys, canvases, strict=True):
        np.testing.assert_array_equal(canvas.transpose(1, 2, 0), np.asarray(Image.open(folder / f"{key}.png")))


def test_identical_bytes_share_a_group(make_folder, tmp_path):
    folder = make_folder(4)
    shutil.copy(folder / "0000.png", folder / "0003.png")
    found = read_catalogue(open_source(f"folder:{folder}"), tmp_path / "pass", CANVAS8, keep=False)
    assert found.groups == ("0000", "0001", "0002", "0000")


def test_a_pass_is_taken_up_where_it_was(make_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHARD", 2)
    source = open_source(f"folder:{make_folder(7)}")
    whole = read_catalogue(source, tmp_path / "whole", CANVAS8)
    read_catalogue(source, tmp_path / "part", CANVAS8)
    (tmp_path / "part" / "samples-00002.parquet").unlink()
    canvases = np.load(tmp_path / "part" / "canvases-image.npy", mmap_mode="r+")
    canvases[:4], canvases[4:6] = 1, 2
    canvases.flush()
    again = read_catalogue(source, tmp_path / "part", CANVAS8)
    assert (again.keys, again.groups) == (whole.keys, whole.groups)
    redone = np.load(tmp_path / "part" / "canvases-image.npy")
    assert (redone[:4] == 1).all()
    np.testing.assert_array_equal(redone[4:6], np.load(tmp_path / "whole" / "canvases-image.npy")[4:6])


def test_other_samples_are_not_mixed_in(make_folder, tmp_path):
    read_catalogue(open_source(f"folder:{make_folder(3)}"), tmp_path / "pass", CANVAS8)
    with pytest.raises(VestigeError, match="have changed"):
        read_catalogue(open_source(f"folder:{make_folder(4, 'more')}"), tmp_path / "pass", CANVAS8)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=30))
def test_groups_are_joined_as_connected_components(pairs):
    groups = joined_groups([(f"g{group}", f"c{content}") for group, content in pairs])
    # Literal: spread the smallest label along shared groups and contents until nothing changes.
    label = list(range(len(pairs)))
    for _ in pairs:
        for i, (group, content) in enumerate(pairs):
            for j, (other_group, other_content) in enumerate(pairs):
                if group == other_group or content == other_content:
                    label[i] = label[j] = min(label[i], label[j])
    for i in range(len(pairs)):
        for j in range(len(pairs)):
            assert (groups[i] == groups[j]) == (label[i] == label[j])


def test_canvases_that_are_not_kept_are_made_anew_to_the_same_bits(make_folder, tmp_path):
    source = open_source(f"folder:{make_folder(5)}")
    take = np.array([4, 0, 4])
    found = {}
    for keep, kind in ((True, KeptCanvases), (False, FreshCanvases)):
        catalogue = read_catalogue(source, tmp_path / str(keep), CANVAS8, keep=keep)
        canvases = open_canvases(source, catalogue, tmp_path / str(keep), CANVAS8)[Modality.IMAGE]
        assert isinstance(canvases, kind)
        found[keep] = canvases.take(take)
    np.testing.assert_array_equal(found[True], found[False])


def test_twemoji_is_what_it_says():
    source = Twemoji()
    assert len(source) == 3953
    (sample,) = source.samples(["1f44d-1f3fd"])
    assert sample.group == "1f44d"
    assert sample.captions[0] == "thumbs up medium skin tone"
    (aliased,) = source.samples(["1f44d"])
    assert aliased.captions[0] == "thumbs up"
    assert "+1" in aliased.captions
    assert next(Twemoji("de").samples(["1f44d"])).captions == ("daumen hoch",)
    with pytest.raises(VestigeError, match="no captions in language 'xx'; there are: en"):
        Twemoji("xx")


def test_no_more_media_are_held_than_are_worked_on(tmp_path):
    """A shard of films would not fit: samples are asked for as they are decoded."""
    held: list[int] = [0, 0]

    class Counted(bytes):
        def __del__(self) -> None:
            held[0] -= 1

    class Films:
        def __len__(self) -> int:
            return 300

        def keys(self):
            return [f"{number:03d}" for number in range(300)]

        def samples(self, keys):
            for key in keys:
                held[0] += 1
                held[1] = max(held)
                yield Sample(key, key, {Modality.IMAGE: Counted(b"no picture " + key.encode())}, (key,))

    found = read_catalogue(Films(), tmp_path / "pass", CANVAS8)
    assert len(found.skipped) == 300
    assert held[1] <= 100


def test_a_file_that_is_gone_when_it_is_needed_again_is_one_line(make_folder, tmp_path):
    folder = make_folder(3)
    source = open_source(f"folder:{folder}")
    found = read_catalogue(source, tmp_path / "pass", CANVAS8, keep=False)
    (folder / "0001.png").unlink()
    canvases = open_canvases(source, found, tmp_path / "pass", CANVAS8)[Modality.IMAGE]
    with pytest.raises(VestigeError, match=r"'0001': its image could be read and cannot be now: No such file"):
        canvases.take(np.arange(3))
