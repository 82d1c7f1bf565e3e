"""The media of a sample as a page can show them: pictures made small, sounds and films that a browser plays.

A picture becomes a thumbnail, a film a sheet of its frames. A sound or film is kept byte for byte where it is small and
of a kind that browsers play; other sounds become the first seconds of them as Ogg Opus, other films the sheet alone.
Nothing is shown by the name of its file: kinds are told by the bytes.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vestige.data.containers import import_extra, open_container
from vestige.data.film import decode_frames, film_length
from vestige.data.media import UnreadableMedia, decode_picture, read_bytes
from vestige.data.sound import decode_sound
from vestige.errors import VestigeError
from vestige.report.pictures import FRAMES, contact_sheet, thumbnail
from vestige.samples import Media, Modality

LARGEST_SOUND = 160_000
"""Bytes up to which a playable sound is kept as it is."""
LARGEST_FILM = 400_000
"""The same of a film."""
EXCERPT = 10.0
"""Seconds that are kept of other sounds."""
RATE = 16_000
FILM_CODECS = ("h264", "vp8", "vp9", "av1")
SOUND_CODECS = (None, "aac", "mp3", "opus", "vorbis")


@dataclass(frozen=True)
class Clip:
    """Bytes a browser shows or plays.

    Attributes:
        data: the bytes.
        type: their media type.
    """

    data: bytes
    type: str


@dataclass(frozen=True)
class Shown:
    """A medium of a sample on the page.

    Attributes:
        modality: what it is.
        picture: a still, with its width and height; None for a sound.
        size: width and height of the still.
        clip: what is played; None for a picture, and for a film that is shown by its sheet alone.
        seconds: how long the whole medium is, where known; 0 for a picture.
        note: what the reader should know of it, such as that it was cut.
    """

    modality: Modality
    picture: Clip | None = None
    size: tuple[int, int] = (0, 0)
    clip: Clip | None = None
    seconds: float | None = None
    note: str = ""


def show_media(media: Mapping[Modality, Media], side: int) -> list[Shown]:
    """What a page shows of each medium of a sample; a medium that cannot be read is there with the reason as note.

    Args:
        media: by modality.
        side: longest side of the pictures.
    """
    shown = []
    for modality in (m for m in Modality if m in media):
        make = {Modality.IMAGE: _picture, Modality.AUDIO: _sound, Modality.VIDEO: _film}[modality]
        try:
            shown.append(make(media[modality], side))
        # The second is a library that is not installed: the rest of the report is worth having without it.
        except (UnreadableMedia, VestigeError) as error:
            shown.append(Shown(modality, note=str(error)))
    return shown


def _picture(media: Media, side: int) -> Shown:
    small, width, height = thumbnail(decode_picture(media, side), side)
    return Shown(Modality.IMAGE, Clip(small, "image/webp"), (width, height))


def _film(media: Media, side: int) -> Shown:
    small, width, height = thumbnail(contact_sheet(decode_frames(media, FRAMES), side), side)
    frames, seconds = film_length(media)
    kind = _film_type(media)
    clip = Clip(_bytes(media), kind) if kind else None
    note = "" if clip else f"{FRAMES} of {frames:,} frames"
    return Shown(Modality.VIDEO, Clip(small, "image/webp"), (width, height), clip, seconds, note)


def _film_type(media: Media) -> str | None:
    """The media type of a small film that browsers play, by its container and codecs."""
    if not isinstance(media, bytes | Path) or _size(media) > LARGEST_FILM:
        return None
    head = _bytes(media)[:40]
    kind = "video/mp4" if head[4:8] == b"ftyp" else "video/webm" if b"webm" in head else None
    if kind is None:
        return None
    with open_container(media) as container:
        video, sounds = container.streams.video[0], container.streams.audio
        sound = sounds[0].codec_context.name.removesuffix("float") if sounds else None
        codec = {"libdav1d": "av1", "libvpx": "vp8", "libvpx-vp9": "vp9"}.get(
            video.codec_context.name, video.codec_context.name
        )
        playable = codec in FILM_CODECS and sound in SOUND_CODECS and video.codec_context.pix_fmt == "yuv420p"
    return kind if playable else None


def _sound(media: Media, side: int) -> Shown:
    del side
    if isinstance(media, bytes | Path) and _size(media) <= LARGEST_SOUND:
        data = read_bytes(media)
        kind, seconds = _sound_type(data)
        if kind is not None:
            return Shown(Modality.AUDIO, clip=Clip(data, kind), seconds=seconds)
    waveform = decode_sound(media, RATE)
    seconds = len(waveform) / RATE
    encoded = io.BytesIO()
    import_extra("soundfile").write(encoded, waveform[: int(EXCERPT * RATE)], RATE, format="OGG", subtype="OPUS")
    note = f"the first {EXCERPT:g} of {seconds:,.1f} s" if seconds > EXCERPT else ""
    return Shown(Modality.AUDIO, clip=Clip(encoded.getvalue(), "audio/ogg"), seconds=seconds, note=note)


def _sound_type(data: bytes) -> tuple[str | None, float | None]:
    """The media type of a sound that browsers play, and its seconds; both are None for other kinds."""
    soundfile = import_extra("soundfile")
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as sound:
            found, seconds = (sound.format, sound.subtype), sound.frames / sound.samplerate
    except soundfile.LibsndfileError:
        return None, None
    match found:
        case "WAV", "PCM_U8" | "PCM_16":
            kind = "audio/wav"
        case "FLAC", _:
            kind = "audio/flac"
        case "OGG", "VORBIS" | "OPUS":
            kind = "audio/ogg"
        case "MP3", _:
            kind = "audio/mpeg"
        case _:
            kind = None
    return (kind, seconds) if kind else (None, None)


def _size(media: Path | bytes) -> int:
    try:
        return len(media) if isinstance(media, bytes) else media.stat().st_size
    except OSError as error:
        raise UnreadableMedia(f"{error.strerror or error}: {media}") from error


def _bytes(media: Media) -> bytes:
    if not isinstance(media, bytes | Path):
        raise UnreadableMedia("a picture, not a film")
    return read_bytes(media)
