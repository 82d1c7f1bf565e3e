"""Deja Vu (Jayaraman et al., 2024): Algorithm 1 and eq. 2 to 4 with Python sets, one sample at a time."""

import math
from collections import Counter
from itertools import pairwise

from beartype import beartype
from jaxtyping import Float64, Int64, jaxtyped
from torch import Tensor

from oracles.clipmem import mean
from oracles.contrast import variance


@jaxtyped(typechecker=beartype)
def recovery(
    neighbours: Int64[Tensor, "N k"],
    ground_truth: list[set[int]],
    public: list[set[int]],
    top: int | None = None,
    distances: Float64[Tensor, "N k"] | None = None,
) -> list[tuple[float, float, int, int]]:
    """For each target: recall, precision, |N & gt|, |N|."""
    rows = []
    for n, wanted in enumerate(ground_truth):
        counts, apart = Counter(), Counter()
        for j, picture in enumerate(neighbours[n].tolist()):
            for label in public[picture]:
                counts[label] += 1
                apart[label] += 0.0 if distances is None else float(distances[n, j])
        ranked = sorted(counts, key=lambda label: (-counts[label], apart[label], label))
        found = set(ranked if top is None else ranked[:top])
        hits = len(found & wanted)
        recall = hits / len(wanted) if wanted else math.nan
        precision = math.nan if not wanted else hits / len(found) if found else 0.0
        rows.append((recall, precision, hits, len(found)))
    return rows


@beartype
def sign_gap(a: list[float], b: list[float]) -> tuple[float, float]:
    """Eq. 3 or 4, and its standard error."""
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if not math.isnan(x)]
    n = len(pairs)
    if not n:
        return math.nan, math.nan
    above, below = sum(x > y for x, y in pairs) / n, sum(x < y for x, y in pairs) / n
    error = math.sqrt(max(0.0, above + below - (above - below) ** 2) / n) if n > 1 else math.nan
    return above - below, error


@beartype
def recall_gap(a: list[float], b: list[float]) -> tuple[float, float]:
    """The area between the two cumulative distributions of recall, by walking along their steps; the error of it."""
    first, second = ([x for x in v if not math.isnan(x)] for v in (a, b))
    if not first:
        return math.nan, math.nan
    points = sorted({0.0, 1.0, *first, *second})
    area = 0.0
    for low, high in pairwise(points):
        share_a, share_b = (sum(x <= low for x in v) / len(v) for v in (first, second))
        area += (share_b - share_a) * (high - low)
    gaps = [x - y for x, y in zip(first, second, strict=True)]
    return area, math.sqrt(variance(gaps) / len(gaps))


@beartype
def f_score(precision: float, recall: float) -> float:
    """Harmonic mean."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@beartype
def top_gap(a: list[float], b: list[float], key: list[float], length: int) -> float:
    """Mean gap over the samples of highest key; samples without objects left out."""
    rows = sorted((i for i in range(len(a)) if not math.isnan(a[i])), key=lambda i: (-key[i], i))[:length]
    return mean([a[i] - b[i] for i in rows])
