"""Means, rankings and detection against counting, and against scipy where the oracle is a table."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from metrics.cases import mask, numbers, same
from oracles import statistics as oracle
from vestige.metrics import (
    auc,
    average_precision,
    bootstrap_mean,
    mean_interval,
    paired_test,
    precision_at,
    spearman,
    statistics,
    top_overlap,
)
from vestige.metrics.student import student_quantile

some = settings(max_examples=60, deadline=None, derandomize=True)
seeds = st.integers(0, 10_000)


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 10, 51, 200, 201, 1000, 10**6])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_student_quantile(degrees: int, confidence: float) -> None:
    """Both the series and the expansion."""
    expected = float(stats.t.ppf((1 + confidence) / 2, degrees))
    assert student_quantile(confidence, degrees) == pytest.approx(expected, rel=1e-8)


@some
@given(seed=seeds, n=st.integers(2, 9), confidence=st.sampled_from([0.8, 0.95]))
def test_mean_interval(seed: int, n: int, confidence: float) -> None:
    """Student's interval."""
    values = numbers(seed, n)
    found = mean_interval(values, confidence=confidence)
    error = float(stats.sem(values.numpy()))
    low, high = stats.t.interval(confidence, n - 1, float(values.mean()), error)
    for a, b in ((found.mean, values.mean()), (found.se, error), (found.low, low), (found.high, high)):
        same(a, float(b))
    assert (found.n, found.confidence) == (n, confidence)


def test_one_value_has_no_interval() -> None:
    """A mean alone."""
    found = mean_interval(torch.tensor([2.0]))
    assert found.mean == 2.0
    assert all(math.isnan(x) for x in (found.se, found.low, found.high))


def test_bootstrap_mean() -> None:
    """Its error is that of the mean; it repeats itself; the interval covers."""
    values = numbers(4, 300)
    found = bootstrap_mean(values, repetitions=4000)
    error = float(values.std(correction=0)) / math.sqrt(300)
    assert found.se == pytest.approx(error, rel=0.05)
    assert found.low == pytest.approx(found.mean - 1.96 * error, abs=0.2 * error)
    assert found.high == pytest.approx(found.mean + 1.96 * error, abs=0.2 * error)
    assert found == bootstrap_mean(values, repetitions=4000)
    assert found == bootstrap_mean(values, repetitions=4000, generator=torch.Generator().manual_seed(0))
    assert found != bootstrap_mean(values, repetitions=4000, generator=torch.Generator().manual_seed(1))
    assert math.isnan(bootstrap_mean(values, repetitions=1).se)


@some
@given(seed=seeds, n=st.integers(1, 8), tied=st.booleans())
def test_paired_test_counts_all_patterns(seed: int, n: int, tied: bool) -> None:
    """Exact for few pairs; ties with the data count."""
    a, b = numbers(seed, n, tied=tied), numbers(seed + 1, n, tied=tied)
    found = paired_test(a, b)
    same(found.p_value, oracle.paired_p_value(a, b))
    same(found.difference, float((a - b).mean()))
    assert found.exact
    assert found.n == n


def test_paired_test_by_random_patterns() -> None:
    """Close to the exact one, seeded, never 0."""
    a, b = numbers(3, 12) + 0.5, numbers(4, 12)
    exact = paired_test(a, b)
    random = paired_test(a, b, repetitions=4000)
    assert exact.exact
    assert not random.exact
    assert random.p_value == pytest.approx(exact.p_value, abs=4 * math.sqrt(exact.p_value / 4000))
    assert random == paired_test(a, b, repetitions=4000)
    assert paired_test(numbers(3, 40) + 9, numbers(4, 40), repetitions=99).p_value == pytest.approx(0.01)


@some
@given(seed=seeds, n=st.integers(2, 9), tied=st.booleans())
def test_auc(seed: int, n: int, tied: bool) -> None:
    """Mann-Whitney with ties, and DeLong's error."""
    score, positive = numbers(seed, n, tied=tied), mask(seed, n)
    positive[0], positive[1] = True, False
    found = auc(score, positive)
    value, error = oracle.auc(score, positive)
    same(found.value, value)
    same(found.se, error)
    if not math.isnan(error):
        same(found.low, max(0.0, value - 1.959963984540054 * error))
        same(found.high, min(1.0, value + 1.959963984540054 * error))


