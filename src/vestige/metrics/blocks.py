"""Inputs read by blocks of rows: norms noted and products taken while a block lies in the cache.

At the sizes that matter the formulas are bound by memory, not by arithmetic. Read in blocks, every embedding comes from
memory once, for the checks and for all products with it; nothing of the size of the inputs is built, conversions of
half precision included.

Shapes: N samples, V views, d dimensions, B rows of a block.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK_BYTES = 4 << 20  # of the widest tensor: calls do not count, and what is read again lies in the last cache
FEW_CROSSINGS = 64  # of views: up to here one product of views is cheaper than two means


def blocks(n: int, tensors: Iterable[Tensor | None]) -> Iterator[slice]:
    """The rows of [N, ...] tensors in slices, of about `BLOCK_BYTES` of the widest."""
    row = max((t[:1].nbytes for t in tensors if t is not None), default=0)
    step = max(1, BLOCK_BYTES // max(1, row))
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


class Noted:
    """A tensor [N, ..., d] that is read by blocks, in order; the norms of its rows are noted in passing.

    Args:
        tensor: the embeddings.
        judge: told the norms [N, ...] once all blocks have been read; raises where they are not what they should be.
        dtype: what blocks are converted to.
    """

    def __init__(self, tensor: Tensor, judge: Callable[[Tensor], None], dtype: torch.dtype) -> None:
        self.tensor, self.dtype = tensor, dtype
        self._judge = judge
        self._norms: list[Tensor] = []

    def read(self, rows: slice) -> Tensor:
        """[B, ..., d], the rows of one block."""
        block = self.again(rows)
        self.note(torch.linalg.vector_norm(block, dim=-1))
        return block

    def again(self, rows: slice) -> Tensor:
        """The same of rows of which the norms are noted."""
        return self.tensor[rows].to(self.dtype)

    def note(self, norms: Tensor) -> None:
        """The norms [B, ...] of the next rows."""
        self._norms.append(norms)

    def close(self) -> None:
        """Judge what was read.

        Raises:
            ValueError: what `judge` raises.
        """
        if self._norms:
            self._judge(torch.cat(self._norms))


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

    def again(self, rows: slice) -> "Block":
        """The same of rows of which the norms are noted."""
        drawn = self.views or self.mean or self.own
        return Block(self.own.again(rows), drawn.again(rows))


@dataclass(frozen=True, slots=True)
class Block:
    """One modality of a block of samples.

    Attributes:
        x: [B, d].
        drawn: what mu is the mean of: views [B, V, d], or mu itself [B, d].
    """

    x: Tensor
    drawn: Tensor

    def mu(self) -> Tensor:
        """[B, d]."""
        if self.drawn.ndim == 2:
            return self.drawn
        b, v, _ = self.drawn.shape
        # A product with [1/V ... 1/V]: the same sum as drawn.mean(1), in less time.
        return torch.bmm(self.drawn.new_full((1, 1, v), 1 / v).expand(b, 1, v), self.drawn).squeeze(1)

    def crossed(self, other: "Block") -> Tensor:
        """[B]: mu . mu of two modalities; of few views, from all crossings, in half the time that two means take."""
        both = self.drawn.ndim == 3 and other.drawn.ndim == 3
        if both and self.drawn.shape[1] * other.drawn.shape[1] <= FEW_CROSSINGS:
            return torch.bmm(self.drawn, other.drawn.transpose(1, 2)).mean((1, 2))
        return torch.linalg.vecdot(self.mu(), other.mu())
