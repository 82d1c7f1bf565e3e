"""Things that stood in real collections, each through the whole reading of a source."""

import os
import struct
import sys
import zlib

import pytest

from archives import pairs, picture, write_tar
from vestige.data import open_source
from vestige.data.check import check
from vestige.data.media import LARGEST_PICTURE, decode_picture
from vestige.errors import VestigeError
from vestige.samples import Modality


def flat_png(width: int, height: int) -> bytes:
    """A white PNG of one bit a pixel, written without holding its pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(1)
    row = b"\0" + b"\xff" * ((width + 7) // 8)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_pictures_of_a_hundred_megapixels(tmp_path):
    assert LARGEST_PICTURE > 100_000_000
    large, bomb = flat_png(10_000, 10_000), flat_png(13_000, 13_000)
    assert len(bomb) < 2_000_000
    files = {"a.png": large, "b.png": bomb, "a.txt": b"large", "b.txt": b"a bomb"}
    found = check(open_source(f"webdataset:{write_tar(tmp_path / 'x.tar', files)}")).looked_at
    assert found.media == {"image": 1}
    (trouble,) = found.undecodable.examples
    assert trouble == ("b", "image: 13000x13000 pixels are more than 150,000,000")


def test_empty_and_mislabelled_files_in_a_folder(tmp_path):
    for name, data in (
        ("empty", b""),
        ("webp", picture(0, "WEBP")),
        ("html", b"<html>gone</html>"),
        ("ok", picture(1)),
    ):
        (tmp_path / f"{name}.jpg").write_bytes(data)
        (tmp_path / f"{name}.txt").write_text(f"of {name}")
    found = check(open_source(f"folder:{tmp_path}"))
    assert found.samples == 4
    assert found.looked_at.media == {"image": 2}
    assert {key for key, _ in found.looked_at.undecodable.examples} == {"empty", "html"}


def test_captions_that_are_not_utf8(tmp_path):
    (tmp_path / "a.png").write_bytes(picture(0))
    (tmp_path / "t.csv").write_bytes(b"filepath\ttitle\na.png\tcaf\xe9\nb.png\tfine\n")
    with pytest.raises(VestigeError, match=r"not UTF-8 \(byte 24\)"):
        open_source(f"csv:{tmp_path / 't.csv'}")
    found = check(open_source(f"csv:{tmp_path / 't.csv'}", undecodable="skip"))
    assert (found.samples, found.skipped.examples) == (1, (("line 2", "the bytes are not utf-8"),))


def test_dots_in_names(tmp_path):
    names = ("a.b.jpg", "a.c.jpg", "v1.0/d.e.f.jpg")
    for number, name in enumerate(names):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture(number, "JPEG"))
        path.with_suffix(".txt").write_text(f"caption {number}")
    source = open_source(f"folder:{tmp_path}")
    assert {sample.key: sample.captions for sample in source.samples(source.keys())} == {
        "a.b": ("caption 0",),
        "a.c": ("caption 1",),
        "v1.0/d.e.f": ("caption 2",),
    }


def test_keys_repeated_across_shards(tmp_path):
    for shard in range(2):
        write_tar(tmp_path / f"{shard}.tar", pairs("a", "b", first=2 * shard))
    source = open_source(f"webdataset:{tmp_path}")
    assert list(source.keys()) == ["0/a", "0/b", "1/a", "1/b"]
    pictures = [decode_picture(sample.media[Modality.IMAGE]).tobytes() for sample in source.samples(source.keys())]
    assert len(set(pictures)) == 4


@pytest.mark.skipif(sys.platform == "win32", reason="pipes there are no files")
def test_pipes_and_devices_in_a_table(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "t.csv").write_text("filepath\ttitle\npipe.jpg\tone\n/dev/zero\ttwo\n../../nowhere.jpg\tthree\n")
    found = check(open_source(f"csv:{tmp_path / 't.csv'}")).looked_at
    assert found.media == {}
    assert found.undecodable.count == 3
