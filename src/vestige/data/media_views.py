"""Views of sounds and films, drawn by counters as in `views`: a draw depends on (seed, epoch, key) alone.

A view of a sound is a window of its spectrogram, shifted in time and made louder or softer; a view of a film is one
frame of each of equal parts. Without a view (`None`) the window is central and as loud as it is, the frames are the
middle ones: what models are evaluated on.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vestige.data.sound import SILENCE
from vestige.data.views import View, uniforms

GAIN = 6.0
"""Decibels by which a view makes a sound louder or softer at most."""


def sound_windows(
    view: View | None, hashes: NDArray[np.uint64], lengths: NDArray[np.int64], frames: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Where the window of every clip starts, and what is added to its log power.

    Every position at which the window lies within the clip is equally likely; of a clip that is shorter, every
    position at which the clip lies within the window.

    Args:
        view: seed and epoch; None gives the central window and no gain.
        hashes: `key_hashes` of the samples, [N].
        lengths: frames of every clip, [N].
        frames: frames of the window.

    Returns:
        starts, int64 [N], negative where silence comes first; gains, float64 [N], natural log of power.
    """
    room = lengths - frames
    if view is None:
        return room // 2, np.zeros(len(lengths))
    draws = uniforms(view, hashes, 2, stream="sound")
    shift = np.floor(draws[:, 0] * (np.abs(room) + 1)).astype(np.int64)
    gains = (2 * draws[:, 1] - 1) * GAIN * math.log(10) / 10
    return np.sign(room) * shift, gains


def cut_sounds(
    canvases: Tensor, lengths: NDArray[np.int64], starts: NDArray[np.int64], gains: NDArray[np.float64], frames: int
) -> Tensor:
    """Cut windows out of log-mel spectrograms.

    Args:
        canvases: log-mel power, float16 or float32 [B, mels, L].
        lengths: frames of each that belong to the clip, [B].
        starts, gains: see `sound_windows`, [B].
        frames: frames of the window.

    Returns:
        float32 [B, mels, frames]; `SILENCE` beyond the clip and wherever the clip is silent, whatever the gain.
    """
    places = torch.from_numpy(starts)[:, None] + torch.arange(frames)
    inside = (places >= 0) & (places < torch.from_numpy(np.minimum(lengths, canvases.shape[2]))[:, None])
    index = places.clamp(0, canvases.shape[2] - 1)[:, None, :].expand(-1, canvases.shape[1], -1)
    power = canvases.gather(2, index).to(torch.float32)
    louder = (power + torch.from_numpy(gains).to(torch.float32)[:, None, None]).clamp_(min=SILENCE)
    return torch.where(inside[:, None, :] & (power > SILENCE), louder, SILENCE)


def frame_choice(view: View | None, hashes: NDArray[np.uint64], count: int, frames: int) -> NDArray[np.int64]:
    """One of the kept frames of every film from each of `frames` equal parts, int64 [N, frames], in order.

    Args:
        view: seed and epoch; None gives the middle frame of each part.
        hashes: `key_hashes` of the samples, [N].
        count: frames kept of every film; fewer than `frames` are repeated.
        frames: frames to choose.
    """
    parts = np.arange(frames)
    low = parts * count // frames
    width = np.maximum((parts + 1) * count // frames - low, 1)
    if view is None:
        return np.tile(low + width // 2, (len(hashes), 1))
    return low + np.floor(uniforms(view, hashes, frames, stream="film") * width).astype(np.int64)
