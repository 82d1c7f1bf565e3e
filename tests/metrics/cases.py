"""Inputs for the tests of the metrics: random ones from a seed, and comparison with the oracles."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

TOLERANCE = 1e-6


def unit(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Random unit vectors along the last dimension; two seeds in five repeat or oppose rows."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    if seed % 5 == 1:
        x = x[:1].expand(shape).clone()
    if seed % 5 == 2:
        x[1::2] = -x[:1]
    return normalize(x, dim=-1).to(dtype)


def numbers(seed: int, *shape: int, tied: bool = False) -> Tensor:
    """Random float64 numbers; `tied` ones take few values."""
    generator = torch.Generator().manual_seed(seed)
    if tied:
        return torch.randint(-2, 3, shape, generator=generator).double()
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def mask(seed: int, *shape: int, share: float = 0.6) -> Tensor:
    """Random booleans."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < share


def same(found: Tensor | float, expected: Sequence[float] | float, tolerance: float = TOLERANCE) -> None:
    """`found` equals `expected` to the tolerance, NaN for NaN."""
    left = found.double().flatten().tolist() if isinstance(found, Tensor) else [found]
    right = [expected] if isinstance(expected, (int, float)) else list(expected)
    assert len(left) == len(right), (left, right)
    for a, b in zip(left, right, strict=True):
        assert math.isnan(a) == math.isnan(b), (left, right)
        assert math.isnan(a) or abs(a - b) <= tolerance * max(1.0, abs(b)), (left, right)
