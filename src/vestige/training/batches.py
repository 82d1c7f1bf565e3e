"""What the models of a design see, batch by batch: one reading and one draw of views for all of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vestige.ahead import ahead
from vestige.data.examples import Drawn, Examples, Rows
from vestige.data.views import View
from vestige.training.objectives import Objective


@dataclass(frozen=True)
class Share:
    """What one model sees of a batch.

    Attributes:
        rows: its samples, in the order of the slots.
        counts: how many of them each process has.
        drawn: which of the samples that were drawn here are its own, long.
    """

    rows: Rows
    counts: Sequence[int]
    drawn: Tensor


@dataclass(frozen=True)
class Batch:
    """One step of all models of a block.

    Attributes:
        views: of every sample that some model sees in this process, U of them.
        shares: for every model, its own samples.
    """

    views: Sequence[Drawn]
    shares: Sequence[Share]


def epoch_batches(
    slots: NDArray[np.int64],
    examples: Examples,
    view: View,
    size: int,
    objective: Objective,
    *,
    apart: NDArray[np.bool_] | None = None,
    rank: int = 0,
    processes: int = 1,
    turns: bool = False,
) -> Iterator[Batch]:
    """One epoch: every slot once, in an order drawn from the seed and the epoch alone.

    The batches are as equal in size as they can be (no short last one); those of the slots that are apart come at
    random places among the others.

    Args:
        slots: the sample in every slot of every model of a block, [M, S]; -1 for none.
        examples: the samples.
        view: seed and epoch.
        size: largest number of slots in a batch.
        objective: says what is drawn of the samples.
        apart: the slots that go into batches of their own, bool [S]; none when not given.
        rank: which process this is.
        processes: how many there are; each draws its part of the batch.
        turns: prepare a batch when it is asked for, instead of while the models work on the last one: models on
            processors take every core, and two sets of threads wait for each other.
    """
    generator = np.random.Generator(np.random.Philox(key=[view.seed, view.epoch]))
    order = generator.permutation(slots.shape[1])
    batches = np.array_split(order, batch_count(slots, size))
    if apart is not None:
        parts = [part for own in (order[~apart[order]], order[apart[order]]) for part in _split(own, size)]
        batches = [parts[number] for number in generator.permutation(len(parts)).tolist()]

    def prepare(part: NDArray[np.int64]) -> Batch:
        taken = [slots[:, own] for own in np.array_split(part, processes)]
        seen = taken[rank][taken[rank] >= 0]
        # What one model sees is drawn in its order: nothing has to be put into it afterwards.
        positions = seen if len(slots) == 1 else np.unique(seen)
        places = positions.argsort()
        shares = []
        for model in range(len(slots)):
            parts = [own[model][own[model] >= 0] for own in taken]
            drawn = torch.from_numpy(places[np.searchsorted(positions, parts[rank], sorter=places)])
            filled = torch.from_numpy(np.flatnonzero(slots[model, part] >= 0))
            rows = replace(examples.rows(np.concatenate(parts)), slots=filled, slot_count=len(part))
            shares.append(Share(rows, [len(own) for own in parts], drawn))
        return Batch(objective.draw(examples, positions, view), shares)

    return (map if turns else ahead)(prepare, batches)


def batch_count(slots: NDArray[np.int64], size: int, apart: NDArray[np.bool_] | None = None) -> int:
    """Batches an epoch."""
    total = slots.shape[1]
    own = 0 if apart is None else int(apart.sum())
    return -(-(total - own) // size) + -(-own // size)


def _split(slots: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    return np.array_split(slots, -(-len(slots) // size)) if len(slots) else []
