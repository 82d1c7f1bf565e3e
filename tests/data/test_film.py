"""Frames: the ones asked for, of every container and codec, upright, on white; or a reason."""

import io
import struct
import sys

import numpy as np
import pytest
from PIL import Image

from recordings import STEP, film, sound, tone
from vestige.data import film as film_module
from vestige.data.film import decode_frames, middles
from vestige.data.media import UnreadableMedia
from vestige.errors import VestigeError


def numbers(frames: list[Image.Image]) -> list[int]:
    """Which frames of a grey film these are."""
    assert {frame.mode for frame in frames} == {"RGB"}
    return [round(float(np.asarray(frame).mean()) / STEP) for frame in frames]


def test_middles():
    assert middles(30, 5) == [3, 9, 15, 21, 27]
    assert middles(7, 7) == list(range(7))
    assert middles(1, 4) == [0] * 4
    assert middles(2, 4) == [0, 0, 1, 1]
    assert middles(8, 2) == [2, 6]


KINDS = [
    ("mp4", "libx264"),
    ("mp4", "mpeg4"),
    ("mov", "mjpeg"),
    ("webm", "libvpx"),
    ("webm", "libvpx-vp9"),
    ("matroska", "libx264"),
    ("avi", "libx264"),
    ("avi", "mpeg4"),
    ("mpegts", "libx264"),
    ("mpeg", "mpeg1video"),
    ("flv", "flv"),
]


@pytest.mark.parametrize("kind", KINDS, ids=" ".join)
@pytest.mark.parametrize("keys", [4, 100])
def test_the_frames_asked_for(kind, keys):
    data = film(*kind, keys=keys)
    assert numbers(decode_frames(data, 5)) == [3, 9, 15, 21, 27]
    assert numbers(decode_frames(data, 1)) == [15]
    assert numbers(decode_frames(data, 30)) == list(range(30))
    assert numbers(decode_frames(data, 60)) == [number for number in range(30) for _ in range(2)]


def test_uneven_and_repeated_times_move_nothing(monkeypatch):
    uneven = np.cumsum([1, 1, 50, 1, 2, 300, 1, 1, 7, 1] * 3).tolist()
    assert numbers(decode_frames(film("matroska", times=uneven), 5)) == [3, 9, 15, 21, 27]
    late = [5000 + time for time in uneven]
    assert numbers(decode_frames(film(times=late), 5)) == [3, 9, 15, 21, 27]
    monkeypatch.setattr(film_module, "HIDDEN_FRAMES", ("h264",))
    assert numbers(decode_frames(film(times=late), 5)) == [3, 9, 15, 21, 27]


def test_only_what_is_needed_is_decoded(monkeypatch):
    decoded = []

    def counting(media, runs, original=film_module._decoded):
        for number, frame in original(media, runs):
            decoded.append(number)
            yield number, frame

    monkeypatch.setattr(film_module, "_decoded", counting)
    assert numbers(decode_frames(film(frames=30, keys=3), 2)) == [7, 22]
    assert len(decoded) <= 6
    decoded.clear()
    decode_frames(film(frames=30, keys=100), 2)
    assert 23 <= len(decoded) <= 25


def test_films_are_read_from_files_whatever_their_names(tmp_path):
    for name in ("clip.mp4", "clip.png", "pipe:0", "concat:a", "%03d.png"):
        (tmp_path / name).write_bytes(film())
        assert numbers(decode_frames(tmp_path / name, 2)) == [7, 22]


