"""How well a score finds the samples it should find (planted wrong captions, say).

    AUC = P(score of a positive > score of a negative) + 1/2 P(equal)                 Mann-Whitney
    var = var(V_pos) / n_pos + var(V_neg) / n_neg                                     DeLong et al. (1988)
    AP  = sum over thresholds of (recall step) x (precision)                          equal scores share a threshold

V_pos of a positive is the share of negatives below it, V_neg of a negative the share of positives above it (ties half):
both come from ranks, in O(N log N).

Shapes: N samples.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

from . import checks
from .statistics import descending, mean_ranks


@dataclass(frozen=True, slots=True)
class AUC:
    """Area under the ROC curve.

    Attributes:
        value: in [0, 1]; 0.5 for a score that knows nothing.
        se: DeLong's standard error; NaN with fewer than two positives or two negatives.
        low: lower end of the normal interval, not below 0.
        high: upper end, not above 1.
        confidence: of the interval.
    """

    value: float
    se: float
    low: float
    high: float
    confidence: float


def auc(score: Tensor, positive: Tensor, *, confidence: float = 0.95) -> AUC:
    """Area under the ROC curve with DeLong's interval.

    Args:
        score: [N], higher meaning more likely positive.
        positive: bool [N], with at least one True and one False.
        confidence: between 0 and 1.

    Returns:
        `AUC`. A perfect separation has se 0: the interval then says nothing about further samples.

    Raises:
        ValueError: wrong shape, dtype or device, NaN, a class without samples, confidence outside (0, 1).
    """
    checks.fraction("confidence", confidence)
    score = _labelled(score, positive)
    n_pos = int(positive.sum())
    n_neg = positive.numel() - n_pos
    if n_neg == 0:
        raise ValueError("positive: expected at least one negative, found none")
    rank = mean_ranks(score)
    v_pos = (rank[positive] - mean_ranks(score[positive])) / n_neg
    v_neg = 1 - (rank[~positive] - mean_ranks(score[~positive])) / n_pos
    value = float(v_pos.mean())
    error = math.sqrt(float(v_pos.var()) / n_pos + float(v_neg.var()) / n_neg) if min(n_pos, n_neg) > 1 else math.nan
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * error
    low, high = (torch.tensor([value - reach, value + reach], dtype=torch.float64).clamp(0, 1)).tolist()
    return AUC(value, error, low, high, confidence)


def average_precision(score: Tensor, positive: Tensor) -> float:
    """Mean precision at the thresholds where positives are found; samples of equal score are taken together.

    Args:
        score: [N], higher meaning more likely positive.
        positive: bool [N], at least one True.

    Returns:
        a number in (0, 1]; about the share of positives for a score that knows nothing.

    Raises:
        ValueError: wrong shape, dtype or device, NaN, no positive.
    """
    score = _labelled(score, positive)
    order = descending(score)
    found = positive[order].double().cumsum(0)
    ends = torch.ones_like(positive)
    ends[:-1] = score[order].diff() != 0
    hits = found[ends]
    taken = torch.arange(1, score.numel() + 1, dtype=torch.float64, device=score.device)[ends]
    steps = hits.diff(prepend=hits.new_zeros(1)) / found[-1]
    return float((steps * hits / taken).sum())


def precision_at(score: Tensor, positive: Tensor, k: int) -> float:
    """Share of positives among the k highest scores; of equal scores the first ones count as higher.

    Args:
        score: [N].
        positive: bool [N], at least one True.
        k: from 1 to N.

    Returns:
        a number in [0, 1].

    Raises:
        ValueError: wrong shape, dtype or device, NaN, no positive, k outside 1 to N.
    """
    score = _labelled(score, positive)
    checks.count("k", k, most=score.numel())
    return int(positive[descending(score)[:k]].sum()) / k


def _labelled(score: Tensor, positive: Tensor) -> Tensor:
    """The score in float64; at least one sample is positive."""
    checks.numbers("score", score, "[N]", (None,))
    checks.boolean("positive", positive, "[N]", tuple(score.shape), score)
    if not bool(positive.any()):
        raise ValueError("positive: expected at least one positive, found none")
    return score.double()
