"""A folder of pictures with captions."""

import pytest

from vestige.data import Source, open_source
from vestige.errors import VestigeError


def test_reads_pictures_below_a_folder(make_folder):
    folder = make_folder(3)
    (folder / "deep").mkdir()
    (folder / "0000.png").rename(folder / "deep" / "with.dots.png")
    (folder / "0000.txt").write_text("first\n\n  second \n", encoding="utf-8")
    (folder / "0000.txt").rename(folder / "deep" / "with.dots.txt")
    source = open_source(f"folder:{folder}")
    assert isinstance(source, Source)
    assert list(source.keys()) == ["0001", "0002", "deep/with.dots"]
    assert next(source.samples(["deep/with.dots"])).captions == ("first", "second")


def test_pictures_without_a_caption(make_folder):
    folder = make_folder(3)
    (folder / "0001.txt").unlink()
    (folder / "0002.txt").write_text(" \n", encoding="utf-8")
    with pytest.raises(VestigeError, match="2 of 3 pictures have no caption, the first is '0001'"):
        open_source(f"folder:{folder}")
    assert list(open_source(f"folder:{folder}", missing_captions="skip").keys()) == ["0000"]


def test_two_pictures_of_one_name(make_folder):
    folder = make_folder(1)
    (folder / "0000.jpg").write_bytes((folder / "0000.png").read_bytes())
    with pytest.raises(VestigeError, match="duplicate key '0000'"):
        open_source(f"folder:{folder}")


@pytest.mark.parametrize(("make", "said"), [(False, "no such folder"), (True, "no pictures")])
def test_folders_without_pictures(tmp_path, make, said):
    if make:
        (tmp_path / "x").mkdir()
    with pytest.raises(VestigeError, match=said):
        open_source(f"folder:{tmp_path / 'x'}")


def test_captions_that_are_not_utf8(make_folder):
    folder = make_folder(1)
    (folder / "0000.txt").write_bytes("Hündchen".encode("latin-1"))
    with pytest.raises(VestigeError, match="not UTF-8"):
        open_source(f"folder:{folder}")
