"""The sums over which the time of the metrics goes, by NumPy in the processor's own memory and by torch elsewhere.

At the sizes that matter the formulas are bound by memory, not by arithmetic. torch writes the products of a dot product
down before it adds them up, and copies rows one call at a time; NumPy reads each input once, in the calling thread and
without the interpreter's lock, so that threads can share the blocks. What lies on another device is torch's from
beginning to end. Arrays and tensors have the operators in common: a formula is written once for both.

Shapes: N samples, B rows of a block, V views, d dimensions, k neighbours, P public pictures, W words.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor

Rows: TypeAlias = Any  # np.ndarray of what lies in the processor's memory, Tensor of what does not
Result = TypeVar("Result")

BLAS_ALONE = 8192  # cells of a matrix: OpenBLAS shares larger ones among threads of its own, in the way of ours


def on_processor(tensor: Tensor) -> bool:
    """Whether NumPy can read it where it lies."""
    return tensor.is_cpu


def rows_of(tensor: Tensor, dtype: torch.dtype) -> Rows:
    """The values of a tensor in the type to compute in; a view where it has that type."""
    values = tensor.detach().to(dtype)
    return values.numpy() if on_processor(values) else values


def tensor_of(rows: Rows) -> Tensor:
    """What was computed, as a tensor."""
    return rows if isinstance(rows, Tensor) else torch.from_numpy(rows)


def joined(parts: Sequence[Rows]) -> Tensor:
    """The blocks, at least one, end to end."""
    return torch.cat(list(parts)) if isinstance(parts[0], Tensor) else torch.from_numpy(np.concatenate(parts))


def dots(a: Rows, b: Rows) -> Rows:
    """[B, ...]: a . b along the last dimension."""
    return torch.linalg.vecdot(a, b) if isinstance(a, Tensor) else np.vecdot(a, b)


def crossings(a: Rows, b: Rows) -> Rows:
    """[B]: the mean of all products of views [B, V, d] with views [B, V', d]."""
    return (a @ b.swapaxes(1, 2)).reshape(len(a), -1).sum(1) / (a.shape[1] * b.shape[1])


def mean_of_views(views: Rows) -> Rows:
    """[B, d] of [B, V, d]."""
    if isinstance(views, Tensor):
        return views.mean(1)
    _, v, d = views.shape
    if v * d > BLAS_ALONE:
        return views.mean(1)
    # A product with [1/V ... 1/V]: the same sum in less time.
    return np.matmul(np.full((1, v), 1 / v, views.dtype), views)[:, 0]


def in_blocks(work: Callable[[slice], Result], blocks: Sequence[slice], on_threads: bool) -> list[Result]:
    """What `work` makes of each block, in order. The blocks are shared among as many threads as torch has.

    A block fits in a core's cache, where the operations are too small to be shared among threads themselves.
    """
    results: dict[int, Result] = {}
    left = iter(list(enumerate(blocks)))  # a list's iterator hands each block to one thread

    def drain() -> None:
        # NaN and infinities are judged by the norms, with the name of the argument.
        with np.errstate(all="ignore"):
            for place, rows in left:
                results[place] = work(rows)

    others = min(torch.get_num_threads(), len(blocks)) - 1 if on_threads else 0
    if others <= 0:
        drain()
    else:
        with ThreadPoolExecutor(others) as threads:
            started = [threads.submit(drain) for _ in range(others)]
            drain()
        for thread in started:
            thread.result()
    return [results[place] for place in range(len(blocks))]


def or_of_rows(table: Tensor, rows: Tensor) -> Tensor:
    """Bitwise or [B, W] of the rows [B, k], each below P, of a table [P, W]; zeros where k is 0."""
    if not on_processor(table):
        found = table.new_zeros(len(rows), table.shape[1])
        for column in rows.T:
            found |= table[column]
        return found
    source = table.numpy()
    found = np.zeros((len(rows), source.shape[1]), source.dtype)
    taken = np.empty_like(found)
    # All targets' first neighbours, then their second. With "clip" NumPy writes to `taken` without a copy in between.
    for column in np.ascontiguousarray(rows.numpy().T):
        source.take(column, axis=0, out=taken, mode="clip")
        np.bitwise_or(found, taken, out=found)
    return torch.from_numpy(found)


def bit_count(words: Tensor) -> Tensor:
    """Long [N]: how many bits are set in each row of [N, W]."""
    if on_processor(words):
        # Of signed numbers NumPy counts the bits of the absolute value.
        return torch.from_numpy(np.bitwise_count(words.numpy().view(np.uint64)).sum(1, dtype=np.int64))
    # Sums of neighbours. The right shift of torch copies the sign bit; each mask drops the copies.
    pairs = words - ((words >> 1) & 0x5555555555555555)
    fours = (pairs & 0x3333333333333333) + ((pairs >> 2) & 0x3333333333333333)
    bytes_ = (fours + (fours >> 4)) & 0x0F0F0F0F0F0F0F0F
    return ((bytes_ * 0x0101010101010101) >> 56).sum(1)
