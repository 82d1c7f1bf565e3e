"""The interval of a rank correlation."""

import math

import pytest
import torch
from torch import Tensor

from vestige.metrics import rank_agreement, spearman


def bivariate(rho: float, *shape: int, seed: int) -> tuple[Tensor, Tensor]:
    """Normal pairs of this Pearson correlation."""
    x, y = torch.randn(2, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x, rho * x + math.sqrt(1 - rho**2) * y


def test_a_published_example() -> None:
    """The example that the authors give for their function `ci.spear` (R package statpsych)."""
    y = torch.tensor([21, 4, 9, 12, 35, 18, 10, 22, 24, 1, 6, 8, 13, 16, 19.0])
    x = torch.tensor([67, 28, 30, 28, 52, 40, 25, 37, 44, 10, 14, 20, 28, 40, 51.0])
    found = rank_agreement(y, x, torch.arange(15))
    assert found.rho == pytest.approx(0.8699639, abs=1e-7)
    assert (found.low, found.high) == pytest.approx((0.5840951, 0.9638297), abs=1e-6)
    assert (found.n, found.groups) == (15, 15)


@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_covers_as_often_as_it_says(rho: float) -> None:
    """95% of 600 studies with 50 samples each; of normal pairs rho is 6/pi asin(r/2) (Pearson, 1907)."""
    truth = 6 / math.pi * math.asin(rho / 2)
    x, y = bivariate(rho, 600, 50, seed=5)
    held = 0
    for a, b in zip(x, y, strict=True):
        found = rank_agreement(a, b, torch.arange(50))
        held += found.low <= truth <= found.high
    assert 0.925 <= held / 600 <= 0.975


def test_groups_are_the_units() -> None:
    """Every sample four times is no more evidence than once."""
    x, y = bivariate(0.5, 30, seed=1)
    once = rank_agreement(x, y, torch.arange(30))
    often = rank_agreement(x.repeat(4), y.repeat(4), torch.arange(30).repeat(4))
    assert often.rho == pytest.approx(once.rho)
    assert (often.low, often.high) == pytest.approx((once.low, once.high))
    assert (often.n, often.groups) == (120, 30)


def test_no_interval_where_there_is_none() -> None:
    x, y = bivariate(0.5, 3, seed=2)
    few = rank_agreement(x, y, torch.arange(3))
    assert few.rho == spearman(x, y)
    assert math.isnan(few.low)
    assert math.isnan(few.high)
    perfect = rank_agreement(torch.arange(9.0), torch.arange(9.0) ** 3, torch.arange(9))
    assert perfect.rho == 1.0
    assert math.isnan(perfect.low)
    assert math.isnan(rank_agreement(torch.zeros(9), torch.arange(9.0), torch.arange(9)).rho)


def test_refusals() -> None:
    x = torch.arange(5.0)
    with pytest.raises(ValueError, match=r"^b: expected \[N\] = \[5\], found \[4\]"):
        rank_agreement(x, x[:4], torch.arange(5))
    with pytest.raises(ValueError, match=r"^group: expected \[N\] = \[5\], found \[4\]"):
        rank_agreement(x, x, torch.arange(4))
    with pytest.raises(ValueError, match=r"^confidence: expected a number between 0 and 1"):
        rank_agreement(x, x, torch.arange(5), confidence=95)
