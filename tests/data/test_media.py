"""Every kind of picture becomes upright 8-bit RGB on white, or a reason."""

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vestige.data import media
from vestige.data.media import UnreadableMedia, decode_picture


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
        (bomb(20_000, 20_000), "exceeds limit"),
        (bomb(12_500, 12_500), "pixels are more than"),
    ],
    ids=["empty", "text", "truncated", "bomb", "small bomb"],
)
def test_what_is_not_a_picture_says_why(data, said):
    with pytest.raises(UnreadableMedia, match=said):
        decode_picture(data)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(UnreadableMedia, match="No such file"):
        decode_picture(tmp_path / "none.png")
    with pytest.raises(UnreadableMedia, match="directory"):
        decode_picture(tmp_path)


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
