"""`pixels.Packing`, compiled: every pixel is read and written once. Needs Numba; imported where it is used."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from vestige.metrics.compiling import Compiled

BYTE = np.uint32(255)
GREEN, BLUE = np.uint32(8), np.uint32(16)  # bits below them in a word whose lowest byte is the first


compiled = partial(Compiled, nogil=True)  # threads share the pictures


@compiled
def pack(planes: NDArray[np.uint8], fours: NDArray[np.uint32]) -> None:
    for y in range(len(fours)):
        red, green, blue, together = planes[0, y], planes[1, y], planes[2, y], fours[y]
        for x in range(len(together)):
            together[x] = np.uint32(red[x]) | (np.uint32(green[x]) << GREEN) | (np.uint32(blue[x]) << BLUE)


@compiled
def unpack(fours: NDArray[np.uint32], planes: NDArray[np.float32]) -> None:
    for y in range(len(fours)):
        together, red, green, blue = fours[y], planes[0, y], planes[1, y], planes[2, y]
        for x in range(len(together)):
            # By way of signed numbers: there is an instruction that makes floats of these.
            red[x] = np.float32(np.int32(together[x] & BYTE)) / np.float32(255)
            green[x] = np.float32(np.int32((together[x] >> GREEN) & BYTE)) / np.float32(255)
            blue[x] = np.float32(np.int32((together[x] >> BLUE) & BYTE)) / np.float32(255)
