"""Liang & Zeger (1986): the error of a mean when samples come in groups."""

import math

from beartype import beartype
from jaxtyping import Float64, Int64, jaxtyped
from torch import Tensor

from oracles.clipmem import mean


@jaxtyped(typechecker=beartype)
def grouped_error(values: Float64[Tensor, "N"], group: Int64[Tensor, "N"]) -> float:
    """sqrt(G/(G-1)) / n times the root of the sum over groups of squared sums of deviations."""
    centre = mean(values.tolist())
    names = sorted(set(group.tolist()))
    if len(names) < 2:
        return math.nan
    sums = [
        math.fsum(x - centre for x, g in zip(values.tolist(), group.tolist(), strict=True) if g == name)
        for name in names
    ]
    scale = len(names) / (len(names) - 1)
    return math.sqrt(scale * math.fsum(s * s for s in sums)) / len(values)
