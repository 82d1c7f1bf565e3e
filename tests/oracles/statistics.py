"""Statistics by counting: every pair, every threshold, every sign pattern."""

import math
from itertools import product

from beartype import beartype
from jaxtyping import Bool, Float64, jaxtyped
from torch import Tensor

from oracles.clipmem import mean
from oracles.contrast import variance


def wins(a: float, b: float) -> float:
    """1 where a beats b, one half for a tie."""
    return 1.0 if a > b else 0.5 if a == b else 0.0


@jaxtyped(typechecker=beartype)
def auc(score: Float64[Tensor, "N"], positive: Bool[Tensor, "N"]) -> tuple[float, float]:
    """Mann-Whitney over all pairs, and the variance of DeLong et al. (1988)."""
    pos = [s for s, p in zip(score.tolist(), positive.tolist(), strict=True) if p]
    neg = [s for s, p in zip(score.tolist(), positive.tolist(), strict=True) if not p]
    value = mean([wins(a, b) for a in pos for b in neg])
    v_pos = [mean([wins(a, b) for b in neg]) for a in pos]
    v_neg = [mean([wins(a, b) for a in pos]) for b in neg]
    return value, math.sqrt(variance(v_pos) / len(pos) + variance(v_neg) / len(neg))


@jaxtyped(typechecker=beartype)
def average_precision(score: Float64[Tensor, "N"], positive: Bool[Tensor, "N"]) -> float:
    """Sum over thresholds of the step in recall times the precision there."""
    pairs = list(zip(score.tolist(), positive.tolist(), strict=True))
    total, before = sum(p for _, p in pairs), 0.0
    result = 0.0
    for threshold in sorted(set(score.tolist()), reverse=True):
        found = [p for s, p in pairs if s >= threshold]
        recall = sum(found) / total
        result += (recall - before) * sum(found) / len(found)
        before = recall
    return result


@jaxtyped(typechecker=beartype)
def ranks(values: Float64[Tensor, "N"]) -> list[float]:
    """Rank = how many are smaller, plus the mean position among the equal."""
    v = values.tolist()
    return [sum(y < x for y in v) + (1 + sum(y == x for y in v)) / 2 for x in v]


@jaxtyped(typechecker=beartype)
def spearman(a: Float64[Tensor, "N"], b: Float64[Tensor, "N"]) -> float:
    """Correlation of the ranks."""
    x, y = ranks(a), ranks(b)
    if len(set(x)) == 1 or len(set(y)) == 1:
        return math.nan
    covariance = mean([p * q for p, q in zip(x, y, strict=True)]) - mean(x) * mean(y)
    spread = (mean([p * p for p in x]) - mean(x) ** 2) * (mean([q * q for q in y]) - mean(y) ** 2)
    return covariance / math.sqrt(spread)


@jaxtyped(typechecker=beartype)
def paired_p_value(a: Float64[Tensor, "N"], b: Float64[Tensor, "N"]) -> float:
    """Share of all sign patterns whose mean difference is at least as far from 0."""
    d = (a - b).tolist()
    observed = abs(math.fsum(d)) - 1e-9
    patterns = list(product((-1, 1), repeat=len(d)))
    return mean([float(abs(math.fsum(e * x for e, x in zip(s, d, strict=True))) >= observed) for s in patterns])


@jaxtyped(typechecker=beartype)
def top(values: Float64[Tensor, "N"], k: int) -> set[int]:
    """The k highest; of equal values the first ones."""
    return set(sorted(range(len(values)), key=lambda i: (-float(values[i]), i))[:k])
