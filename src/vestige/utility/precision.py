"""Mean average precision: the measure where a sample has a set of classes.

    AP_c = sum over thresholds of (recall step) x (precision), equal scores sharing a threshold
    mAP  = mean of AP_c

The interval is a percentile bootstrap over groups; a resample weighs every sample by how often its group was drawn.

Shapes: N samples, C classes, R resamples.
"""

import math

import torch
from torch import Tensor

from vestige.metrics import average_precision, checks
from vestige.metrics.statistics import portions, seeded
from vestige.utility.shares import Share

REPETITIONS = 200


def mean_average_precision(
    scores: Tensor,
    positive: Tensor,
    group: Tensor | None = None,
    *,
    repetitions: int = REPETITIONS,
    confidence: float = 0.95,
) -> Share:
    """Mean over the classes that have a positive.

    Args:
        scores: [N, C].
        positive: bool [N, C], at least one True.
        group: long [N]; every sample its own when not given.
        repetitions: R.
        confidence: between 0 and 1.

    Returns:
        `Share` with n the number of samples; NaN ends for fewer than two groups.

    Raises:
        ValueError: wrong shape or dtype, NaN, no positive.
    """
    checks.fraction("confidence", confidence)
    checks.count("repetitions", repetitions)
    checks.numbers("scores", scores, "[N, C]", (None, None))
    checks.boolean("positive", positive, "[N, C]", tuple(scores.shape), scores)
    n = len(scores)
    if group is None:
        group = torch.arange(n)
    checks.integers("group", group, "[N]", (n,), low=0)
    known = torch.nonzero(positive.any(0)).flatten().tolist()
    if not known:
        raise ValueError("positive: expected at least one positive, found none")
    value = sum(average_precision(scores[:, c], positive[:, c]) for c in known) / len(known)
    _, place = group.unique(return_inverse=True)
    groups = int(place.max()) + 1
    if groups < 2:
        return Share(value, math.nan, math.nan, n, confidence)
    generator = seeded(torch.zeros(0))
    means = []
    for rows in portions(repetitions, max(n, groups)):
        drawn = torch.randint(groups, (rows, groups), generator=generator)
        weight = torch.zeros(rows, groups).scatter_add_(1, drawn, torch.ones(rows, groups))[:, place]
        found = torch.stack([_weighted(scores[:, c], positive[:, c], weight) for c in known])
        means.append(found.nanmean(0))
    # A resample that drew no positive at all says nothing.
    drawn_means = torch.cat(means)
    drawn_means = drawn_means[~drawn_means.isnan()].double()
    tail = (1 - confidence) / 2
    low, high = torch.quantile(drawn_means, torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return Share(value, low, high, n, confidence)


def _weighted(score: Tensor, positive: Tensor, weight: Tensor) -> Tensor:
    """Average precision of weighted samples, [R], from weights [R, N]; NaN where no positive has weight."""
    order = score.argsort(descending=True)
    score, positive, weight = score[order], positive[order], weight[:, order]
    ends = torch.ones_like(positive)
    ends[:-1] = score.diff() != 0
    hits, taken = (weight * positive).cumsum(1)[:, ends], weight.cumsum(1)[:, ends]
    steps = hits.diff(dim=1, prepend=hits.new_zeros(len(hits), 1))
    return (steps * hits / taken.clamp(min=1e-9)).sum(1) / hits[:, -1]
