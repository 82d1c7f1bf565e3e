"""Views of sounds and films: drawn by (seed, epoch, key), uniform, and cut exactly."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from vestige.data.media_views import GAIN, cut_sounds, frame_choice, sound_windows
from vestige.data.sound import SILENCE
from vestige.data.views import View, key_hashes

HASHES = key_hashes([f"key {number}" for number in range(4000)])
LOG_GAIN = GAIN * math.log(10) / 10


def full(length: int) -> np.ndarray:
    return np.full(len(HASHES), length)


def test_without_a_view_the_window_is_central():
    starts, gains = sound_windows(None, HASHES[:4], np.array([10, 11, 4, 7]), 7)
    assert starts.tolist() == [1, 2, -2, 0]
    assert not gains.any()


def test_a_draw_depends_on_seed_epoch_and_key_alone():
    lengths = np.random.default_rng(0).integers(1, 500, len(HASHES))
    starts, gains = sound_windows(View(1, 2), HASHES, lengths, 100)
    order = np.random.default_rng(1).permutation(len(HASHES))[:70]
    again = sound_windows(View(1, 2), HASHES[order], lengths[order], 100)
    np.testing.assert_array_equal(again[0], starts[order])
    np.testing.assert_array_equal(again[1], gains[order])
    for other in (View(1, 3), View(2, 2)):
        assert (sound_windows(other, HASHES, lengths, 100)[1] != gains).all()
    chosen = frame_choice(View(1, 2), HASHES, 30, 4)
    np.testing.assert_array_equal(frame_choice(View(1, 2), HASHES[order], 30, 4), chosen[order])
    assert (frame_choice(View(1, 3), HASHES, 30, 4) != chosen).any()


@pytest.mark.parametrize(("length", "low", "high"), [(120, 0, 20), (80, -20, 0), (100, 0, 0)])
def test_windows_are_uniform_and_gains_within_six_decibels(length, low, high):
    starts, gains = sound_windows(View(0, 0), HASHES, full(length), 100)
    assert starts.dtype == np.int64
    counts = np.bincount(starts - low, minlength=high - low + 1)
    assert len(counts) == high - low + 1
    if high > low:
        assert stats.chisquare(counts).pvalue > 1e-3
    assert stats.kstest(gains, "uniform", (-LOG_GAIN, 2 * LOG_GAIN)).pvalue > 1e-3
    assert np.exp(gains.max()) == pytest.approx(3.98, abs=0.03)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_windows_are_cut_exactly(dtype):
    generator = np.random.default_rng(0)
    lengths, frames = np.array([9, 4, 6, 1, 9]), 6
    starts, gains = np.array([2, -1, 0, -5, 3]), np.array([0.0, 0.5, -0.5, 1.0, -30.0])
    canvases = torch.from_numpy(generator.uniform(-15, 5, (5, 3, 9))).to(dtype)
    canvases[2, 1, 2] = SILENCE
    found = cut_sounds(canvases, lengths, starts, gains, frames)
    assert (found.dtype, found.shape) == (torch.float32, (5, 3, frames))
    expected = np.full((5, 3, frames), SILENCE, np.float32)
    for clip in range(5):
        for place in range(frames):
            at = starts[clip] + place
            if 0 <= at < lengths[clip]:
                for mel in range(3):
                    value = float(canvases[clip, mel, at])
                    if value > SILENCE:
                        expected[clip, mel, place] = max(SILENCE, value + gains[clip])
    assert (expected == np.float32(SILENCE)).sum() > 20
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)
    assert (found[2, 1, 2] == np.float32(SILENCE)).all()


def test_middle_frames():
    assert frame_choice(None, HASHES[:2], 16, 4).tolist() == [[2, 6, 10, 14]] * 2
    assert frame_choice(None, HASHES[:1], 4, 4).tolist() == [[0, 1, 2, 3]]
    assert frame_choice(None, HASHES[:1], 2, 4).tolist() == [[0, 0, 1, 1]]
    assert frame_choice(None, HASHES[:1], 1, 3).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize(("count", "frames"), [(16, 4), (10, 4), (4, 4), (3, 5), (1, 2)])
def test_one_frame_of_each_part(count, frames):
    chosen = frame_choice(View(0, 0), HASHES, count, frames)
    assert chosen.shape == (len(HASHES), frames)
    for part in range(frames):
        low, high = part * count // frames, max((part + 1) * count // frames, part * count // frames + 1)
        counts = np.bincount(chosen[:, part], minlength=high)
        assert not counts[:low].any()
        assert len(counts) == high <= count
        if high - low > 1:
            assert stats.chisquare(counts[low:]).pvalue > 1e-3
