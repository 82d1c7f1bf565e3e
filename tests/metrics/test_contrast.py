"""The contrast, its weights, its null and its normalisation."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.cases import mask, numbers, same
from oracles import contrast as oracle
from vestige.metrics import benjamini_hochberg, contrast_weights, memorization, normalise, null_p_values

some = settings(max_examples=80, deadline=None, derandomize=True)
seeds = st.integers(0, 10_000)


@some
@given(seed=seeds, m=st.integers(1, 6), n=st.integers(0, 5), holes=st.booleans(), tied=st.booleans())
def test_memorization(seed: int, m: int, n: int, holes: bool, tied: bool) -> None:
    """Any membership, missing alignments, equal ones."""
    alignment, member = numbers(seed, m, n, tied=tied), mask(seed + 1, m, n)
    if holes:
        alignment = alignment.where(mask(seed + 2, m, n), torch.nan)
    found = memorization(alignment, member)
    expected = oracle.memorization(alignment, member)
    columns = (found.score, found.se, found.align_in, found.align_out, found.n_in, found.n_out)
    for k, column in enumerate(columns):
        same(column, [float(row[k]) for row in expected])
    assert found.n_in.dtype == found.n_out.dtype == torch.long


def test_two_models_give_the_difference_and_no_error() -> None:
    """CLIPMem, eq. 4; the independent sample has the sign of the model that saw it."""
    found = memorization(torch.tensor([[0.9, 0.1, 0.5], [0.2, 0.4, 0.5]]), torch.tensor([[1, 0, 1], [0, 1, 1]]).bool())
    same(found.score, [0.7, 0.3, math.nan])
    assert found.se.isnan().all()
    same(found.align_in, [0.9, 0.4, 0.5])
    same(found.align_out, [0.2, 0.1, math.nan])


@some
@given(seed=seeds, m=st.integers(1, 5), n=st.integers(1, 5))
def test_weights_give_the_score(seed: int, m: int, n: int) -> None:
    """The score is one linear form of the alignments."""
    alignment, member = numbers(seed, m, n), mask(seed + 1, m, n)
    same((contrast_weights(member) * alignment).sum(0), memorization(alignment, member).score.tolist())


@some
@given(
    seed=seeds,
    n=st.integers(0, 8),
    k=st.integers(1, 8),
    tied=st.booleans(),
    alternative=st.sampled_from(["greater", "less", "two-sided"]),
)
def test_null_p_values(seed: int, n: int, k: int, tied: bool, alternative: str) -> None:
    """Ties count as extreme; NaN stays NaN."""
    score = numbers(seed, n, tied=tied).where(mask(seed, n, share=0.8), torch.nan)
    null = numbers(seed + 1, k, tied=tied)
    same(null_p_values(score, null, alternative=alternative), oracle.null_p_values(score, null, alternative))
    strided = torch.stack([score, score], dim=1)[:, 0]
    same(null_p_values(strided, null, alternative=alternative), oracle.null_p_values(score, null, alternative))


@some
@given(seed=seeds, n=st.integers(0, 9), tied=st.booleans(), holes=st.booleans())
def test_benjamini_hochberg(seed: int, n: int, tied: bool, holes: bool) -> None:
    """The definition by counting; missing tests are no tests."""
    p = (numbers(seed, n, tied=True) + 2) / 4 if tied else torch.special.ndtr(numbers(seed, n))
    p = p.where(mask(seed, n), torch.nan) if holes else p
    same(benjamini_hochberg(p), oracle.benjamini_hochberg(p))


def test_false_discoveries_stay_under_the_level() -> None:
    """Under the null, no more than about the level of data sets have a discovery."""
    generator = torch.Generator().manual_seed(0)
    hits = sum(bool((benjamini_hochberg(torch.rand(50, generator=generator)) <= 0.1).any()) for _ in range(400))
    assert hits / 400 < 0.1 + 3 * math.sqrt(0.1 * 0.9 / 400)


def test_normalise() -> None:
    """Range of one set or of several; NaN is no score; the result is bounded only if 0 is inside."""
    score = torch.tensor([1.0, 2.0, torch.nan])
    found = normalise(score, torch.tensor([1.0, 3.0, torch.nan]))
    same(found.values, [0.5, 1.0, math.nan])
    assert (found.low, found.high) == (1.0, 3.0)
    found = normalise(score, torch.tensor([1.0, 3.0]), torch.tensor([-1.0]))
    same(found.values, [0.25, 0.5, math.nan])
    assert (found.low, found.high) == (-1.0, 3.0)
    assert float(normalise(torch.tensor([3.0]), torch.tensor([2.0, 3.0])).values) == 3.0


def test_refusals() -> None:
    """Each ValueError names the argument and what was found."""
    a, member = torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"^alignment: expected \[M, N\], found \[3\]"):
        memorization(a[0], member)
    with pytest.raises(ValueError, match=r"^alignment: expected finite values or NaN, found 6 infinite"):
        memorization(a + torch.inf, member)
    with pytest.raises(ValueError, match=r"^alignment: expected float16, bfloat16, float32 or float64, found int64"):
        memorization(a.long(), member)
    with pytest.raises(ValueError, match=r"^member: expected \[M, N\] = \[2, 3\], found \[1, 3\]"):
        memorization(a, member[:1])
    with pytest.raises(ValueError, match=r"^member: expected bool, found float32"):
        memorization(a, a)
    with pytest.raises(ValueError, match=r"^member: expected device cpu, found meta"):
        memorization(a, member.to("meta"))
    with pytest.raises(ValueError, match=r"^member: expected bool, found float32"):
        contrast_weights(a)
    with pytest.raises(ValueError, match=r"^reference: expected at least two different scores, found 0"):
        normalise(a[0])
    with pytest.raises(ValueError, match=r"^reference: expected at least two different scores, found 1"):
        normalise(a[0], a[0])
    with pytest.raises(ValueError, match=r"^reference\[1\]: expected finite values or NaN, found 3 infinite"):
        normalise(a[0], a[0], a[0] + torch.inf)
    with pytest.raises(ValueError, match=r"^null: number of scores: expected a whole number of at least 1, found 0"):
        null_p_values(a[0], a[0, :0])
    with pytest.raises(ValueError, match=r"^null: expected finite values, found 3 NaN"):
        null_p_values(a[0], a[0] * torch.nan)
    with pytest.raises(ValueError, match=r"^alternative: expected one of 'greater', 'less', 'two-sided', found 'both'"):
        null_p_values(a[0], a[0], alternative="both")
    with pytest.raises(ValueError, match=r"^p: expected values in \[0, 1\], found -0.5 to 2"):
        benjamini_hochberg(torch.tensor([2.0, -0.5, torch.nan]))
