"""Sound: any file becomes a mono waveform, a waveform a log-mel spectrogram.

    log_mel[m, t] = ln max(floor, sum_f  W[m, f] |STFT[f, t]|^2),   floor = 1e-10

The frames lie `hop` samples apart, frame t centred on sample t * hop, with silence beyond both ends; each is weighted
by a Hann window of `window` samples and padded to the next power of two. W are triangles equally spaced on Slaney's
mel scale (Auditory Toolbox, 1998: linear below 1 kHz, logarithmic above), each of unit area, from 0 to half the rate:
the filters of librosa, Whisper and CLAP.
"""

import math
import os
from collections.abc import Iterator
from functools import lru_cache
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from vestige.data.containers import byte_stream, import_extra, open_container
from vestige.data.inputs import SoundInput
from vestige.data.media import UnreadableMedia, one_line
from vestige.samples import Media

LONGEST_SOUND = 3600.0
"""Seconds of sound that a file may hold: an hour at 16 kHz is a quarter of a gigabyte."""

LOUDEST = 16.0
"""Peak above which samples cannot be meant as a share of full scale (24 dB of clipping); below, they are clipped."""

FLOOR = 1e-10
SILENCE = math.log(FLOOR)
"""Log-mel power of silence."""

RATES = (1_000, 1_000_000)
BLOCK = 1 << 16


def decode_sound(media: Media, rate: int) -> NDArray[np.float32]:
    """A mono waveform in [-1, 1] at `rate` samples a second, [T], T at least 1; channels are averaged.

    A sound that ends before the length its file states is refused. Formats that state none (MP3, Ogg) may have been
    cut without a trace.

    Args:
        media: a sound, or a film with a sound track.
        rate: samples a second.

    Raises:
        UnreadableMedia: not a sound, damaged, longer than `LONGEST_SOUND` seconds, empty, or not finite.
        VestigeError: a library of the extra `audio-video` is not installed.
    """
    if isinstance(media, Image.Image):
        raise UnreadableMedia("a picture, not a sound")
    soundfile, soxr = import_extra("soundfile"), import_extra("soxr")
    with byte_stream(media) as file:
        try:
            sound = soundfile.SoundFile(file)
        # The second way, through FFmpeg, says why if it cannot read the file either.
        except Exception:
            sound = None
        if sound is not None:
            with sound:
                return _resampled(_soundfile_blocks(sound, file), _rate(sound.samplerate), rate, soxr)
    with open_container(media) as container:
        if not container.streams.audio:
            raise UnreadableMedia("the film has no sound track")
        stream = container.streams.audio[0]
        return _resampled(_container_blocks(container, stream), _rate(stream.rate), rate, soxr)


def _rate(found: int | None) -> int:
    if found is None or not RATES[0] <= found <= RATES[1]:
        raise UnreadableMedia(f"{found} samples a second are not between {RATES[0]:,} and {RATES[1]:,}")
    return found


def _soundfile_blocks(sound: Any, file: IO[bytes]) -> Iterator[NDArray[np.float32]]:
    """Mono pieces of a file that libsndfile reads."""
    _refuse_cut_riff(file)
    stated, done, rate = sound.frames, 0, sound.samplerate
    # A product: the mean along so short an axis takes longer than decoding.
    mean = np.full(sound.channels, 1 / sound.channels, np.float32)
    while True:
        try:
            block = sound.read(BLOCK, dtype="float32", always_2d=True)
        except Exception as error:
            raise UnreadableMedia(f"damaged sound after {done / rate:.2f} s: {one_line(error)}") from error
        if not len(block):
            break
        done += len(block)
        yield block @ mean
    # Streams of unknown length state a number near 2^63. FLAC that was cut ends early without an error.
    if done < stated < 1 << 40:
        raise UnreadableMedia(
            f"the sound ends after {done / sound.samplerate:.2f} of {stated / sound.samplerate:.2f} s"
        )


def _refuse_cut_riff(file: IO[bytes]) -> None:
    """A WAV that is shorter than it states: libsndfile would read the rest as if it were all."""
    place = file.tell()
    file.seek(0)
    head = file.read(12)
    length = file.seek(0, os.SEEK_END)
    file.seek(place)
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        stated = int.from_bytes(head[4:8], "little") + 8
        # Programs that write to a pipe cannot know the length and state 0 or the largest number.
        if length < stated < 0x7FFFFF00:
            raise UnreadableMedia(f"the file was cut: {length:,} of {stated:,} bytes")