def corners(size: tuple[int, int]) -> np.ndarray:
    """Red above left, green above right, blue below left, grey below right."""
    width, height = size
    picture = np.full((height, width, 3), 128, np.uint8)
    picture[: height // 2, : width // 2] = (250, 0, 0)
    picture[: height // 2, width // 2 :] = (0, 250, 0)
    picture[height // 2 :, : width // 2] = (0, 0, 250)
    return picture


@pytest.mark.parametrize("operation", [None, *Image.Transpose])
def test_display_matrices_turn_the_picture(operation):
    """The matrix that shows a film as `operation` shows a picture gives what `operation` gives."""
    size = (64, 32)
    one = 1 << 16
    matrices = {
        None: (one, 0, 0, one),
        Image.Transpose.ROTATE_270: (0, one, -one, 0),
        Image.Transpose.ROTATE_180: (-one, 0, 0, -one),
        Image.Transpose.ROTATE_90: (0, -one, one, 0),
        Image.Transpose.FLIP_LEFT_RIGHT: (-one, 0, 0, one),
        Image.Transpose.FLIP_TOP_BOTTOM: (one, 0, 0, -one),
        Image.Transpose.TRANSPOSE: (0, one, one, 0),
        Image.Transpose.TRANSVERSE: (0, -one, -one, 0),
    }
    a, b, c, d = matrices[operation]
    data = bytearray(film(frames=2, size=size, pictures=[corners(size)] * 2))
    # The matrix lies 40 bytes into the body of the track header.
    place = data.index(b"tkhd") + 4 + 40
    assert struct.unpack(">9i", data[place : place + 36]) == (one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    (found,) = decode_frames(bytes(data), 1)
    expected = Image.fromarray(corners(size))
    if operation is not None:
        expected = expected.transpose(operation)
    assert found.size == expected.size
    for x in (0.2, 0.8):
        for y in (0.2, 0.8):
            at = int(y * found.height), int(x * found.width)
            assert np.abs(np.asarray(found, int)[at] - np.asarray(expected, int)[at]).max() < 20


def test_the_matrices_of_the_turns_are_the_operations():
    """right, down -> where the operation sends them."""
    for (a, b, c, d), operation in film_module._TURNS.items():
        dots = np.zeros((9, 9), np.uint8)
        dots[4, 6], dots[5, 4] = 1, 2
        sent = np.asarray(Image.fromarray(dots).transpose(operation))
        assert sent[4 + 2 * b, 4 + 2 * a] == 1
        assert sent[4 + d, 4 + c] == 2


def animation(kind: str, frames: list[Image.Image], **options) -> bytes:
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], duration=40, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animations(kind):
    frames = [Image.new("RGB", (12, 10), (number * STEP,) * 3) for number in range(30)]
    data = animation(kind, frames, **({"lossless": True} if kind == "WEBP" else {}))
    assert numbers(decode_frames(data, 5)) == [3, 9, 15, 21, 27]
    assert numbers(decode_frames(data, 60))[:4] == [0, 0, 1, 1]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_clear_parts_of_animations_are_white(kind):
    frames = [Image.new("RGBA", (12, 10), (0, 0, 0, 0)) for _ in range(4)]
    for number, frame in enumerate(frames):
        frame.paste((200, 0, 0, 255), (2 * number, 0, 2 * number + 2, 2))
    # Only key frames: else libwebp does not say that frames on an empty canvas have clear parts.
    options = {"lossless": True, "kmin": 1, "kmax": 1} if kind == "WEBP" else {"disposal": 2}
    data = animation(kind, frames, **options)
    found = decode_frames(data, 4)
    for number, frame in enumerate(found):
        assert frame.getpixel((2 * number, 1)) == (200, 0, 0)
        assert frame.getpixel((11, 9)) == (255, 255, 255)


def test_the_still_of_an_animated_png_is_no_frame():
    frames = [Image.new("RGB", (6, 6), (number * STEP,) * 3) for number in range(4)]
    still = Image.new("RGB", (6, 6), (255, 255, 255))
    buffer = io.BytesIO()
    still.save(buffer, "PNG", save_all=True, append_images=frames, default_image=True)
    assert numbers(decode_frames(buffer.getvalue(), 4)) == [0, 1, 2, 3]


def test_stills_repeat():
    buffer = io.BytesIO()
    Image.new("RGB", (5, 4), (16, 16, 16)).save(buffer, "JPEG")
    assert numbers(decode_frames(buffer.getvalue(), 3)) == [2] * 3
    assert numbers(decode_frames(Image.new("RGB", (5, 4), (16, 16, 16)), 3)) == [2] * 3


def test_a_film_of_one_frame_repeats():
    assert numbers(decode_frames(film(frames=1), 3)) == [0] * 3


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"no film" * 99, "not a readable film"),
        (sound("mp4", "aac", 16_000, tone(16_000, 0.5)[None]), "only sound"),
        (film()[:1500], "no tracks"),
        (film(frames=200, options={"movflags": "faststart"})[:6000], "cut"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nclip.mp4\n#EXT-X-ENDLIST\n", "not a readable film"),
        (b"ffconcat version 1.0\nfile clip.mp4\n", "not a readable film"),
    ],
    ids=["empty", "text", "sound", "cut", "cut with its index", "play list", "list of files"],
)
def test_what_is_not_a_film_says_why(data, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.mp4").write_bytes(film())
    with pytest.raises(UnreadableMedia, match=said) as error:
        decode_frames(data, 2)
    assert "\n" not in str(error.value)
    if data:
        (tmp_path / "list.m3u8").write_bytes(data)
        with pytest.raises(UnreadableMedia, match=said):
            decode_frames(tmp_path / "list.m3u8", 2)


def test_limits(monkeypatch):
    data = film()
    gif = animation("GIF", [Image.new("RGB", (64, 48), (number * STEP,) * 3) for number in range(30)])
    monkeypatch.setattr(film_module, "MOST_PIXELS", 64 * 48 * 10)
    for medium in (data, gif):
        with pytest.raises(UnreadableMedia, match="cut the film into clips"):
            decode_frames(medium, 30)
    assert numbers(decode_frames(film(keys=1), 10)) == middles(30, 10)
    monkeypatch.setattr(film_module, "LARGEST_FRAME", 1000)
    for medium in (data, gif):
        with pytest.raises(UnreadableMedia, match="frames of 64x48 pixels are more than 1,000"):
            decode_frames(medium, 2)
    monkeypatch.undo()
    monkeypatch.setattr(film_module, "MOST_PACKETS", 10)
    with pytest.raises(UnreadableMedia, match="more than 10 frames"):
        decode_frames(data, 2)


def test_at_least_one_frame():
    with pytest.raises(ValueError, match="count"):
        decode_frames(film(), 0)


def test_without_the_library_the_extra_is_named(monkeypatch):
    data = film()
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(VestigeError, match=r"vestige\[audio-video\]"):
        decode_frames(data, 1)
