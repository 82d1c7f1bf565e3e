"""Canvases: each medium decoded once, small enough that all are kept, large enough that views are drawn from them.

picture    uint8 [3, R, R], the whole picture squeezed to a square
sound      float16 [mels, L], the log-mel spectrogram of its beginning, L twice what the model reads
film       uint8 [F, 3, R, R], evenly spaced frames, F twice what the model reads
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from vestige.ahead import few_ahead
from vestige.data import Source
from vestige.data.inputs import FilmInput, Input, PictureInput, SoundInput
from vestige.data.media import UnreadableMedia, decode_sized
from vestige.data.views import canvas_side
from vestige.errors import VestigeError
from vestige.samples import Media, Modality, Sample

# How much more than the model reads is kept along time: what random shifts and frame choices draw from.
TIME_MARGIN = 2
# Media that are held for each thread that decodes them.
HELD = 4


class CanvasKind(Protocol):
    """How the canvases of one modality are made."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...

    def make(self, medium: Media) -> tuple[NDArray[Any], tuple[int, int]]:
        """(canvas, size of the original): (width, height) in pixels, or (spectrogram frames kept, 1) of a sound.

        Raises:
            vestige.data.media.UnreadableMedia: it cannot be decoded.
        """
        ...


@dataclass(frozen=True)
class PictureCanvas:
    """Canvases of pictures, `side` pixels wide and high."""

    side: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (3, self.side, self.side)

    dtype = np.uint8

    def make(self, medium: Media) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        found = decode_sized(medium, 2 * self.side)
        return _squeezed(found.picture, self.side), found.size


@dataclass(frozen=True)
class SoundCanvas:
    """Canvases of sounds, `length` frames of spectrogram; shorter ones are filled with silence."""

    about: SoundInput

    @property
    def length(self) -> int:
        return TIME_MARGIN * self.about.frames

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.about.mels, self.length)

    dtype = np.float16

    def make(self, medium: Media) -> tuple[NDArray[np.float16], tuple[int, int]]:
        from vestige.data.sound import SILENCE, decode_sound, log_mel

        about = self.about
        waveform = decode_sound(medium, about.rate)[: self.length * about.hop + about.window]
        spectrogram = log_mel(torch.from_numpy(waveform), about)[:, : self.length].numpy()
        canvas = np.full(self.shape, SILENCE, dtype=self.dtype)
        canvas[:, : spectrogram.shape[1]] = spectrogram
        return canvas, (spectrogram.shape[1], 1)


@dataclass(frozen=True)
class FilmCanvas:
    """Canvases of films: `count` frames, each `side` pixels wide and high."""

    count: int
    side: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.count, 3, self.side, self.side)

    dtype = np.uint8

    def make(self, medium: Media) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        from vestige.data.film import decode_frames

        frames = decode_frames(medium, self.count)
        return np.stack([_squeezed(frame, self.side) for frame in frames]), frames[0].size


def _squeezed(picture: Image.Image, side: int) -> NDArray[np.uint8]:
    # A copy: what Pillow lends is read-only, and torch warns of that.
    return np.array(picture.resize((side, side), Image.Resampling.BICUBIC)).transpose(2, 0, 1)


def canvas_of(read: Input) -> CanvasKind:
    """The kind of canvas that serves a model's input."""
    match read:
        case PictureInput(size):
            return PictureCanvas(canvas_side(size))
        case SoundInput():
            return SoundCanvas(read)
        case FilmInput(frames, size):
            return FilmCanvas(TIME_MARGIN * frames, canvas_side(size))


def canvas_bytes(kind: CanvasKind) -> int:
    """Bytes that one canvas takes."""
    return math.prod(kind.shape) * np.dtype(kind.dtype).itemsize


class Canvases(Protocol):
    """The canvases of N samples."""

    def take(self, positions: NDArray[np.int64]) -> Sequence[NDArray[Any]]:
        """Those of the samples at these positions, one by one: what is kept is not copied."""
        ...


class KeptCanvases:
    """Canvases in a memory-mapped file.

    Args:
        canvases: [rows of the source, ...].
        rows: row of every sample, [N].
    """

    def __init__(self, canvases: NDArray[Any], rows: NDArray[np.int64]) -> None:
        # As a plain array: rows of a `memmap` take longer to make than some canvases to read.
        self._canvases, self._rows = np.asarray(canvases), rows

    def take(self, positions: NDArray[np.int64]) -> Sequence[NDArray[Any]]:
        return [self._canvases[row] for row in self._rows[positions]]


class FreshCanvases:
    """Canvases made anew each time, for collections whose canvases would not fit: the same bits, decoded again.

    Args:
        source: where the media lie.
        keys: key of every sample, N of them.
        modality, kind: of which medium, and how.
    """

    def __init__(self, source: Source, keys: Sequence[str], modality: Modality, kind: CanvasKind) -> None:
        self._source, self._keys, self._modality, self._kind = source, keys, modality, kind
        self._pool = ThreadPoolExecutor(cpu_count())

    def take(self, positions: NDArray[np.int64]) -> Sequence[NDArray[Any]]:
        samples = self._source.samples([self._keys[position] for position in map(int, positions)])
        return list(few_ahead(self._pool, self._made, samples, most=HELD * (cpu_count() or 1)))

    def _made(self, sample: Sample) -> NDArray[Any]:
        try:
            return self._kind.make(sample.media[self._modality])[0]
        except (UnreadableMedia, KeyError) as error:
            reason = "it is gone" if isinstance(error, KeyError) else str(error)
            raise VestigeError(
                f"{sample.key!r}: its {self._modality} could be read and cannot be now: {reason}"
            ) from error


class Redirected:
    """Canvases some of which are those of another sample.

    Args:
        canvases: those of N samples.
        origin: whose canvas every sample has, [N].
    """

    def __init__(self, canvases: Canvases, origin: NDArray[np.int64]) -> None:
        self._canvases, self._origin = canvases, origin

    def take(self, positions: NDArray[np.int64]) -> Sequence[NDArray[Any]]:
        return self._canvases.take(self._origin[positions])
