"""Feldman & Zhang (2020), the estimator of memorization; Monte Carlo p-values; Benjamini & Hochberg (1995)."""

import math

from beartype import beartype
from jaxtyping import Bool, Float64, jaxtyped
from torch import Tensor

from oracles.clipmem import mean


def variance(values: list[float]) -> float:
    """Unbiased; NaN for fewer than two."""
    if len(values) < 2:
        return math.nan
    centre = mean(values)
    return math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1)


@jaxtyped(typechecker=beartype)
def memorization(
    alignment: Float64[Tensor, "M N"], member: Bool[Tensor, "M N"]
) -> list[tuple[float, float, float, float, int, int]]:
    """For each sample: score, se, align_in, align_out, n_in, n_out."""
    rows = []
    for n in range(alignment.shape[1]):
        values = [(float(alignment[m, n]), bool(member[m, n])) for m in range(alignment.shape[0])]
        seen = [a for a, inside in values if inside and not math.isnan(a)]
        unseen = [a for a, inside in values if not inside and not math.isnan(a)]
        error = math.nan
        if len(seen) >= 2 and len(unseen) >= 2:
            error = math.sqrt(variance(seen) / len(seen) + variance(unseen) / len(unseen))
        rows.append((mean(seen) - mean(unseen), error, mean(seen), mean(unseen), len(seen), len(unseen)))
    return rows


@jaxtyped(typechecker=beartype)
def null_p_values(score: Float64[Tensor, "N"], null: Float64[Tensor, "K"], alternative: str) -> list[float]:
    """(1 + #{null at least as extreme}) / (1 + K)."""
    result = []
    for s in score.tolist():
        greater = (1 + sum(x >= s for x in null.tolist())) / (1 + len(null))
        less = (1 + sum(x <= s for x in null.tolist())) / (1 + len(null))
        both = min(1.0, 2 * min(greater, less))
        p = {"greater": greater, "less": less, "two-sided": both}[alternative]
        result.append(math.nan if math.isnan(s) else p)
    return result


@jaxtyped(typechecker=beartype)
def benjamini_hochberg(p: Float64[Tensor, "N"]) -> list[float]:
    """For each p: the least of p_(j) n / j over all p_(j) that are at least as large."""
    known = sorted(x for x in p.tolist() if not math.isnan(x))
    result = []
    for x in p.tolist():
        candidates = [y * len(known) / (j + 1) for j, y in enumerate(known) if y >= x]
        result.append(math.nan if math.isnan(x) else min(1.0, *candidates))
    return result
