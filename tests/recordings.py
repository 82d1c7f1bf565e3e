"""Films and sounds whose every frame and sample is known, written by real encoders."""

import io
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

STEP = 8
"""Frame number n of a film is grey of this many times n."""


def film(
    form: str = "mp4",
    codec: str = "libx264",
    frames: int = 30,
    *,
    size: tuple[int, int] = (64, 48),
    keys: int = 12,
    times: Sequence[int] | None = None,
    sound: bool = False,
    pictures: Sequence[NDArray[np.uint8]] | None = None,
    options: dict[str, str] | None = None,
) -> bytes:
    """A film of grey frames, or of the pictures given, with a key frame at least every `keys` frames."""
    # A file, because an index is moved to the front of it by reading it again.
    with TemporaryDirectory() as folder:
        path = Path(folder) / "film"
        _write_film(path, form, codec, frames, size, keys, times, sound, pictures, options)
        return path.read_bytes()


def _write_film(path, form, codec, frames, size, keys, times, sound, pictures, options) -> None:
    with av.open(str(path), "w", format=form, options=options or {}) as container:
        stream = cast("Any", container.add_stream(codec, rate=25))
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = keys
        stream.bit_rate = 4_000_000
        if codec == "libx264":
            stream.codec_context.max_b_frames = 2
        track = cast("Any", container.add_stream("aac", rate=16_000, layout="mono")) if sound else None
        for number in range(frames):
            grey = np.full((size[1], size[0], 3), number * STEP % 256, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey if pictures is None else pictures[number], format="rgb24")
            frame.pts = number if times is None else times[number]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if track is not None:
            _encode(container, track, tone(16_000, 1.0)[None])


def tone(rate: int, seconds: float, hertz: float = 440.0, peak: float = 0.5) -> NDArray[np.float32]:
    """A pure tone."""
    return (peak * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def sound(form: str, codec: str, rate: int, channels: NDArray[np.float32]) -> bytes:
    """A sound that FFmpeg writes, of one or two channels [C, T]."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono" if len(channels) == 1 else "stereo")
        _encode(container, stream, channels)
    return buffer.getvalue()


def _encode(container: Any, stream: Any, channels: NDArray[np.float32]) -> None:
    context = stream.codec_context
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(channels), format="fltp", layout=context.layout.name)
    frame.rate, frame.pts = context.sample_rate, 0
    resampler = av.AudioResampler(context.format.name, context.layout.name, context.sample_rate, context.frame_size)
    for piece in [*resampler.resample(frame), *resampler.resample(None)]:
        container.mux(stream.encode(piece))
    container.mux(stream.encode(None))


def soundfile_bytes(waveform: NDArray[Any], rate: int, form: str, subtype: str | None = None) -> bytes:
    """A sound that libsndfile writes, [T] or [T, C]."""
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, rate, format=form, subtype=subtype)
    return buffer.getvalue()
