"""Deja Vu: which objects of a training picture can be recovered from its caption by nearest public pictures.

    rec(z, f)  = |N & gt| / |gt|,      prec(z, f) = |N & gt| / |N|

    Jayaraman, Guo, Chaudhuri, "Deja Vu Memorization in Vision-Language Models" (2024), Algorithm 1 and eq. 2.

gt are the objects of the picture of z, N the union of the objects of the k public pictures nearest to the caption of z
under model f. Memorized is what f_A, which saw z, recovers beyond f_B, which did not: see `population_gaps` and
`sample_gaps`. A one-model test needs nothing more: take the neighbours of the reference from a text encoder that never
saw the pictures (caption to public captions), and compare as usual.

With all labels of the neighbours predicted, sets are rows of bits: one union is a bitwise or of k rows, and its size a
count of bits. With many labels and few a picture (and for the top labels) they are counted one by one instead.

Shapes: N targets, k neighbours, P public pictures, L labels, W words of 64 labels.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from . import checks, fused
from .bits import bit_count, or_of_rows
from .labelsets import LabelSets

CELLS = 16_384  # words of the sets that are held as bits at a time: 128 KiB, twice, stay in a core's cache
TABLE_BYTES = 1 << 30  # the largest table of public sets as bits
CELLS_COUNTED = 4_000_000  # cells of targets by labels held at a time


@dataclass(frozen=True, slots=True)
class ObjectRecovery:
    """What the neighbours say of the objects of each target. All [N].

    Attributes:
        recall: float64, share of the target's objects that are predicted; NaN for a target without objects.
        precision: float64, share of the predicted labels that are its objects; 0 where nothing is predicted, NaN for
            a target without objects.
        correct: long, objects predicted.
        predicted: long, labels predicted.
    """

    recall: Tensor
    precision: Tensor
    correct: Tensor
    predicted: Tensor


def object_recovery(
    neighbours: Tensor,
    ground_truth: LabelSets,
    public: LabelSets,
    *,
    top: int | None = None,
    distances: Tensor | None = None,
) -> ObjectRecovery:
    """Recall and precision of the objects found among the nearest public pictures (Algorithm 1, eq. 2).

    Args:
        neighbours: long [N, k], rows of `public`, nearest first.
        ground_truth: the objects of the N targets.
        public: the objects of the P public pictures, over the same labels.
        top: predict only the labels found in most neighbours (the paper's sample-level test takes 10); each neighbour
            counts once for each of its labels. None: predict all labels found (the paper's population-level test).
        distances: [N, k], distances of the neighbours: of labels found equally often, those with the smaller sum of
            distances over the neighbours that hold them come first, then those with the smaller id. Only with `top`.

    Returns:
        `ObjectRecovery`.

    Raises:
        ValueError: wrong shape, dtype or device, rows or labels out of range, NaN distances, distances without `top`.
    """
    n = len(ground_truth)
    checks.integers("neighbours", neighbours, "[N, k]", (n, None), low=0, high=len(public))
    checks.device("neighbours", neighbours, public.labels)
    checks.device("ground_truth", ground_truth.labels, public.labels)
    if ground_truth.n_labels != public.n_labels:
        raise ValueError(f"ground_truth: expected {public.n_labels} labels, found {ground_truth.n_labels}")
    if top is not None:
        checks.count("top", top)
    if distances is not None:
        if top is None:
            raise ValueError("distances: expected none without top, where no label is preferred")
        checks.numbers("distances", distances, "[N, k]", tuple(neighbours.shape), like=neighbours)
    if top is None and _bits_are_faster(public):
        correct, predicted = _union(neighbours, ground_truth, public)
    else:
        correct, predicted = _counted(neighbours, ground_truth, public, top, distances)
    objects = ground_truth.sizes()
    precision = torch.where(predicted > 0, correct.double() / predicted, 0.0).where(objects > 0, torch.nan)
    return ObjectRecovery(correct.double() / objects, precision, correct, predicted)


def _bits_are_faster(public: LabelSets) -> bool:
    """A set as bits is smaller than its labels one by one, and all of them fit in memory."""
    words = public.words()
    return words * len(public) <= 8 * public.labels.numel() and 8 * words * len(public) <= TABLE_BYTES


def _union(neighbours: Tensor, ground_truth: LabelSets, public: LabelSets) -> tuple[Tensor, Tensor]:
    """|N & gt| and |N| with N all labels of the neighbours; both [N]."""
    n, table = len(neighbours), public.bits(0, len(public))
    if fused.applies([neighbours, table, ground_truth.offsets, ground_truth.labels], torch.long):
        return fused.unions(table, neighbours, ground_truth)
    step = max(1, CELLS // public.words())

    def block(start: int) -> tuple[Tensor, Tensor]:
        stop = min(start + step, n)
        found = or_of_rows(table, neighbours[start:stop])
        return bit_count(found & ground_truth.bits(start, stop)), bit_count(found)

    nothing = (table.new_zeros(0), table.new_zeros(0))
    # What fits in a core's cache is too small for its operations to be shared among threads: the blocks are shared.
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        correct, predicted = zip(nothing, *threads.map(block, range(0, n, step)), strict=True)
    return torch.cat(correct), torch.cat(predicted)


def _counted(
    neighbours: Tensor, ground_truth: LabelSets, public: LabelSets, top: int | None, distances: Tensor | None
) -> tuple[Tensor, Tensor]:
    """|N & gt| and |N| from the number of neighbours that hold each label; both [N]."""
    n, k = neighbours.shape
    sizes, starts = public.sizes(), public.offsets[:-1]
    correct, predicted = sizes.new_zeros(n), sizes.new_zeros(n)
    step = max(1, CELLS_COUNTED // max(public.n_labels, k * max(1, public.labels.numel() // max(1, len(public)))))
    for low in range(0, n, step):
        high = min(low + step, n)
        near = neighbours[low:high].reshape(-1)
        size = sizes.index_select(0, near)
        first = starts.index_select(0, near) - (size.cumsum(0) - size)
        entry = torch.repeat_interleave(first, size)
        label = public.labels.index_select(0, entry + torch.arange(entry.numel(), device=entry.device))
        row = torch.repeat_interleave(size.view(high - low, k).sum(1))
        cell = row * public.n_labels + label
        shape = (high - low, public.n_labels)
        held = torch.zeros(shape, dtype=torch.int32, device=cell.device)
        held.view(-1).scatter_add_(0, cell, torch.ones_like(cell, dtype=torch.int32))
        chosen = held > 0
        if top is not None and top < public.n_labels:
            apart = None
            if distances is not None:
                each = torch.repeat_interleave(distances[low:high].reshape(-1).double(), size)
                apart = torch.zeros(shape, dtype=torch.float64, device=cell.device)
                apart.view(-1).scatter_add_(0, cell, each)
            chosen = _top_labels(held, apart, top)
        offsets = ground_truth.offsets[low : high + 1]
        wanted = ground_truth.labels[int(offsets[0]) : int(offsets[-1])]
        target = torch.repeat_interleave(offsets.diff())
        hit = chosen.view(-1).index_select(0, target * public.n_labels + wanted)
        correct[low:high] = torch.bincount(target, weights=hit.double(), minlength=high - low).long()
        predicted[low:high] = chosen.sum(1)
    return correct, predicted


def _top_labels(held: Tensor, apart: Tensor | None, top: int) -> Tensor:
    """Bool [n, L]: at most `top` labels a row, by count, then summed distance, then id; only labels that were found.

    Thresholds, not a sort: what is above the top-th count is in; of what ties with it, the nearest; of these, the
    first.
    """
    least = held.topk(top, dim=1).values[:, -1:].clamp(min=1)
    chosen, tied = held > least, held == least
    if apart is not None:
        room = top - chosen.sum(1, keepdim=True)
        near = apart.where(tied, torch.inf)
        furthest = near.topk(top, dim=1, largest=False).values.sort(dim=1).values.gather(1, room.clamp(min=1) - 1)
        chosen, tied = chosen | (near < furthest), tied & (near == furthest)
    room = top - chosen.sum(1, keepdim=True)
    return chosen | (tied & (tied.cumsum(1) <= room))
