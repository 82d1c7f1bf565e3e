"""Several pieces of evidence as one: the mean of their normal scores.

    z(i) = Phi^-1( (rank(i) - 1/2) / n )          normal score; equal values share the mean of their ranks
    suspicion(i) = (rank of mean_e z_e(i) - 1/2) / n

Evidence is on scales that have nothing in common, so only its order counts; the normal score, unlike the rank, lets a
sample stand out that is far up in one piece. All pieces weigh the same: nothing is fitted.

A sample is ranked among those of which there is the same evidence: a pair that all models saw lacks the held-out view,
and is not the less suspicious, or the more, for that.

Shapes: N samples, E pieces of evidence.
"""

import torch
from torch import Tensor

from vestige.metrics import checks
from vestige.metrics.statistics import mean_ranks


def normal_scores(values: Tensor) -> Tensor:
    """The normal scores of values [N], float64 [N].

    Raises:
        ValueError: wrong shape or dtype, NaN.
    """
    checks.numbers("values", values, "[N]", (None,))
    return torch.special.ndtri(_shares(values))


def combined(evidence: Tensor) -> Tensor:
    """The suspicion of every sample.

    Args:
        evidence: [E, N], each row high for what is suspicious; NaN where there is none.

    Returns:
        float64 [N] in (0, 1): the share of the samples with the same evidence that are less suspicious (half of itself
        among them). No probability. NaN for a sample without evidence.

    Raises:
        ValueError: wrong shape or dtype, infinite evidence.
    """
    checks.numbers("evidence", evidence, "[E, N]", (None, None), nan=True)
    known = ~evidence.isnan()
    result = torch.full((evidence.shape[1],), torch.nan, dtype=torch.float64)
    patterns, kind = known.unique(dim=1, return_inverse=True)
    for number, pattern in enumerate(patterns.T):
        if not pattern.any():
            continue
        rows = kind == number
        scores = torch.stack([normal_scores(own[rows]) for own in evidence[pattern]])
        # Rounded: the same scores in another order add up to the same.
        result[rows] = _shares(scores.mean(0).round(decimals=9))
    return result


def _shares(values: Tensor) -> Tensor:
    return (mean_ranks(values) - 0.5) / values.numel()
