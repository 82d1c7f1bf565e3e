"""Memorization: what a model gains on a sample from having seen it.

    mem(i) = mean_(m: i in S_m) A(m, i)  -  mean_(m: i not in S_m) A(m, i)
    se(i)  = sqrt(var_in / n_in + var_out / n_out)

The one contrast under all the metrics. With two models f and g, i seen by f alone, it is A(f, i) - A(g, i): CLIPMem
(Wang et al., ICLR 2025, eq. 4), SSLMem, MultiMem. With K models on random subsets it is the estimator of Feldman &
Zhang (2020). A sample seen by g alone gets A(g, i) - A(f, i): its score as a memory of g.

Shapes: M models, N samples.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from . import checks


@dataclass(frozen=True, slots=True)
class Contrast:
    """Memorization of each sample, with what it was made from. All [N].

    Attributes:
        score: mean alignment of the models that saw the sample minus that of those that did not; NaN without either.
        se: standard error of the score over models; NaN unless there are two models on both sides.
        align_in: mean alignment of the models that saw the sample; NaN without any.
        align_out: mean alignment of the models that did not; NaN without any.
        n_in: long, how many models saw the sample (and have an alignment for it).
        n_out: long, how many did not.
    """

    score: Tensor
    se: Tensor
    align_in: Tensor
    align_out: Tensor
    n_in: Tensor
    n_out: Tensor


@dataclass(frozen=True, slots=True)
class Normalised:
    """Scores divided by the range of a stated set of scores.

    Attributes:
        values: [N], score / (high - low).
        low: smallest score of the set.
        high: largest score of the set. `values` lie in [-1, 1] for the set only if low <= 0 <= high.
    """

    values: Tensor
    low: float
    high: float


def memorization(alignment: Tensor, member: Tensor) -> Contrast:
    """Contrast the models that saw each sample with those that did not.

    Args:
        alignment: [M, N], how well model m does on sample i; NaN where model m has no alignment for i.
        member: bool [M, N], whether i was in the training set of m.

    Returns:
        `Contrast`, in units of the alignment. A model without an alignment for a sample does not count for it.

    Raises:
        ValueError: wrong shape, dtype or device, infinite alignment.
    """
    checks.numbers("alignment", alignment, "[M, N]", (None, None), nan=True)
    checks.boolean("member", member, "[M, N]", tuple(alignment.shape), alignment)
    alignment = alignment.to(checks.working_dtype(alignment))
    known = ~alignment.isnan()
    align_in, var_in, n_in = _moments(alignment, known & member)
    align_out, var_out, n_out = _moments(alignment, known & ~member)
    return Contrast(
        score=align_in - align_out,
        se=(var_in / n_in + var_out / n_out).sqrt(),
        align_in=align_in,
        align_out=align_out,
        n_in=n_in,
        n_out=n_out,
    )


def contrast_weights(member: Tensor) -> Tensor:
    """The weight of each model in the score: +1/n_in where it saw the sample, -1/n_out where it did not.

    Args:
        member: bool [M, N].

    Returns:
        float64 [M, N]; the score is `(weights * alignment).sum(0)`. NaN for a sample all models saw, or none.

    Raises:
        ValueError: wrong shape or dtype.
    """
    checks.boolean("member", member, "[M, N]", (None, None), member)
    n_in = member.sum(0).double()
    n_out = member.shape[0] - n_in
    weights = torch.where(member, 1 / n_in, -1 / n_out)
    return weights.where((n_in > 0) & (n_out > 0), torch.nan)


def normalise(score: Tensor, *reference: Tensor) -> Normalised:
    """Divide scores by the range (max - min) of a stated set of scores.

    The papers' figures are normalised but do not say over which set; what is passed as `reference` is the choice:
    the candidates alone fit CLIPMem's figures, candidates and independent samples together fit MultiMem's, and the
    scores of all the models under comparison give one range shared by all, the only choice that keeps their order.

    Args:
        score: [N], the scores to divide; NaN stays NaN.
        *reference: one tensor [K] or more: together, the set whose range is taken. NaN is left out.

    Returns:
        `Normalised`. The result lies in [-1, 1] only if 0 lies inside the range; one outlier in the set shrinks all.

    Raises:
        ValueError: wrong shape or dtype, infinite values, a set with fewer than two different scores.
    """
    checks.numbers("score", score, "[N]", (None,), nan=True)
    for k, scores in enumerate(reference):
        checks.numbers(f"reference[{k}]", scores, "[K]", (None,), like=score, nan=True)
    dtype = checks.working_dtype(score, *reference)
    values = torch.cat([scores.to(dtype) for scores in reference]) if reference else score.new_empty(0)
    values = values[~values.isnan()]
    different = values.unique().numel()
    if different < 2:
        raise ValueError(f"reference: expected at least two different scores, found {different}")
    low, high = values.min(), values.max()
    return Normalised(score.to(dtype) / (high - low), float(low), float(high))


def _moments(alignment: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (NaN for none), unbiased variance (NaN for fewer than two) and number over the chosen models; each [N]."""
    n = chosen.sum(0)
    mean = alignment.where(chosen, 0).sum(0) / n
    square = (alignment - mean).where(chosen, 0).square().sum(0)
    return mean, (square / (n - 1)).where(n > 1, torch.nan), n
