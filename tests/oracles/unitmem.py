"""UnitMem (Wang et al., NeurIPS 2024), eq. 7: one unit at a time, the others listed."""

import math
from statistics import median

from beartype import beartype
from jaxtyping import Float64, jaxtyped
from torch import Tensor

from oracles.clipmem import mean


@jaxtyped(typechecker=beartype)
def unit_memorization(activations: Float64[Tensor, "N U"], rest: str = "mean") -> list[float]:
    """(max - rest) / (max + rest)."""
    scores = []
    for column in activations.T.tolist():
        top = column.index(max(column))
        others = column[:top] + column[top + 1 :]
        if not others:
            scores.append(math.nan)
            continue
        level = mean(others) if rest == "mean" else median(others)
        total = column[top] + level
        scores.append((column[top] - level) / total if total else math.nan)
    return scores
