"""CC3M and YFCC tables in their publishers' layouts, with pictures under the names that downloaders give them."""

import hashlib
import json
import zlib
from pathlib import Path

import pytest

from vestige.data import Skipping, Source, open_source
from vestige.errors import VestigeError
from vestige.samples import Modality

URLS = [f"https://pictures.example/{name}?size=2" for name in ("a/cat.v2.jpg", "b/dog.jpg", "c/10.png", "d/cat.v2.jpg")]
CAPTIONS = ['a "cat', "a dog", "the number ten", "another cat"]


def cc3m(folder: Path, end: str = "\n", header: str = "") -> str:
    rows = [f"{caption}\t{url}" for caption, url in zip(CAPTIONS, URLS, strict=True)]
    path = folder / "Train_GCC-training.tsv"
    path.write_text(header + end.join(rows) + end, encoding="utf-8", newline="")
    return f"tsv:{path}"


def touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def opened(spec: str, **options: str) -> Skipping:
    source = open_source(spec, **options)
    assert isinstance(source, Skipping)
    return source


def refused(spec: str, **options: str) -> str:
    with pytest.raises(VestigeError) as caught:
        open_source(spec, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("header", ["", "caption\turl\n", "\ufeff"])
def test_pictures_numbered_as_img2dataset_does(tmp_path, end, header):
    touch(tmp_path / "out" / "00000" / "000000001.jpg", tmp_path / "out" / "00000" / "000000003.jpg")
    touch(tmp_path / "out" / "00000" / "000000000.txt", tmp_path / "out" / "00000_stats.json")
    source = opened(cc3m(tmp_path, end, header), pictures=str(tmp_path / "out"))
    assert isinstance(source, Source)
    assert list(source.keys()) == ["000000001", "000000003"]
    cat, dog = source.samples(["000000003", "000000001"])
    assert (cat.captions, dog.captions) == (("another cat",), ("a dog",))
    assert (dog.group, dog.media) == (URLS[1], {Modality.IMAGE: tmp_path / "out" / "00000" / "000000001.jpg"})
    absent = "no picture of it in the folder"
    assert source.skipped() == [("000000000", absent), ("000000002", absent)]
    for unknown in ("000000000", "1", "x", "000000009", "9" * 30):
        with pytest.raises(KeyError):
            list(source.samples([unknown]))


def test_pictures_named_after_their_address(tmp_path):
    spec = cc3m(tmp_path)
    names = {
        "md5": lambda url: hashlib.md5(url.encode()).hexdigest() + ".jpg",
        "crc32": lambda url: str(zlib.crc32(url.encode())),
    }
    for naming, name in names.items():
        folder = tmp_path / naming
        touch(folder / name(URLS[0]), folder / name(URLS[2]))
        for options in ({}, {"naming": naming}):
            source = opened(spec, pictures=str(folder), **options)
            assert [sample.captions[0] for sample in source.samples(source.keys())] == [CAPTIONS[0], CAPTIONS[2]]


def test_a_name_that_two_rows_share_is_nobodys(tmp_path):
    touch(*(tmp_path / "p" / name for name in ("cat.v2.jpg", "dog.png")))
    source = opened(cc3m(tmp_path), pictures=str(tmp_path / "p"), naming="basename")
    assert list(source.keys()) == ["000000001"]
    assert dict(source.skipped())["000000000"] == "another row names a picture of the same name"
    touch(tmp_path / "p" / "more" / "dog.jpg", tmp_path / "p" / "10.png")
    source = opened(cc3m(tmp_path), pictures=str(tmp_path / "p"), naming="basename")
    assert dict(source.skipped())["000000001"] == "several pictures in the folder have its name"


def test_pictures_that_are_numbered_otherwise(tmp_path):
    spec = cc3m(tmp_path)
    touch(tmp_path / "000000000.jpg", tmp_path / "000000001.jpg")
    (tmp_path / "000000000.json").write_text(json.dumps({"url": URLS[0]}))
    (tmp_path / "000000001.json").write_text("[")
    assert len(opened(spec)) == 2
    (tmp_path / "000000001.json").write_text(json.dumps({"url": URLS[3]}))
    assert "000000001.jpg is not the picture of row 1" in refused(spec)


PHOTO = "25d44a10e4b3a5e7ed2f7b4b2a4b4a4"


def yfcc(folder: Path, *rows: dict[int, str]) -> str:
    lines = []
    for number, row in enumerate(rows):
        fields = [str(number), str(6_185_218_911 + number), f"{PHOTO}{number}", "39019111@N00", "guckxzs"]
        fields += ["2012-02-16 09:56:37.0", "1331840483", "Canon", f"A+title%21+{number}", "", "tag", "", "", "", ""]
        fields += ["http://www.flickr.com/photos/x/", f"http://farm8.staticflickr.com/7205/{number}_s.jpg", "BY", "l"]
        fields += ["7205", "8", "s", "o", "jpg", "0"]
        for column, value in row.items():
            fields[column] = value
        lines.append("\t".join(fields))
    (folder / "yfcc100m_dataset.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return f"tsv:{folder}"


def test_yfcc(tmp_path):
    description = "He+said+%22hi%22+%3Ca+href%3D%22http%3A%2F%2Fx%22%3Ehere%3C%2Fa%3E%0A+%26amp%3B+went"
    spec = yfcc(tmp_path, {9: description}, {24: "1"}, {8: "", 9: "+"}, {}, {1: "6185218911"})
    touch(*(tmp_path / "data" / "25d" / "44a" / f"{PHOTO}{number}.jpg" for number in range(5)))
    source = opened(spec)
    assert list(source.keys()) == ["6185218911", "6185218914"]
    first, other = source.samples(source.keys())
    assert first.captions == ("A title! 0", 'He said "hi" here & went')
    assert (other.captions, other.group) == (("A title! 3",), "6185218914")
    assert [reason for _, reason in source.skipped()] == [
        "a video, of which there is no picture",
        "no caption",
        "its photo is in the table before",
    ]


def test_yfcc_by_photo_and_the_subset_of_clip(tmp_path):
    (tmp_path / "t").mkdir()
    spec = yfcc(tmp_path / "t", {}, {}, {})
    touch(*(tmp_path / "p" / f"{6_185_218_911 + number}.jpg" for number in range(3)))
    subset = tmp_path / "yfcc100m_subset_data.tsv"
    subset.write_text(f"2\t6185218913\t{PHOTO}2\n0\t6185218911\t{PHOTO}0\n")
    source = opened(spec, pictures=str(tmp_path / "p"), subset=str(subset))
    assert (list(source.keys()), source.skipped()) == (["6185218911", "6185218913"], [])
    subset.write_text("2\t6185218913\n")
    assert "line 1 has 2 fields, a row of it 3" in refused(spec, pictures=str(tmp_path / "p"), subset=str(subset))
    assert "subset: no file" in refused(spec, pictures=str(tmp_path / "p"), subset=str(tmp_path / "none"))
    spec = yfcc(tmp_path / "t", {}, {1: "x"})
    assert "line 2: 'x' is not the number of a photo" in refused(spec, pictures=str(tmp_path / "p"))


def test_tables_that_are_amiss(tmp_path):
    spec = cc3m(tmp_path)
    assert "no row has its picture below" in refused(spec)
    assert "naming is one of number, md5, crc32, basename, not 'sha'" in refused(spec, naming="sha")
    assert "none of 4 rows has its picture" in refused(spec, naming="md5")
    assert "pictures: no folder" in refused(spec, pictures=str(tmp_path / "none"))
    assert "the option subset is for YFCC" in refused(spec, subset="x")
    path = tmp_path / "Train_GCC-training.tsv"
    touch(tmp_path / "0.jpg")
    path.write_text("a\tb\nc\n")
    assert "line 2 has 1 fields, the first line 2" in refused(spec)
    path.write_text("a\tb\tc\n")
    assert "its first line has 3 fields" in refused(spec)
    path.write_bytes(b"")
    assert "its first line has 1 fields" in refused(spec)
    path.write_bytes(b"a\tb\n\xff\tc\n")
    assert "not UTF-8 (byte 4)" in refused(spec)
    assert "no such file" in refused(f"tsv:{tmp_path / 'none'}")
    touch(tmp_path / "other.tsv")
    assert "found Train_GCC-training.tsv, other.tsv: name the file" in refused(f"tsv:{tmp_path}")