def test_auc_interval_covers() -> None:
    """The 95% interval holds the truth in about 95% of data sets."""
    truth = 0.5 * (1 + math.erf(0.5))  # P(x + 1 > y) of two normals
    held = 0
    for seed in range(300):
        score, positive = numbers(seed, 120), torch.arange(120) < 40
        score[positive] += 1
        found = auc(score, positive)
        held += found.low <= truth <= found.high
    assert 0.90 < held / 300 < 0.99


@some
@given(seed=seeds, n=st.integers(1, 9), tied=st.booleans())
def test_precision_and_ranks(seed: int, n: int, tied: bool) -> None:
    """Average precision, precision at k, rank correlation and common top, all with ties."""
    score, other, positive = numbers(seed, n, tied=tied), numbers(seed + 1, n, tied=tied), mask(seed, n)
    positive[-1] = True
    same(average_precision(score, positive), oracle.average_precision(score, positive))
    for k in range(1, n + 1):
        first, second = oracle.top(score, k), oracle.top(other, k)
        assert precision_at(score, positive, k) == sum(bool(positive[i]) for i in first) / k
        assert top_overlap(score, other, k) == len(first & second) / k
    if n > 1:
        same(spearman(score, other), oracle.spearman(score, other))


def test_equal_values_stay_in_order() -> None:
    """Thousands of ties: the first ones are the top, in every ranking."""
    score = torch.zeros(5000)
    positive = torch.arange(5000) < 100
    assert precision_at(score, positive, 100) == 1.0
    assert top_overlap(score, -torch.arange(5000.0), 100) == 1.0


def test_portions_meet_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same draws and the same counts, however many are held at a time."""
    a, b = numbers(3, 6), numbers(4, 6)
    exact = paired_test(a, b)
    monkeypatch.setattr(statistics, "CELLS", 50)
    assert paired_test(a, b) == exact
    assert bootstrap_mean(a, repetitions=500).se == pytest.approx(float(a.std(correction=0)) / math.sqrt(6), rel=0.1)


def test_half_precision_is_not_compared_in_half() -> None:
    """Values are widened first, so equal stored values stay ties and others stay apart."""
    score = torch.tensor([1.0, 2.0, 2.0, 3.0], dtype=torch.float16)
    assert spearman(score, score) == 1.0
    assert auc(score, torch.tensor([False, False, True, True])).value == 0.875


def test_refusals() -> None:
    """Each ValueError names the argument and what was found."""
    x, yes = torch.arange(3.0), torch.tensor([True, False, True])
    with pytest.raises(ValueError, match=r"^values: number of values: expected a whole number of at least 1, found 0"):
        mean_interval(x[:0])
    with pytest.raises(ValueError, match=r"^values: expected finite values, found 3 NaN and 0 infinite"):
        mean_interval(x * torch.nan)
    with pytest.raises(ValueError, match=r"^confidence: expected a number between 0 and 1, both excluded, found 95"):
        mean_interval(x, confidence=95)
    with pytest.raises(ValueError, match=r"^repetitions: expected a whole number of at least 1, found 0"):
        bootstrap_mean(x, repetitions=0)
    with pytest.raises(ValueError, match=r"^b: expected \[N\] = \[3\], found \[2\]"):
        paired_test(x, x[:2])
    with pytest.raises(ValueError, match=r"^b: expected device cpu, found meta"):
        spearman(x, x.to("meta"))
    with pytest.raises(ValueError, match=r"^a: number of values: expected a whole number of at least 2, found 1"):
        spearman(x[:1], x[:1])
    with pytest.raises(ValueError, match=r"^k: expected a whole number from 1 to 3, found 4"):
        top_overlap(x, x, 4)
    with pytest.raises(ValueError, match=r"^k: expected a whole number from 1 to 3, found 0"):
        precision_at(x, yes, 0)
    with pytest.raises(ValueError, match=r"^positive: expected at least one positive, found none"):
        average_precision(x, ~yes & yes)
    with pytest.raises(ValueError, match=r"^positive: expected at least one negative, found none"):
        auc(x, yes | ~yes)
    with pytest.raises(ValueError, match=r"^positive: expected bool, found float32"):
        auc(x, x)
    with pytest.raises(ValueError, match=r"^score: expected finite values, found 3 NaN"):
        auc(x * torch.nan, yes)
