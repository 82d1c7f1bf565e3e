"""What the models of a design see, batch by batch: one reading and one draw of views for all of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vestige.ahead import ahead
from vestige.data.examples import Drawn, Examples
from vestige.data.views import View


@dataclass(frozen=True)
class Batch:
    """One step of all models of a block.

    Attributes:
        drawn: the views of every sample that some model sees, U of them.
        positions: position of every one of these samples in the data, [U].
        members: for every model, which of the U samples it sees.
    """

    drawn: Drawn
    positions: NDArray[np.int64]
    members: tuple[Tensor, ...]


def epoch_batches(slots: NDArray[np.int64], examples: Examples, view: View, size: int) -> Iterator[Batch]:
    """One epoch: every slot once, in an order drawn from the seed and the epoch alone.

    The batches are as equal in size as they can be (no short last one). The next one is prepared while the models
    work on this one.

    Args:
        slots: the sample in every slot of every model of a block, [M, S]; -1 for none.
        examples: the samples.
        view: seed and epoch.
        size: largest number of slots in a batch.
    """
    order = np.random.Generator(np.random.Philox(key=[view.seed, view.epoch])).permutation(slots.shape[1])
    parts = np.array_split(order, batch_count(slots, size))

    def prepare(part: NDArray[np.int64]) -> Batch:
        taken = slots[:, part]
        positions = np.unique(taken[taken >= 0])
        members = tuple(torch.from_numpy(np.searchsorted(positions, row[row >= 0])) for row in taken)
        return Batch(examples.draw(positions, view), positions, members)

    return ahead(prepare, parts)


def batch_count(slots: NDArray[np.int64], size: int) -> int:
    """Batches an epoch."""
    return -(-slots.shape[1] // size)
