"""Inputs read once: a block of rows at a time, its norms noted and its products taken while it lies in the cache.

At the sizes that matter the formulas are bound by memory, not by arithmetic. Read in blocks, every embedding comes from
memory once, for the checks and for all products with it; nothing of the size of the inputs is built, conversions of
half precision included. Results do not depend on the number of threads.

Shapes: N samples, V views, d dimensions, B rows of a block.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from .kernels import Rows, crossings, dots, in_blocks, joined, mean_of_views, on_processor, rows_of

BLOCK_BYTES = 384 << 10  # of the widest tensor: what is read again lies in the core's own cache, and calls do not count
DEVICE_BLOCK_BYTES = 64 << 20  # where every call costs more than what it reads
FEW_CROSSINGS = 64  # of views: up to here one product of views is cheaper than two means

Result = TypeVar("Result")


def blocks(n: int, tensors: Sequence[Tensor]) -> list[slice]:
    """The rows of [N, ...] tensors in slices, of about `BLOCK_BYTES` of the widest."""
    row = max(t.nbytes // max(1, len(t)) for t in tensors)
    size = BLOCK_BYTES if all(map(on_processor, tensors)) else DEVICE_BLOCK_BYTES
    step = max(1, size // max(1, row))
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


class Noted:
    """A tensor [N, ..., d] that is read by blocks; the norms of its rows are noted in passing.

    Args:
        tensor: the embeddings.
        judge: told the norms [N, ...] once all blocks have been read; raises where they are not what they should be.
        dtype: what blocks are converted to.
    """

    def __init__(self, tensor: Tensor, judge: Callable[[Tensor], None], dtype: torch.dtype) -> None:
        self.tensor = tensor
        self._judge, self._dtype = judge, dtype
        self._rows = rows_of(tensor, dtype) if tensor.dtype == dtype else None
        self._squares: dict[int, Rows] = {}

    def read(self, rows: slice) -> Rows:
        """[B, ..., d], the rows of one block."""
        block = rows_of(self.tensor[rows], self._dtype) if self._rows is None else self._rows[rows]
        self._squares[rows.start] = dots(block, block)
        return block

    def close(self) -> None:
        """Judge what was read.

        Raises:
            ValueError: what `judge` raises.
        """
        if self._squares:
            self._judge(joined([square for _, square in sorted(self._squares.items())]).sqrt())


class Side:
    """One modality of all samples: x, and mu, its mean over views.

    Args:
        own: x, [N, d].
        views: [N, V, d], V at least 1, of which mu is the mean; or
        mean: mu itself, [N, d]. With neither, mu is x.
    """

    def __init__(self, own: Noted, views: Noted | None = None, mean: Noted | None = None) -> None:
        self.own, self.views, self.mean = own, views, mean

    def parts(self) -> list[Noted]:
        """What is read."""
        return [part for part in (self.own, self.views, self.mean) if part is not None]

    def read(self, rows: slice) -> "Block":
        """Its part of one block."""
        x = self.own.read(rows)
        if self.views is not None:
            return Block(x, self.views.read(rows))
        return Block(x, x if self.mean is None else self.mean.read(rows))


@dataclass(frozen=True, slots=True)
class Block:
    """One modality of a block of samples.

    Attributes:
        x: [B, d].
        drawn: what mu is the mean of: views [B, V, d], or mu itself [B, d].
    """

    x: Rows
    drawn: Rows

    def mu(self) -> Rows:
        """[B, d]."""
        return self.drawn if self.drawn.ndim == 2 else mean_of_views(self.drawn)

    def crossed(self, other: "Block") -> Rows:
        """[B]: mu . mu of two modalities; of few views, from all crossings, in half the time that two means take."""
        both = self.drawn.ndim == 3 and other.drawn.ndim == 3
        if both and self.drawn.shape[1] * other.drawn.shape[1] <= FEW_CROSSINGS:
            return crossings(self.drawn, other.drawn)
        return dots(self.mu(), other.mu())


def read_together(sides: Iterable[Side], formula: Callable[[slice, Sequence[Block]], Result]) -> list[Result]:
    """`formula(rows, the part of every side)` of each block, in order; after the last one the norms are judged.

    Raises:
        ValueError: embeddings that are not of unit norm, or what else the sides are to be.
    """
    sides = list(sides)
    return read_blocks(
        [part for side in sides for part in side.parts()],
        lambda rows: formula(rows, [side.read(rows) for side in sides]),
    )


def read_blocks(parts: Sequence[Noted], work: Callable[[slice], Result]) -> list[Result]:
    """`work(rows)` of each block, in order, by threads that share the blocks; after the last one norms are judged.

    Raises:
        ValueError: as `read_together`.
    """
    tensors = [part.tensor for part in parts]
    found = in_blocks(work, blocks(len(tensors[0]), tensors), all(map(on_processor, tensors)))
    for part in parts:
        part.close()
    return found
