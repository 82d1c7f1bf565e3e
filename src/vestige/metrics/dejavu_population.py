"""Deja Vu over all samples: how often the model that saw them recovers more of their objects, and how much more.

    PPG  = 1/|A| ( #{z : prec(z, f_A) > prec(z, f_B)} - #{z : prec(z, f_A) < prec(z, f_B)} )         eq. 3
    PRG  = the same with rec                                                                         eq. 4
    AUCG = mean_z ( rec(z, f_A) - rec(z, f_B) ), the area between the two cumulative distributions of recall

    Jayaraman, Guo, Chaudhuri, "Deja Vu Memorization in Vision-Language Models" (2024), section 3.2.

A sign gap p+ - p- has the error sqrt((p+ + p- - (p+ - p-)^2) / n). Only samples with at least one object count.

Shapes: N samples, n of them with objects, K different values of recall.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from . import checks
from .dejavu import ObjectRecovery
from .statistics import seeded


@dataclass(frozen=True, slots=True)
class PopulationGaps:
    """Deja Vu over all samples; each gap in [-1, 1], above 0 where f_A recovers more.

    Attributes:
        ppg: population precision gap.
        ppg_se: its standard error.
        prg: population recall gap.
        prg_se: its standard error.
        aucg: area between the distributions of recall.
        aucg_se: its standard error.
        n: samples with at least one object.
    """

    ppg: float
    ppg_se: float
    prg: float
    prg_se: float
    aucg: float
    aucg_se: float
    n: int


def population_gaps(
    a: ObjectRecovery,
    b: ObjectRecovery,
    *,
    bootstrap: int | None = None,
    share: float = 0.1,
    generator: torch.Generator | None = None,
) -> PopulationGaps:
    """PPG, PRG and AUCG (eq. 3 and 4) with standard errors.

    Args:
        a: recovery by the model that saw the samples.
        b: recovery of the same samples by the model that did not.
        bootstrap: repetitions of the paper's bootstrap (100 there); default: the closed form.
        share: of the samples drawn, with replacement, at each repetition. The spread is that of gaps measured on so
            few samples: sqrt(1 / share) times the error of the gaps given here, which are those of all samples.
        generator: source of randomness, on the device of the tensors (default: a new one with seed 0).

    Returns:
        `PopulationGaps`; NaN for no samples, errors NaN for one (or one repetition).

    Raises:
        ValueError: unequal numbers of samples, wrong dtype, samples with objects in one recovery only.
    """
    kept = with_objects(a, b)
    precision, recall = a.precision[kept] - b.precision[kept], a.recall[kept] - b.recall[kept]
    gaps = torch.stack([precision.sign(), recall.sign(), recall])
    n = gaps.shape[1]
    if bootstrap is None:
        errors = _closed_errors(gaps)
    else:
        checks.count("bootstrap", bootstrap)
        checks.fraction("share", share)
        generator = generator or seeded(gaps)
        size = max(1, round(share * n))
        draws = [
            gaps[:, torch.randint(n, (size,), generator=generator, device=gaps.device)].mean(1)
            for _ in range(bootstrap if n else 0)
        ]
        errors = torch.stack(draws).std(0) if len(draws) > 1 else gaps.new_full((3,), torch.nan)
    (ppg, prg, aucg), (ppg_se, prg_se, aucg_se) = gaps.mean(1).tolist(), errors.tolist()
    return PopulationGaps(ppg, ppg_se, prg, prg_se, aucg, aucg_se, n)


def recall_distribution(recovery: ObjectRecovery) -> tuple[Tensor, Tensor]:
    """The cumulative distribution of recall over the samples with objects.

    Args:
        recovery: of one model.

    Returns:
        the different values of recall, rising, float64 [K], and the share of samples at or below each, float64 [K].
        Between the values the distribution is flat. AUCG is the area under that of f_B minus that under f_A.

    Raises:
        ValueError: wrong shape or dtype.
    """
    checks.numbers("recovery.recall", recovery.recall, "[N]", (None,), nan=True)
    known = recovery.recall[~recovery.recall.isnan()].double()
    values, counts = known.unique(return_counts=True)
    return values, counts.cumsum(0).double() / max(1, known.numel())


def with_objects(a: ObjectRecovery, b: ObjectRecovery) -> Tensor:
    """Bool [N]: the samples that have objects, the same under both models."""
    checks.numbers("a.recall", a.recall, "[N]", (None,), nan=True)
    size = tuple(a.recall.shape)
    for name, values in (("a.precision", a.precision), ("b.recall", b.recall), ("b.precision", b.precision)):
        checks.numbers(name, values, "[N]", size, like=a.recall, nan=True)
    kept = ~a.recall.isnan()
    if not torch.equal(kept, ~b.recall.isnan()):
        raise ValueError("b.recall: expected objects in the same samples as in a, found others")
    return kept


def _closed_errors(gaps: Tensor) -> Tensor:
    """Standard errors of the means of two rows of signs and one of recall gaps [3, n]."""
    n = gaps.shape[1]
    if n < 2:
        return gaps.new_full((3,), torch.nan)
    # The mean square of signs is p+ + p-; the recall gaps have the usual unbiased variance.
    variance = gaps.square().mean(1) - gaps.mean(1).square()
    variance[2] = gaps[2].var()
    return (variance.clamp(min=0) / n).sqrt()
