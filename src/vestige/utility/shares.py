"""Shares of samples with their uncertainty: over the samples, which come in groups, and over the seeds of a probe.

    p = mean over seeds s and samples i of x_si,   x_i = mean over s
    D = [G/(G-1) sum_g (sum_(i in g) (x_i - p))^2] / [n/(n-1) sum_i (x_i - p)^2]      design effect (Kish, 1965)
    v = p (1-p) max(1, D) / n + var_s(p_s) / S                                        variance of p
    m = p (1-p) / v                                                                   independent samples worth p
    (p + z^2/2m +- z sqrt(p (1-p) / m + z^2/4m^2)) / (1 + z^2/m)                       Wilson (1927)

With groups of one sample and one seed it is Wilson's interval. It stays within [0, 1], and where p is 0 or 1 it is no
point, as the normal interval would be.

Shapes: N samples, G groups, S seeds, C classes.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

from vestige.metrics import checks


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its interval.

    Attributes:
        value: in [0, 1].
        low, high: ends of the interval, in [0, 1]; NaN for fewer than two groups.
        n: how many samples there were.
        confidence: of the interval.
    """

    value: float
    low: float
    high: float
    n: int
    confidence: float


def share(hits: Tensor, group: Tensor | None = None, *, confidence: float = 0.95) -> Share:
    """The share of hits, with Wilson's interval for as many independent samples as the groups are worth.

    Args:
        hits: bool or numbers in [0, 1], [N] or [S, N], N >= 1.
        group: long [N]; every sample its own when not given.
        confidence: between 0 and 1.

    Raises:
        ValueError: wrong shape or dtype, no samples, values outside [0, 1].
    """
    hits, group = _checked(hits, group, confidence)
    n, p = hits.shape[1], float(hits.mean())
    if len(group.unique()) < 2:
        return Share(p, math.nan, math.nan, n, confidence)
    spread = p * (1 - p)
    variance = spread * max(1.0, _design_effect(hits.mean(0), group)) / n + _between(hits.mean(1))
    # Where all hit or none does, groups cannot be told to differ: each counts once.
    worth = spread / variance if spread > 0 else float(len(group.unique()))
    low, high = wilson(p, worth, confidence=confidence)
    return Share(p, low, high, n, confidence)


def wilson(p: float, m: float, *, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share.

    Args:
        p: the share, in [0, 1].
        m: how many independent samples it is worth, above 0.
        confidence: between 0 and 1.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre, reach = p + z * z / (2 * m), z * math.sqrt(p * (1 - p) / m + z * z / (4 * m * m))
    scale = 1 + z * z / m
    return max(0.0, (centre - reach) / scale), min(1.0, (centre + reach) / scale)


def class_mean_share(hits: Tensor, labels: Tensor, group: Tensor | None = None, *, confidence: float = 0.95) -> Share:
    """Mean over classes of the share of hits in each, with a normal interval cut to [0, 1].

    value = 1/C' sum_c p_c over the C' classes that have samples;  its linearised variance is that of a mean of
    z_i = N / (C' n_c(i)) (x_i - p_c(i)) over groups (Liang & Zeger, 1986), plus the variance between seeds.

    Args:
        hits: as in `share`.
        labels: long [N], the class of every sample.
        group, confidence: as in `share`.

    Raises:
        ValueError: as `share`.
    """
    hits, group = _checked(hits, group, confidence)
    n = hits.shape[1]
    checks.integers("labels", labels, "[N]", (n,), low=0)
    _, place, sizes = labels.unique(return_inverse=True, return_counts=True)
    rates = torch.stack([torch.bincount(place, weights=own, minlength=len(sizes)) / sizes for own in hits])
    means = rates.mean(1)
    value, groups = float(means.mean()), len(group.unique())
    if groups < 2:
        return Share(value, math.nan, math.nan, n, confidence)
    pull = (hits.mean(0) - rates.mean(0)[place]) * (n / len(sizes)) / sizes[place]
    variance = groups / (groups - 1) * float(_group_sums(pull, group).square().sum()) / n**2 + _between(means)
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(variance)
    return Share(value, max(0.0, value - reach), min(1.0, value + reach), n, confidence)


def _checked(hits: Tensor, group: Tensor | None, confidence: float) -> tuple[Tensor, Tensor]:
    """Hits in float64 [S, N] and groups [N]."""
    checks.fraction("confidence", confidence)
    if hits.ndim == 1:
        hits = hits[None]
    checks.shape("hits", hits, "[S, N]", (None, None))
    checks.count("hits: number of samples", hits.shape[1])
    checks.count("hits: number of seeds", hits.shape[0])
    hits = hits.double()
    checks.no_nan("hits", hits)
    if bool(((hits < 0) | (hits > 1)).any()):
        raise ValueError(f"hits: expected values from 0 to 1, found {float(hits.min()):g} to {float(hits.max()):g}")
    if group is None:
        group = torch.arange(hits.shape[1], device=hits.device)
    checks.integers("group", group, "[N]", (hits.shape[1],), low=0)
    return hits, group


def _group_sums(values: Tensor, group: Tensor) -> Tensor:
    _, place = group.unique(return_inverse=True)
    return torch.zeros(int(place.max()) + 1, dtype=values.dtype, device=values.device).index_add_(0, place, values)


def _design_effect(x: Tensor, group: Tensor) -> float:
    away, n = x - x.mean(), len(x)
    apart = float(away.square().sum()) * n / (n - 1)
    sums = _group_sums(away, group)
    return len(sums) / (len(sums) - 1) * float(sums.square().sum()) / apart if apart > 0 else 1.0


def _between(means: Tensor) -> float:
    """The variance of a mean over seeds; 0 for a single one, of which nothing is known."""
    return float(means.var()) / len(means) if len(means) > 1 else 0.0
