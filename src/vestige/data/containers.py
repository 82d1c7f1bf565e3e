"""Containers of sound and film, opened through FFmpeg (PyAV) so that a file reaches nothing but itself."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from vestige.data.media import UnreadableMedia, one_line, regular_file
from vestige.errors import VestigeError

# Formats that hold their media themselves. Play lists (HLS, DASH, concat) name other files and addresses, which
# FFmpeg would open; they, devices and scripts are left out.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,live_flv,asf,mpeg,mpegts,mpegvideo,h264,hevc,m4v,ivf,obu,ogg,"
    "wav,w64,aiff,caf,au,flac,mp3,aac,ac3,eac3,amr,wv,ape,tta,dv,gxf,mxf,nut,rm,swf,yuv4mpegpipe"
)


def import_extra(module: str) -> Any:
    """A library of the extra `audio-video`.

    Raises:
        VestigeError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise VestigeError(
            f"sounds and films need the package {module!r} ({one_line(error)}): pip install 'vestige[audio-video]'"
        ) from error


@contextmanager
def byte_stream(media: Path | bytes) -> Iterator[IO[bytes]]:
    """The encoded bytes as an open file.

    Raises:
        UnreadableMedia: missing, empty, or not a file.
    """
    if isinstance(media, bytes):
        if not media:
            raise UnreadableMedia("the file is empty (0 bytes)")
        yield io.BytesIO(media)
        return
    regular_file(media)
    try:
        file = media.open("rb")
    except OSError as error:
        raise UnreadableMedia(f"{error.strerror or error}: {media}") from error
    with file:
        yield file


class _Nameless:
    """A file whose name FFmpeg cannot read anything into, such as a pattern that stands for many files."""

    def __init__(self, file: IO[bytes]) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


@contextmanager
def open_container(media: Path | bytes) -> Iterator[Any]:
    """An `av.container.InputContainer` over the bytes of a file; other files and addresses are out of its reach.

    Raises:
        UnreadableMedia: what opening or reading it, here or in the block, stumbles on.
        VestigeError: PyAV is not installed.
    """
    av = import_extra("av")
    limits = {"format_whitelist": FORMATS, "protocol_whitelist": "none"}
    with byte_stream(media) as file:
        try:
            with av.open(_Nameless(file), mode="r", options=limits, metadata_errors="replace") as container:
                if not len(container.streams):
                    raise UnreadableMedia("not a readable film or sound: it holds no tracks, as a file that was cut")
                yield container
        except (UnreadableMedia, VestigeError):
            raise
        # Demuxers and decoders of damaged files raise whatever they stumble on.
        except Exception as error:
            # FFmpeg's own text without the number and the place in the library.
            said = getattr(error, "strerror", None) or f"{type(error).__name__}: {one_line(error)}"
            raise UnreadableMedia(f"not a readable film or sound: {said}") from error
