"""Pixels as planes, which models read, and as fours of bytes, for which filters have vector instructions.

Two forms that give the same bits: NumPy's, and loops compiled by Numba (`vestige[fast]`) that take a fifth of the time.
"""

import sys
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vestige.metrics.compiling import usable


class Packing(NamedTuple):
    """The two ways between them.

    Attributes:
        pack: (planes uint8 [3, H, W], fours uint32 [H, W]): writes the fours; the last byte of each is 0.
        unpack: (fours uint32 [H, W], planes float32 [3, H, W]): writes the planes, in [0, 1].
    """

    pack: Callable[[NDArray[np.uint8], NDArray[np.uint32]], Any]
    unpack: Callable[[NDArray[np.uint32], NDArray[np.float32]], Any]


@cache
def packing() -> Packing:
    """The faster of the two that can be had."""
    if sys.byteorder != "little" or not usable():  # the loops shift bytes into words
        return BY_NUMPY
    from vestige.data.pixel_loops import pack, unpack

    return Packing(pack, unpack)


def _pack(planes: NDArray[np.uint8], fours: NDArray[np.uint32]) -> None:
    each = fours.view(np.uint8).reshape(*fours.shape, 4)
    for channel, plane in enumerate(planes):
        each[..., channel] = plane
    each[..., 3] = 0


def _unpack(fours: NDArray[np.uint32], planes: NDArray[np.float32]) -> None:
    each = fours.view(np.uint8).reshape(*fours.shape, 4)
    # Laid out as planes first: to divide along the fours takes longer.
    np.divide(np.ascontiguousarray(each.transpose(2, 0, 1)[:3]), np.float32(255), out=planes)


BY_NUMPY = Packing(_pack, _unpack)
