"""Deja Vu over the top samples: how much more of their objects the model that saw them recovers, beside chance.

    gap(L) = mean over the top L samples of  rec(z, f_A) - rec(z, f_B)        the same for precision and F

    Jayaraman, Guo, Chaudhuri, "Deja Vu Memorization in Vision-Language Models" (2024), sections 3.2 and 4.3. The null
    beside it, and the choice of samples on other neighbours than the measurement, are not in the paper.

Shapes: N samples, n of them with objects, L lengths.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from . import checks
from .dejavu import ObjectRecovery
from .dejavu_population import with_objects
from .statistics import descending, seeded

Order = Literal["distance", "correct", "gap"]
ORDERS = ("distance", "correct", "gap")


@dataclass(frozen=True, slots=True)
class GapCurve:
    """The mean gap over the top samples, for each length, beside what chance gives. All float64 [L].

    Attributes:
        gap: mean of f_A minus f_B.
        null: the mean gap when the two models' roles are exchanged at random in each sample.
        low: lower end of the null's interval.
        high: upper end.
    """

    gap: Tensor
    null: Tensor
    low: Tensor
    high: Tensor


@dataclass(frozen=True, slots=True)
class SampleGaps:
    """Deja Vu over the top samples.

    Attributes:
        lengths: how many top samples, for each point of the curves.
        precision: gap in precision.
        recall: gap in recall.
        f: gap in the harmonic mean of precision and recall of each sample.
        n: samples with at least one object.
    """

    lengths: tuple[int, ...]
    precision: GapCurve
    recall: GapCurve
    f: GapCurve
    n: int


def sample_gaps(
    a: ObjectRecovery,
    b: ObjectRecovery,
    *,
    order: Order = "distance",
    distance: Tensor | None = None,
    lengths: Sequence[int] | None = None,
    select_on: tuple[ObjectRecovery, ObjectRecovery] | None = None,
    repetitions: int = 100,
    confidence: float = 0.95,
    generator: torch.Generator | None = None,
) -> SampleGaps:
    """Gaps in precision, recall and F over the top samples, each beside its null.

    "correct" and "gap" choose the samples by the outcome: chance alone then gives a gap, a large one over few samples.
    Two remedies. The null: in each sample the roles of the two models are exchanged with probability one half, the
    samples are ordered anew and the gaps are taken again, `repetitions` times; a gap counts if it leaves the null's
    interval. Or `select_on`: order by recoveries computed on one half of the neighbours (every second one), and measure
    on those of the other half; the noise of the choice is then not that of the measurement.

    Args:
        a: recovery by the model that saw the samples (the paper predicts the ten top labels).
        b: recovery of the same samples by the model that did not.
        order: "distance" (nearest first), "correct" (most objects recovered by a) or "gap" (largest gap in F). Of equal
            samples the first comes first.
        distance: [N], distance of each caption to its nearest public picture under a; for order "distance".
        lengths: how many top samples, each from 1 to n (default: 1, 10, 100, ... and n).
        select_on: recoveries by the two models, from other neighbours than a and b, that give the order.
        repetitions: of the null.
        confidence: of the null's interval, by percentiles.
        generator: source of randomness, on the device of the tensors (default: a new one with seed 0).

    Returns:
        `SampleGaps`.

    Raises:
        ValueError: unequal numbers of samples, no distance for "distance", NaN distances, lengths outside 1 to n, no
            sample with objects.
    """
    checks.choice("order", order, ORDERS)
    checks.count("repetitions", repetitions)
    checks.fraction("confidence", confidence)
    kept = with_objects(a, b)
    n = int(kept.sum())
    checks.count("a: number of samples with objects", n)
    lengths = tuple(lengths) if lengths is not None else (*(10**e for e in range(7) if 10**e < n), n)
    for length in lengths:
        checks.count("lengths", length, most=n)
    rank = _ranking(order, distance, select_on or (a, b), kept)
    gaps = torch.stack([a.precision - b.precision, a.recall - b.recall, _harmonic(a) - _harmonic(b)])[:, kept]
    ends = torch.tensor(lengths, device=gaps.device)

    def curves(swapped: Tensor) -> Tensor:
        signed = torch.where(swapped, -gaps, gaps)[:, rank(swapped)]
        return signed.cumsum(1)[:, ends - 1] / ends

    generator = generator or seeded(gaps)
    measured = curves(torch.zeros_like(kept[kept]))
    null = torch.stack(
        [curves(torch.randint(2, (n,), generator=generator, device=gaps.device).bool()) for _ in range(repetitions)]
    )
    tails = torch.tensor([(1 - confidence) / 2, (1 + confidence) / 2], dtype=null.dtype, device=null.device)
    low, high = torch.quantile(null, tails, dim=0)
    precision, recall, f = (GapCurve(measured[k], null.mean(0)[k], low[k], high[k]) for k in range(3))
    return SampleGaps(lengths, precision, recall, f, n)


def _ranking(
    order: Order, distance: Tensor | None, chosen_by: tuple[ObjectRecovery, ObjectRecovery], kept: Tensor
) -> Callable[[Tensor], Tensor]:
    """The order of the samples, given in which of them [n] the two models are exchanged."""
    if order == "distance":
        if distance is None:
            raise ValueError("distance: expected [N] for order 'distance', found None")
        checks.numbers("distance", distance, "[N]", tuple(kept.shape), like=kept)
        nearest = descending(-distance[kept].double())
        return lambda swapped: nearest
    first, second = chosen_by
    checks.shape("select_on[0].recall", first.recall, "[N]", tuple(kept.shape))
    if not torch.equal(with_objects(first, second), kept):
        raise ValueError("select_on: expected objects in the same samples as in a and b, found others")
    if order == "correct":
        own, other = first.correct[kept], second.correct[kept]
        return lambda swapped: descending(torch.where(swapped, other, own))
    gap = (_harmonic(first) - _harmonic(second))[kept]
    return lambda swapped: descending(torch.where(swapped, -gap, gap))


def _harmonic(recovery: ObjectRecovery) -> Tensor:
    """F of each sample: the harmonic mean of precision and recall, 0 where both are 0."""
    total = recovery.precision + recovery.recall
    return torch.where(total == 0, 0.0, 2 * recovery.precision * recovery.recall / total)
