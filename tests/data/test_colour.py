"""Colour jitter: each operation as torchvision's, in the order drawn; factors and orders uniform."""

from itertools import permutations

import numpy as np
import pytest
import torch
from scipy import stats
from torchvision.transforms import functional

from vestige.data.colour import ColourJitter, brightness, contrast, hue, saturation
from vestige.data.views import View, key_hashes

HASHES = key_hashes([f"key {number}" for number in range(4000)])
# What OpenCLIP's users take from SimCLR.
JITTER = ColourJitter(brightness=0.32, contrast=0.32, saturation=0.32, hue=0.08, probability=0.8, grey_probability=0.2)
THEIRS = (
    functional.adjust_brightness,
    functional.adjust_contrast,
    functional.adjust_saturation,
    functional.adjust_hue,
)


def pictures(count: int) -> torch.Tensor:
    noise = torch.rand(count, 3, 9, 11, generator=torch.Generator().manual_seed(0))
    noise[0] = noise[0, :1]  # grey
    noise[1, :, :3] = 0
    noise[1, :, 3:6] = 1
    noise[1, 0, 6:] = noise[1, 1, 6:]  # two colours alike
    return noise


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0, 1.7])
@pytest.mark.parametrize(("mine", "theirs"), list(zip((brightness, contrast, saturation), THEIRS[:3], strict=True)))
def test_operations_are_torchvisions(mine, theirs, factor):
    x = pictures(6)
    found = mine(x, torch.full((6, 1, 1, 1), factor))
    torch.testing.assert_close(found, torch.stack([theirs(picture, factor) for picture in x]), atol=2e-6, rtol=0)


@pytest.mark.parametrize("turn", [-0.5, -0.2, 0.0, 0.1, 0.5])
def test_hue_is_torchvisions(turn):
    x = pictures(6)
    found = hue(x, torch.full((6, 1, 1, 1), turn))
    torch.testing.assert_close(found, torch.stack([functional.adjust_hue(one, turn) for one in x]), atol=5e-6, rtol=0)


def test_the_whole_is_torchvisions_for_the_same_draws():
    x = pictures(64)
    before = x.clone()
    found = JITTER.apply(x, View(1, 2), HASHES[:64])
    draws = JITTER.draw(View(1, 2), HASHES[:64])
    assert 0 < draws.grey.sum() < 64
    assert 0 < draws.jittered.sum() < 64
    for place, picture in enumerate(x):
        expected = picture
        if draws.jittered[place]:
            for operation in draws.order[place]:
                expected = THEIRS[operation](expected, float(draws.factors[place, operation]))
        if draws.grey[place]:
            expected = functional.rgb_to_grayscale(expected, 3)
        torch.testing.assert_close(found[place], expected, atol=1e-5, rtol=0)
    assert torch.equal(x, before)


def test_draws_are_uniform():
    draws = JITTER.draw(View(0, 0), HASHES)
    for operation, strength in enumerate((0.32, 0.32, 0.32)):
        spread = stats.kstest(draws.factors[:, operation], "uniform", (1 - strength, 2 * strength))
        assert spread.pvalue > 1e-3
    assert stats.kstest(draws.factors[:, 3], "uniform", (-0.08, 0.16)).pvalue > 1e-3
    assert stats.binomtest(int(draws.jittered.sum()), len(HASHES), 0.8).pvalue > 1e-3
    assert stats.binomtest(int(draws.grey.sum()), len(HASHES), 0.2).pvalue > 1e-3
    orders = [tuple(order) for order in draws.order.tolist()]
    assert stats.chisquare([orders.count(order) for order in permutations(range(4))]).pvalue > 1e-3
    assert ColourJitter(brightness=1.5).draw(View(0, 0), HASHES).factors[:, 0].min() >= 0


def test_a_draw_depends_on_seed_epoch_and_key_alone():
    x = pictures(40)
    whole = JITTER.apply(x, View(3, 5), HASHES[:40])
    order = np.random.default_rng(0).permutation(40)[:9]
    torch.testing.assert_close(JITTER.apply(x[order], View(3, 5), HASHES[order]), whole[order])
    assert not torch.equal(JITTER.apply(x, View(3, 6), HASHES[:40]), whole)


def test_nothing_is_changed_where_nothing_is_asked():
    x = pictures(8)
    assert torch.equal(ColourJitter(probability=1.0).apply(x, View(0, 0), HASHES[:8]), x)
    assert torch.equal(ColourJitter(0.4, 0.4, 0.4, 0.1, probability=0.0).apply(x, View(0, 0), HASHES[:8]), x)


@pytest.mark.parametrize(
    "options", [{"hue": 0.6}, {"brightness": -0.1}, {"probability": 1.1}, {"grey_probability": float("nan")}]
)
def test_impossible_strengths(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        ColourJitter(**options)