def _container_blocks(container: Any, stream: Any) -> Iterator[NDArray[np.float32]]:
    """Mono pieces of the sound track that FFmpeg decodes."""
    stream.codec_context.thread_count = 1
    rate, done = stream.rate, 0
    stated = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
    for frame in container.decode(stream):
        if frame.sample_rate != rate:
            raise UnreadableMedia(f"the sound changes from {rate} to {frame.sample_rate} samples a second on the way")
        block = _mono(frame)
        done += len(block)
        yield block
    if done / rate < min(stated - 1.0, 0.95 * stated):
        raise UnreadableMedia(f"the sound ends after {done / rate:.2f} of {stated:.2f} s")


def _mono(frame: Any) -> NDArray[np.float32]:
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    if values.dtype.kind == "u":
        return (values.mean(axis=0) / 128 - 1).astype(np.float32)
    if values.dtype.kind == "i":
        return (values.mean(axis=0) / 2.0 ** (8 * values.itemsize - 1)).astype(np.float32)
    return values.mean(axis=0).astype(np.float32)


def _resampled(blocks: Iterator[NDArray[np.float32]], found: int, rate: int, soxr: Any) -> NDArray[np.float32]:
    resampler = soxr.ResampleStream(found, rate, 1, dtype="float32") if found != rate else None
    pieces: list[NDArray[np.float32]] = []
    done = 0
    for block in blocks:
        done += len(block)
        if done > LONGEST_SOUND * found:
            raise UnreadableMedia(f"the sound is longer than {LONGEST_SOUND:,.0f} s: cut it into clips")
        peak = float(np.abs(block).max(initial=0.0))
        if not math.isfinite(peak):
            raise UnreadableMedia("the sound holds values that are not finite")
        if peak > LOUDEST:
            raise UnreadableMedia(f"the samples reach {peak:g}, full scale is 1: scale the file")
        pieces.append(resampler.resample_chunk(block) if resampler else block)
    if not done:
        raise UnreadableMedia("the sound has no samples")
    if resampler:
        pieces.append(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    waveform = np.concatenate(pieces)
    # A sound shorter than half a sample at the new rate leaves nothing; one sample of it is the least there is.
    return np.clip(waveform, -1, 1) if len(waveform) else np.zeros(1, np.float32)


def frame_count(samples: int, about: SoundInput) -> int:
    """Frames of the spectrogram of so many samples."""
    return 1 + samples // about.hop


def log_mel(waveform: Tensor, about: SoundInput) -> Tensor:
    """The log-mel spectrogram, natural log, float32.

    Args:
        waveform: at `about.rate`, [T] or [B, T].
        about: rate, mel bands, window and hop.

    Returns:
        [mels, frame_count(T)] or [B, mels, frame_count(T)]; `SILENCE` and above.

    Raises:
        ValueError: a mel band is so narrow that no frequency of the window falls into it.
    """
    length = _fft_length(about.window)
    spectrum = torch.stft(
        waveform.to(torch.float32),
        length,
        about.hop,
        about.window,
        torch.hann_window(about.window, dtype=torch.float64).to(waveform.device, torch.float32),
        center=True,
        pad_mode="constant",
        return_complex=True,
    )
    filters = mel_filters(about.rate, length, about.mels).to(waveform.device, torch.float32)
    return (filters @ spectrum.abs().square()).clamp_(min=FLOOR).log_()


def _fft_length(window: int) -> int:
    return 1 << max(window - 1, 1).bit_length()


@lru_cache(maxsize=16)
def mel_filters(rate: int, length: int, mels: int) -> Tensor:
    """Triangles of unit area on Slaney's mel scale, float64 [mels, length // 2 + 1].

    Raises:
        ValueError: a triangle holds no frequency.
    """
    # In mels of 66.7 Hz up to 1 kHz (15 mel), then 27 mel for every factor of 6.4.
    top = rate / 2
    most = 15 + 27 * math.log(top / 1000) / math.log(6.4) if top > 1000 else top * 15 / 1000
    mel = torch.linspace(0, most, mels + 2, dtype=torch.float64)
    edges = torch.where(mel < 15, mel * 1000 / 15, 1000 * torch.exp((mel - 15) * (math.log(6.4) / 27)))
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    frequency = torch.linspace(0, top, length // 2 + 1, dtype=torch.float64)
    rising, falling = (frequency - low) / (centre - low), (high - frequency) / (high - centre)
    triangles = torch.minimum(rising, falling).clamp(min=0) * (2 / (high - low))
    empty = int((triangles.sum(dim=1) == 0).sum())
    if empty:
        raise ValueError(
            f"mels: {mels} bands are too many for a transform of {length} samples at {rate} a second: {empty} of them"
            " hold no frequency; take fewer bands or a longer window"
        )
    return triangles
