"""Films: frames evenly spaced over any film, exactly, decoding no more of it than they need.

Of n frames in the order they are shown, the middles of `count` equal runs are taken: number floor((i + 1/2) n / count)
for i = 0 ... count - 1. Frames are counted, not clocked: odd, missing or uneven time stamps move nothing.

The packets of a film are read twice. The first reading notes where frames lie and which can be decoded without others
(key frames); the second decodes from the last key frame before each wanted frame up to that frame, nothing else.
Where packets and frames do not correspond one to one, all of the film is decoded.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vestige.data.containers import byte_stream, open_container
from vestige.data.media import UnreadableMedia, decode_picture, one_line, picture_formats, upright_rgb
from vestige.data.quiet import quiet_pillow
from vestige.samples import Media

LARGEST_FRAME = 40_000_000
"""Pixels of a frame: above 8K video (7680 x 4320)."""

MOST_PIXELS = 200_000_000_000
"""Pixels decoded of one film: most of an hour of full HD at 30 frames a second, minutes of work."""

MOST_PACKETS = 1_000_000
"""Packets of one film: nine hours at 30 frames a second."""

ANIMATIONS = ("GIF", "WEBP", "PNG", "AVIF")

# Codecs whose packets need not show a frame each, though each has a time stamp of its own.
HIDDEN_FRAMES = ("vp8",)


def decode_frames(media: Media, count: int) -> list[Image.Image]:
    """RGB frames evenly spaced over the film, `count` of them, upright; see the top of this file.

    Frames of films with fewer than `count` are repeated; so is a still picture. Transparency is laid on white.

    Args:
        media: a film (MP4, WebM, Matroska, AVI, ...), an animation (GIF, WebP, APNG, AVIF) or a picture.
        count: frames to take.

    Raises:
        UnreadableMedia: not a film, without a picture track, damaged, cut, or too large to decode.
        VestigeError: PyAV is not installed, and the film is not one that Pillow reads.
        ValueError: `count` is less than 1.
    """
    if count < 1:
        raise ValueError(f"count: expected at least 1, found {count!r}")
    if isinstance(media, Image.Image):
        return [decode_picture(media)] * count
    frames = _animation(media, count)
    return _film(media, count) if frames is None else frames


def film_length(media: Media) -> tuple[int, float | None]:
    """Frames of a film, counted without decoding them, and its seconds; None where the container states none.

    Raises:
        UnreadableMedia: as `decode_frames`, as far as that is seen without decoding.
    """
    if isinstance(media, Image.Image):
        return 1, None
    with _pillow_file(media) as picture:
        if picture is not None:
            return getattr(picture, "n_frames", 1), None
    with _open_film(media) as (container, stream):
        stated = stream.duration * stream.time_base if stream.duration and stream.time_base else None
        seconds = float(stated) if stated else container.duration / 1e6 if container.duration else None
        return sum(not packet.is_discard for packet in _packets(container, stream)), seconds


def middles(length: int, count: int) -> list[int]:
    """The middle of each of `count` equal runs of `length` things."""
    return [(2 * place + 1) * length // (2 * count) for place in range(count)]


def _animation(media: Path | bytes, count: int) -> list[Image.Image] | None:
    """Frames of what Pillow reads; None for what it does not know."""
    with _pillow_file(media) as picture:
        if picture is None:
            return None
        if picture.format not in ANIMATIONS:
            return [decode_picture(media)] * count
        return _animated(picture, count)


@contextmanager
def _pillow_file(media: Path | bytes) -> Iterator[Any]:
    """The file as Pillow opens it, None for what it does not know.

    What goes wrong in the block is `UnreadableMedia`.
    """
    with byte_stream(media) as file, quiet_pillow():
        try:
            picture = Image.open(file, formats=picture_formats())
        except UnidentifiedImageError:
            picture = None
        except Exception as error:
            raise _damaged(error) from error
        if picture is None:
            yield None
            return
        try:
            with picture:
                yield picture
        except UnreadableMedia:
            raise
        # Decoders of damaged files raise whatever their parser stumbles on.
        except Exception as error:
            raise _damaged(error) from error


def _damaged(error: Exception) -> UnreadableMedia:
    return UnreadableMedia(f"not a readable animation: {type(error).__name__}: {one_line(error)}")


def _animated(picture: Any, count: int) -> list[Image.Image]:
    _refuse_large(picture.width, picture.height, 1)
    # The first picture of an APNG may be meant for programs that show no animations only.
    first = int(bool(picture.info.get("default_image", False)))
    number = picture.n_frames - first
    _refuse_large(picture.width, picture.height, number)
    wanted = middles(number, count)
    frames: dict[int, Image.Image] = {}
    for place in sorted(set(wanted)):
        picture.seek(first + place)
        frames[place] = upright_rgb(ImageOps.exif_transpose(picture))
    return [frames[place] for place in wanted]


def _refuse_large(width: int, height: int, frames: int) -> None:
    if width * height > LARGEST_FRAME:
        raise UnreadableMedia(f"frames of {width}x{height} pixels are more than {LARGEST_FRAME:,}")
    if width * height * frames > MOST_PIXELS:
        raise UnreadableMedia(
            f"{frames:,} frames of {width}x{height} pixels have to be decoded, more than {MOST_PIXELS:,} pixels in all:"
            " cut the film into clips"
        )


@dataclass(frozen=True, slots=True)
class _Packet:
    """A packet of the film, as far as the first reading notes it; `shown` is False for what an edit list cuts off."""

    time: int | None
    key: bool
    shown: bool


def _film(media: Path | bytes, count: int) -> list[Image.Image]:
    with _open_film(media) as (container, stream):
        width, height, stated = stream.codec_context.width, stream.codec_context.height, stream.frames
        exact, reordered = stream.codec_context.name not in HIDDEN_FRAMES, stream.codec_context.has_b_frames
        packets: list[_Packet] = []
        for packet in _packets(container, stream):
            if len(packets) == MOST_PACKETS:
                raise UnreadableMedia(f"the film has more than {MOST_PACKETS:,} frames: cut it into clips")
            packets.append(_Packet(packet.pts, packet.is_keyframe, not packet.is_discard))
    if len(packets) < 0.95 * stated - 1:
        raise UnreadableMedia(f"the film was cut: {len(packets):,} of {stated:,} frames")
    times = [packet.time for packet in packets if packet.shown]
    if not times:
        raise UnreadableMedia("the film has no frames")
    stamps = [time for time in times if time is not None]
    # Containers without times of their own (AVI) count packets, which is wrong where frames change places.
    invented = reordered and stamps == sorted(stamps)
    if exact and not invented and len(set(stamps)) == len(times):
        stamps.sort()
        wanted = [stamps[place] for place in middles(len(stamps), count)]
        runs = _runs(packets, set(wanted))
        _refuse_large(width, height, sum(end - start for start, end in runs))
        found = {frame.pts: _picture(frame) for _, frame in _decoded(media, runs) if frame.pts in set(wanted)}
        if all(time in found for time in wanted):
            return [found[time] for time in wanted]
    _refuse_large(width, height, len(packets))
    return _all_decoded(media, len(times), count)


def _all_decoded(media: Path | bytes, expected: int, count: int) -> list[Image.Image]:
    """Decode every frame; once more where there were not as many as expected."""
    while True:
        wanted = middles(expected, count)
        found: dict[int, Image.Image] = {}
        number = 0
        for number, frame in _decoded(media, None):
            if number - 1 in set(wanted):
                found[number - 1] = _picture(frame)
        if not number:
            raise UnreadableMedia("no frame of the film can be decoded")
        if number == expected:
            return [found[place] for place in wanted]
        expected = number


def _runs(packets: Sequence[_Packet], wanted: Collection[int]) -> list[tuple[int, int]]:
    """Runs [start, end) of packets that give the frames shown at the wanted times."""
    runs: list[tuple[int, int]] = []
    keys: list[int] = []
    for place, packet in enumerate(packets):
        if packet.key:
            keys.append(place)
        if not packet.shown or packet.time not in wanted:
            continue
        # A frame that follows a key frame but is shown before it needs what came earlier (open groups of pictures).
        start = next((key for key in reversed(keys) if _before(packets[key], packet)), 0)
        if runs and start <= runs[-1][1]:
            runs[-1] = (min(start, runs[-1][0]), place + 1)
        else:
            runs.append((start, place + 1))
    return runs


def _before(key: _Packet, packet: _Packet) -> bool:
    return key.time is not None and packet.time is not None and key.time <= packet.time


def _decoded(media: Path | bytes, runs: Sequence[tuple[int, int]] | None) -> Iterator[tuple[int, Any]]:
    """The frames of runs of packets (None: of all), with their numbers from 1.

    The runs are found by reading, not by seeking, which lands where the index of the container says.
    """
    number = pixels = 0
    with _open_film(media) as (container, stream):
        codec = stream.codec_context
        # One thread: whoever decodes many films has a thread for each.
        codec.thread_count = 1
        codec.options = {"max_pixels": str(LARGEST_FRAME)}
        rest = iter(runs if runs is not None else [(0, MOST_PACKETS)])
        start, end = next(rest)
        for place, packet in enumerate(_packets(container, stream)):
            if place < start:
                continue
            frames = codec.decode(packet)
            last = place + 1 == end
            if last:
                # What the decoder holds back to bring frames into order.
                frames = [*frames, *codec.decode(None)]
                codec.flush_buffers()
            for frame in frames:
                number += 1
                pixels += frame.width * frame.height
                if pixels > MOST_PIXELS:
                    raise UnreadableMedia(f"the film holds more than {MOST_PIXELS:,} pixels: cut it into clips")
                yield number, frame
            if last:
                start, end = next(rest, (MOST_PACKETS, MOST_PACKETS))
                if start == MOST_PACKETS:
                    return
        for frame in codec.decode(None):
            number += 1
            yield number, frame


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """The packets of the film without the empty one at the end."""
    return (packet for packet in container.demux(stream) if packet.size)


@contextmanager
def _open_film(media: Path | bytes) -> Iterator[tuple[Any, Any]]:
    with open_container(media) as container:
        # The cover of an album is a track of one picture.
        tracks = [track for track in container.streams.video if not _is_cover(track)]
        if not tracks:
            raise UnreadableMedia("the file has no film track, only sound")
        _refuse_large(tracks[0].codec_context.width, tracks[0].codec_context.height, 1)
        yield container, tracks[0]


def _is_cover(track: Any) -> bool:
    return bool(track.disposition & type(track.disposition).attached_pic)


def _picture(frame: Any) -> Image.Image:
    if frame.is_corrupt:
        raise UnreadableMedia(f"the frame at {frame.time} s is damaged")
    if any(component.is_alpha for component in frame.format.components):
        picture = upright_rgb(Image.fromarray(frame.to_ndarray(format="rgba"), "RGBA"))
    else:
        picture = frame.to_image()
    return _upright(picture, frame)


# Where the display matrix of a track sends (right, down), as (x right, y right, x down, y down).
_TURNS = {
    (0, 1, -1, 0): Image.Transpose.ROTATE_270,
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (0, -1, 1, 0): Image.Transpose.ROTATE_90,
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
}


def _upright(picture: Image.Image, frame: Any) -> Image.Image:
    for facts in frame.side_data:
        if facts.type.name == "DISPLAYMATRIX":
            matrix = np.frombuffer(bytes(facts), np.int32, 9)
            turn = _TURNS.get(tuple(np.sign(matrix[[0, 1, 3, 4]]).tolist()))
            return picture if turn is None else picture.transpose(turn)
    return picture
