"""Means with their uncertainty, and the agreement of two rankings.

    mean +- t_(n-1) s / sqrt(n)                                        Student's interval
    p = (1 + #{r : |mean(e_r d)| >= |mean(d)|}) / (1 + R), e = +-1     sign-flip permutation test of paired differences
    rho = corr(rank a, rank b), equal values sharing their mean rank   Spearman's rank correlation

Every random draw takes a generator; without one it starts from seed 0, so a result can be repeated.

Shapes: N values.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from . import checks
from .student import student_quantile

CELLS = 4_000_000  # random numbers held at a time


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its uncertainty.

    Attributes:
        mean: the mean, in units of the values.
        se: its standard error; NaN for fewer than two values.
        low: lower end of the interval.
        high: upper end.
        confidence: share of repetitions of the study in which the interval holds the true mean.
        n: how many values there were.
    """

    mean: float
    se: float
    low: float
    high: float
    confidence: float
    n: int


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Whether two measurements of the same samples differ in the mean.

    Attributes:
        difference: mean of a - b.
        p_value: two-sided.
        n: pairs.
        exact: all 2^n sign patterns were counted, not a random selection.
    """

    difference: float
    p_value: float
    n: int
    exact: bool


def mean_interval(values: Tensor, *, confidence: float = 0.95) -> Interval:
    """Student's t interval for the mean: right for few values (seeds) if they are near normal, for many in any case.

    Args:
        values: [N], N >= 1.
        confidence: between 0 and 1.

    Returns:
        `Interval`; for one value, mean alone: se, low and high are NaN.

    Raises:
        ValueError: wrong shape or dtype, NaN, no values, confidence outside (0, 1).
    """
    checks.fraction("confidence", confidence)
    values, n = _values("values", values)
    mean = float(values.mean())
    if n < 2:
        return Interval(mean, math.nan, math.nan, math.nan, confidence, n)
    error = float(values.std()) / math.sqrt(n)
    reach = student_quantile(confidence, n - 1) * error
    return Interval(mean, error, mean - reach, mean + reach, confidence, n)


def bootstrap_mean(
    values: Tensor, *, repetitions: int = 1000, confidence: float = 0.95, generator: torch.Generator | None = None
) -> Interval:
    """Percentile bootstrap of the mean: no assumption on the distribution, but too narrow for fewer than ~20 values.

    Args:
        values: [N], N >= 1.
        repetitions: resamples of N values with replacement.
        confidence: between 0 and 1.
        generator: source of randomness, on the device of `values` (default: a new one with seed 0).

    Returns:
        `Interval`; se is the standard deviation of the resampled means (NaN for one repetition).

    Raises:
        ValueError: wrong shape or dtype, NaN, no values, confidence outside (0, 1).
    """
    checks.fraction("confidence", confidence)
    checks.count("repetitions", repetitions)
    values, n = _values("values", values)
    generator = generator or seeded(values)
    means = torch.cat(
        [
            values[torch.randint(n, (rows, n), generator=generator, device=values.device)].mean(1)
            for rows in portions(repetitions, n)
        ]
    )
    tail = (1 - confidence) / 2
    low, high = torch.quantile(means, torch.tensor([tail, 1 - tail], dtype=means.dtype, device=means.device)).tolist()
    error = float(means.std()) if repetitions > 1 else math.nan
    return Interval(float(values.mean()), error, low, high, confidence, n)


def paired_test(
    a: Tensor, b: Tensor, *, repetitions: int = 9999, generator: torch.Generator | None = None
) -> PairedTest:
    """Sign-flip permutation test: under the null a and b are exchangeable within each pair.

    Args:
        a: [N], N >= 1.
        b: [N], the same samples.
        repetitions: random sign patterns; where 2^N is no more than that, all patterns are counted instead.
        generator: source of randomness, on the device of `a` (default: a new one with seed 0).

    Returns:
        `PairedTest`. With N pairs no p-value is below 2 / 2^N: three seeds cannot give less than 0.25.

    Raises:
        ValueError: wrong shape, dtype or device, NaN, no pairs.
    """
    checks.count("repetitions", repetitions)
    a, n = _values("a", a)
    checks.device("b", b, a)
    checks.shape("b", b, "[N]", (n,))
    difference = a - _values("b", b)[0]
    # Sums of the same numbers in another order differ by rounding: a pattern that ties with the data counts as a tie.
    bound = difference.sum().abs() - 1e-9 * difference.abs().sum()
    exact = 2**n <= repetitions
    extreme = 0
    generator = generator or seeded(a)
    start = 0
    for rows in portions(2**n if exact else repetitions, n):
        if exact:
            code = torch.arange(start, start + rows, device=a.device).unsqueeze(1)
            bits = code >> torch.arange(n, device=a.device) & 1
        else:
            bits = torch.randint(2, (rows, n), generator=generator, device=a.device)
        extreme += int(((2 * bits - 1).to(a.dtype) @ difference).abs().ge(bound).sum())
        start += rows
    p = extreme / 2**n if exact else (1 + extreme) / (1 + repetitions)
    return PairedTest(float(difference.mean()), p, n, exact)


def spearman(a: Tensor, b: Tensor) -> float:
    """Spearman's rank correlation; equal values share their mean rank.

    Args:
        a: [N], N >= 2.
        b: [N].

    Returns:
        a number in [-1, 1]; NaN where all values of a or of b are equal.

    Raises:
        ValueError: wrong shape, dtype or device, NaN, fewer than two values.
    """
    a, n = _values("a", a, least=2)
    checks.device("b", b, a)
    checks.shape("b", b, "[N]", (n,))
    first, second = (mean_ranks(t) - (n + 1) / 2 for t in (a, _values("b", b)[0]))
    norm = float((first.square().sum() * second.square().sum()).sqrt())
    return max(-1.0, min(1.0, float(first @ second) / norm)) if norm > 0 else math.nan


def top_overlap(a: Tensor, b: Tensor, k: int) -> float:
    """Share of the k highest of a that are among the k highest of b; of equal values the first ones count as higher.

    Args:
        a: [N].
        b: [N], the same samples.
        k: from 1 to N.

    Returns:
        a number in [0, 1]; k / N on average for unrelated rankings.

    Raises:
        ValueError: wrong shape, dtype or device, NaN, k outside 1 to N.
    """
    a, n = _values("a", a)
    checks.device("b", b, a)
    checks.shape("b", b, "[N]", (n,))
    checks.count("k", k, most=n)
    first, second = (descending(t)[:k] for t in (a, _values("b", b)[0]))
    return int(torch.isin(first, second).sum()) / k


def descending(values: Tensor) -> Tensor:
    """The order from high to low, long [N]; of equal values the first comes first."""
    return values.argsort(descending=True, stable=True)


def mean_ranks(values: Tensor) -> Tensor:
    """Ranks from 1, float64 [N]; equal values share the mean of their ranks."""
    _, group, size = values.unique(return_inverse=True, return_counts=True)
    last = size.cumsum(0).double()
    return (last - (size - 1) / 2)[group]


def seeded(like: Tensor) -> torch.Generator:
    """A generator with seed 0 on the device of `like`."""
    return torch.Generator(device=like.device).manual_seed(0)


def portions(total: int, width: int) -> Iterator[int]:
    """`total` rows of `width` cells in portions that fit in memory."""
    rows = max(1, CELLS // max(1, width))
    for start in range(0, total, rows):
        yield min(rows, total - start)


def _values(name: str, values: Tensor, *, least: int = 1) -> tuple[Tensor, int]:
    """The values in float64 and their number."""
    checks.numbers(name, values, "[N]", (None,))
    checks.count(f"{name}: number of values", values.numel(), least=least)
    return values.double(), values.numel()
