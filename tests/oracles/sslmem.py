"""SSLMem (Wang et al., ICLR 2024), eq. 1: every pair of views by itself."""

import math

from beartype import beartype
from jaxtyping import Float64, jaxtyped
from torch import Tensor

from oracles.clipmem import mean


@beartype
def distance(a: list[float], b: list[float]) -> float:
    """l2."""
    return math.sqrt(math.fsum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


@jaxtyped(typechecker=beartype)
def ssl_alignment(views: Float64[Tensor, "N V d"], anchor: Float64[Tensor, "N d"] | None = None) -> list[float]:
    """- E || f(x') - f(x'') ||."""
    scores = []
    for n in range(views.shape[0]):
        drawn = views[n].tolist()
        if anchor is None:
            pairs = [(a, b) for i, a in enumerate(drawn) for j, b in enumerate(drawn) if i != j]
        else:
            pairs = [(anchor[n].tolist(), b) for b in drawn]
        scores.append(-mean([distance(a, b) for a, b in pairs]))
    return scores
