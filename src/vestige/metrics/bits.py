"""Sets as rows of bits: unions and sizes, by NumPy in the processor's own memory and by torch elsewhere.

torch copies rows one call at a time and has no count of bits. NumPy does both in the calling thread and without the
interpreter's lock, so that threads can share the blocks.

Shapes: B sets, k neighbours, P public sets, W words of 64 bits.
"""

import numpy as np
import torch
from torch import Tensor


def on_processor(tensor: Tensor) -> bool:
    """Whether NumPy can read it where it lies."""
    return tensor.is_cpu


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
