"""A folder of pictures with captions."""

import os

import pytest

from vestige.data import Source, open_source
from vestige.errors import VestigeError
from vestige.samples import Modality


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


def test_files_of_one_name_are_one_sample(tmp_path):
    files = {
        "a.b.png": b"p",
        "a.b.wav": b"w",
        "a.b.txt": b"one\ntwo\n",
        "a.b.json": b'{"caption": "three", "label": "cat", "objects": ["ear", "tail"]}',
        "c/d.MP4": b"m",
        "c/d.txt": b"film",
        "notes.md": b"#",
        ".hidden.png": b"h",
    }
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    source = open_source(f"folder:{tmp_path}")
    first, second = source.samples(["a.b", "c/d"])
    assert list(source.keys()) == ["a.b", "c/d"]
    assert first.media == {Modality.IMAGE: tmp_path / "a.b.png", Modality.AUDIO: tmp_path / "a.b.wav"}
    assert (first.captions, first.label, first.objects) == (("one", "two", "three"), "cat", ("ear", "tail"))
    assert second.media == {Modality.VIDEO: tmp_path / "c" / "d.MP4"}


def test_texts_alone_and_media_without_captions(tmp_path):
    for name in ("texts", "media"):
        (tmp_path / name).mkdir()
    for number in range(2):
        (tmp_path / "texts" / f"{number}.txt").write_text(f"text {number}")
        (tmp_path / "media" / f"{number}.png").write_bytes(b"p")
        (tmp_path / "media" / f"{number}.wav").write_bytes(b"w")
    texts = open_source(f"folder:{tmp_path / 'texts'}")
    assert [(sample.captions, sample.media) for sample in texts.samples(texts.keys())] == [
        (("text 0",), {}),
        (("text 1",), {}),
    ]
    media = open_source(f"folder:{tmp_path / 'media'}")
    assert [len(sample.media) for sample in media.samples(media.keys())] == [2, 2]


def test_what_is_left_out_is_listed(make_folder):
    folder = make_folder(3)
    (folder / "0001.txt").unlink()
    (folder / "alone.txt").write_text("no picture")
    source = open_source(f"folder:{folder}", missing_captions="skip")
    assert dict(source.skipped()) == {"0001": "no caption", "alone": "no picture, sound or film beside txt"}


def test_links_that_lead_out_of_the_folder(make_folder, tmp_path):
    folder, outside = make_folder(2), make_folder(3, name="outside", first=7)
    (folder / "secret.png").symlink_to(outside / "0007.png")
    (folder / "secret.txt").symlink_to(outside / "0007.txt")
    (folder / "more").symlink_to(outside)
    (folder / "gone.png").symlink_to(tmp_path / "nothing")
    (folder / "again.png").symlink_to(folder / "0000.png")
    (folder / "again.txt").symlink_to("0000.txt")
    source = open_source(f"folder:{folder}")
    assert list(source.keys()) == ["0000", "0001", "again"]
    assert dict(source.skipped()) == {
        "gone.png": "a link to a folder, or to nothing",
        "more": "a link to a folder, or to nothing",
        "secret.png": "a link that leads out of the folder",
        "secret.txt": "a link that leads out of the folder",
    }
    assert "secret" in open_source(f"folder:{folder}", links="follow").keys()


def test_names_that_cannot_be_shown(make_folder):
    folder = make_folder(1)
    (folder / "0000.png").rename(folder / "a\nb.png")
    (folder / "0000.txt").rename(folder / "a\nb.txt")
    (make_folder(1, name="x") / "0000.png").rename(folder / os.fsdecode(b"caf\xe9.png"))
    (folder / os.fsdecode(b"caf\xe9.txt")).write_text("coffee")
    source = open_source(f"folder:{folder}")
    assert list(source.keys()) == ["a\\x0ab", "caf\\xe9"]
    assert all(sample.media[Modality.IMAGE].is_file() for sample in source.samples(source.keys()))


@pytest.mark.parametrize(
    ("data", "said"), [(b"[]", "holds a JSON list"), (b"{", "is not JSON"), (b'{"caption": {}}', "not a text")]
)
def test_records_that_are_none(make_folder, data, said):
    folder = make_folder(1)
    (folder / "0000.json").write_bytes(data)
    with pytest.raises(VestigeError, match=said):
        open_source(f"folder:{folder}")
