"""The two ways to pack pixels give the same bits, and the one without Numba is there where it is not."""

import numpy as np
import pytest

from vestige.data import pixels
from vestige.data.pixels import BY_NUMPY, packing


def test_compiled_loops_give_the_same_bits():
    """Of a part of a canvas that may not be written to, down to one pixel; every byte value."""
    pytest.importorskip("numba")
    compiled = packing()
    assert compiled is not BY_NUMPY
    canvas = np.random.default_rng(0).integers(0, 256, (3, 40, 50), dtype=np.uint8)
    canvas[0, :16, :16] = np.arange(256).reshape(16, 16)
    canvas.flags.writeable = False
    for part in (canvas[:, 3:31, 5:49], canvas[:, :16, :16], canvas[:, 7:8, 9:10]):
        words = [np.full(part.shape[1:], 0xFFFFFFFF, np.uint32) for _ in range(2)]
        planes = [np.full(part.shape, np.nan, np.float32) for _ in range(2)]
        for way, fours, back in zip((BY_NUMPY, compiled), words, planes, strict=True):
            way.pack(part, fours)
            way.unpack(fours, back)
        np.testing.assert_array_equal(words[0], words[1])
        np.testing.assert_array_equal(planes[0], planes[1])
        np.testing.assert_array_equal(planes[0], part / np.float32(255))
        assert not (words[0].view(np.uint8).reshape(*part.shape[1:], 4)[..., 3]).any()


def test_without_numba_numpy_packs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pixels, "usable", lambda: False)
    packing.cache_clear()
    assert packing() is BY_NUMPY
    packing.cache_clear()
