"""The mean of samples that come in groups, which are alike and so tell less than as many independent ones.

    se^2 = G / (G - 1) / n^2  sum_g ( sum_(i in g) (x_i - mean) )^2        Liang & Zeger (1986), for a mean

Variants of one emoji or clips of one video are trained on, and left out, together: their scores move together. With
groups of one sample it is Student's interval.

Shapes: N samples, G groups.
"""

import math

import torch
from torch import Tensor

from . import checks
from .statistics import Interval
from .student import student_quantile


def grouped_mean_interval(values: Tensor, group: Tensor, *, confidence: float = 0.95) -> Interval:
    """Cluster-robust t interval for the mean, with G - 1 degrees of freedom.

    Args:
        values: [N], N >= 1.
        group: long [N], the group of each sample, any non-negative numbers.
        confidence: between 0 and 1.

    Returns:
        `Interval` with n the number of samples; for one group, mean alone: se, low and high are NaN.

    Raises:
        ValueError: wrong shape or dtype, NaN, no values, confidence outside (0, 1).
    """
    checks.fraction("confidence", confidence)
    checks.numbers("values", values, "[N]", (None,))
    checks.count("values: number of samples", values.numel())
    checks.integers("group", group, "[N]", (values.numel(),), low=0, high=None)
    values = values.double()
    n = values.numel()
    mean = float(values.mean())
    _, place = group.unique(return_inverse=True)
    groups = int(place.max()) + 1
    if groups < 2:
        return Interval(mean, math.nan, math.nan, math.nan, confidence, n)
    sums = torch.zeros(groups, dtype=values.dtype, device=values.device).index_add_(0, place, values - mean)
    error = math.sqrt(groups / (groups - 1) * float(sums.square().sum())) / n
    reach = student_quantile(confidence, groups - 1) * error
    return Interval(mean, error, mean - reach, mean + reach, confidence, n)
