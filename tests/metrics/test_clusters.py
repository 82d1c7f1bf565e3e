"""The interval of a mean over groups."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from metrics.cases import numbers, same
from oracles import clusters as oracle
from vestige.metrics import grouped_mean_interval, mean_interval

some = settings(max_examples=60, deadline=None, derandomize=True)


@some
@given(seed=st.integers(0, 10_000), n=st.integers(1, 9), groups=st.integers(1, 5))
def test_equals_the_definition(seed: int, n: int, groups: int) -> None:
    """Groups of any size, one alone, numbers that are skipped."""
    values = numbers(seed, n)
    group = 3 * torch.randint(groups, (n,), generator=torch.Generator().manual_seed(seed))
    found = grouped_mean_interval(values, group, confidence=0.9)
    error = oracle.grouped_error(values, group)
    same(found.mean, float(values.mean()))
    same(found.se, error)
    if not math.isnan(error):
        reach = float(stats.t.ppf(0.95, len(group.unique()) - 1)) * error
        same(found.low, found.mean - reach)
        same(found.high, found.mean + reach)


def test_single_samples_are_students_interval() -> None:
    """Every sample its own group."""
    values = numbers(3, 20)
    found, plain = grouped_mean_interval(values, torch.arange(20)), mean_interval(values)
    for name in ("mean", "se", "low", "high"):
        same(getattr(found, name), getattr(plain, name))


def test_refusals() -> None:
    """Each ValueError names the argument and what was found."""
    with pytest.raises(ValueError, match=r"^group: expected \[N\] = \[3\], found \[2\]"):
        grouped_mean_interval(torch.zeros(3), torch.zeros(2).long())
    with pytest.raises(ValueError, match=r"^group: expected values of at least 0, found -1 to -1"):
        grouped_mean_interval(torch.zeros(3), torch.zeros(3).long() - 1)
    with pytest.raises(ValueError, match=r"^values: number of samples"):
        grouped_mean_interval(torch.zeros(0), torch.zeros(0).long())
    with pytest.raises(ValueError, match=r"^confidence: expected a number between 0 and 1"):
        grouped_mean_interval(torch.zeros(3), torch.zeros(3).long(), confidence=2.0)
