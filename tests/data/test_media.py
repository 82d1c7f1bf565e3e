"""Every kind of picture becomes upright 8-bit RGB on white, or a reason."""

import contextlib
import gzip
import io
import os
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vestige.data import media
from vestige.data.media import UnreadableMedia, decode_picture, decode_sized


def as_bytes(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def only(picture: Image.Image) -> tuple[int, ...]:
    assert picture.mode == "RGB"
    (found,) = {tuple(pixel) for pixel in np.asarray(picture).reshape(-1, 3).tolist()}
    return found


@pytest.mark.parametrize(
    ("picture", "colour"),
    [
        (Image.new("RGB", (4, 3), (10, 20, 30)), (10, 20, 30)),
        (Image.new("RGBA", (4, 3), (200, 0, 0, 0)), (255, 255, 255)),
        (Image.new("RGBA", (4, 3), (0, 0, 0, 51)), (204, 204, 204)),
        (Image.new("LA", (4, 3), (0, 0)), (255, 255, 255)),
        (Image.new("L", (4, 3), 77), (77, 77, 77)),
        (Image.new("1", (4, 3), 1), (255, 255, 255)),
        (Image.new("I;16", (4, 3), 65535), (255, 255, 255)),
        (Image.new("I;16", (4, 3), 32768), (128, 128, 128)),
        (Image.new("RGB", (4, 3), (51, 102, 153)).convert("P"), (51, 102, 153)),
    ],
    ids=["rgb", "clear", "fifth", "grey-alpha", "grey", "bit", "16-bit white", "16-bit grey", "palette"],
)
def test_modes(picture, colour):
    assert np.abs(np.subtract(only(decode_picture(as_bytes(picture))), colour)).max() <= 1


def test_sixteen_bits_are_scaled_by_their_range_however_dark():
    dark = Image.fromarray(np.full((4, 3), 200, np.uint16))
    assert only(decode_picture(as_bytes(dark))) == (1, 1, 1)


@pytest.mark.parametrize("mode", ["L", "RGB", "I;16", "1"])
def test_one_clear_colour(mode):
    picture = Image.new(mode, (4, 3), (9, 9, 9) if mode == "RGB" else 0)
    assert only(decode_picture(as_bytes(picture, transparency=(9, 9, 9) if mode == "RGB" else 0))) == (255, 255, 255)


def test_white_below_every_colour_and_every_transparency():
    alpha, value = np.mgrid[:256, :256].astype(np.uint8)
    picture = Image.fromarray(np.stack([value, value, value, alpha], axis=2), "RGBA")
    found = np.asarray(decode_picture(as_bytes(picture)))[..., 0]
    expected = (alpha.astype(float) * value + (255.0 - alpha) * 255) / 255
    assert np.abs(found - expected).max() <= 0.5 + 1e-9


def test_palette_with_transparency():
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([200, 0, 0] + [0] * 765)
    assert only(decode_picture(as_bytes(picture, transparency=0))) == (255, 255, 255)


def test_cmyk_jpeg():
    assert np.abs(np.subtract(only(decode_picture(as_bytes(Image.new("CMYK", (8, 8)), "JPEG"))), 255)).max() <= 2


def test_exif_turns_the_picture():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode_picture(as_bytes(Image.new("RGB", (10, 4)), "JPEG", exif=exif)).size == (4, 10)


def test_animations_give_their_first_frame():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    assert only(decode_picture(as_bytes(frames[0], "GIF", save_all=True, append_images=frames[1:]))) == (255, 0, 0)


def test_a_picture_already_decoded_is_taken_as_it_is():
    assert only(decode_picture(Image.new("RGBA", (2, 2), (0, 0, 0, 0)))) == (255, 255, 255)


NOISE = Image.effect_noise((64, 64), 90)


def bomb(width: int, height: int) -> bytes:
    """A PNG that promises more pixels than it holds."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"not a picture", "not a readable picture"),
        (as_bytes(Image.effect_noise((64, 64), 90))[:900], "not a readable picture"),
        (as_bytes(NOISE, "JPEG")[:900], "truncated"),
        (as_bytes(NOISE, "JPEG", progressive=True)[:900], "truncated"),
        (as_bytes(NOISE, "WEBP")[:900], "not a readable picture"),
        (bomb(20_000, 20_000), "exceeds limit"),
        (bomb(12_500, 12_500), "pixels are more than"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        (gzip.compress(b"<svg/>"), "an SVG drawing or a compressed file"),
        (b"\n<!DOCTYPE html><title>Not found</title>", "an HTML page"),
        (b"%PDF-1.7", "PostScript or PDF"),
        (as_bytes(Image.new("RGB", (9, 9)), "EPS"), "PostScript or PDF"),
    ],
    ids=[
        *("empty", "text", "cut png", "cut jpeg", "cut progressive jpeg", "cut webp", "bomb", "small bomb"),
        *("svg", "svgz", "html", "pdf", "eps"),
    ],
)
def test_what_is_not_a_picture_says_why(data, said):
    with pytest.raises(UnreadableMedia, match=said):
        decode_picture(data)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(UnreadableMedia, match="No such file"):
        decode_picture(tmp_path / "none.png")
    with pytest.raises(UnreadableMedia, match="directory"):
        decode_picture(tmp_path)
    (tmp_path / "empty.png").touch()
    with pytest.raises(UnreadableMedia, match="empty"):
        decode_picture(tmp_path / "empty.png")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UnreadableMedia, match="a pipe or a device"):
        decode_picture(tmp_path / "pipe.png")
    with pytest.raises(UnreadableMedia, match="null"):
        decode_picture(tmp_path / "a\0b.png")


def test_names_say_nothing(tmp_path):
    (tmp_path / "picture.gif").write_bytes(as_bytes(Image.new("RGB", (4, 3), (10, 20, 30)), "PNG"))
    assert only(decode_picture(tmp_path / "picture.gif")) == (10, 20, 30)


def test_no_program_is_started_for_postscript(monkeypatch):
    def start(*arguments, **options):
        raise AssertionError(arguments)

    monkeypatch.setattr("subprocess.Popen", start)
    monkeypatch.setattr("subprocess.check_call", start)
    with pytest.raises(UnreadableMedia, match="PostScript"):
        decode_picture(as_bytes(Image.new("RGB", (9, 9)), "EPS"))


@pytest.mark.parametrize("turned", [False, True])
def test_large_jpegs_are_decoded_no_larger_than_needed(turned):
    y, x = np.mgrid[:800, :1200]
    smooth = Image.fromarray(np.stack([x // 5, y // 4, 255 - x // 5], axis=2).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6 if turned else 1
    data = as_bytes(smooth, "JPEG", quality=95, exif=exif)
    whole = decode_picture(data)
    assert decode_sized(data) == (whole, whole.size)
    for at_least, shortest in ((801, 800), (401, 800), (400, 400), (150, 200), (100, 100), (1, 100)):
        picture, size = decode_sized(data, at_least)
        assert size == whole.size == ((800, 1200) if turned else (1200, 800))
        assert min(picture.size) == shortest
        assert (picture.width > picture.height) == (not turned)
        assert decode_picture(data, at_least) == picture
        small, reference = (
            np.asarray(each.resize((60, 60), Image.Resampling.BICUBIC), int) for each in (picture, whole)
        )
        assert np.abs(small - reference).max() <= 6
    png = as_bytes(smooth)
    assert decode_sized(png, 10).size == decode_picture(png, 10).size == (1200, 800)


SEEDS = [
    as_bytes(Image.effect_noise((24, 24), 90).convert(mode), kind)
    for mode, kind in zip(["RGB"] * 5 + ["P"] * 2, ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PNG"], strict=True)
]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=8), st.floats(0, 1))
def test_damaged_files_give_a_picture_or_a_reason(seed, damage, cut):
    data = bytearray(seed)
    for place, value in damage:
        data[int(place * (len(data) - 1))] = value
    with contextlib.suppress(UnreadableMedia):
        assert decode_picture(bytes(data[: max(1, int(cut * len(data)))])).mode == "RGB"


def test_the_limit_is_below_pillows():
    assert Image.MAX_IMAGE_PIXELS is not None
    assert media.LARGEST_PICTURE < 2 * Image.MAX_IMAGE_PIXELS
