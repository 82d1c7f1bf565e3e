"""BLIP's contrastive and matching losses (Li et al., 2022, section 3.2), with loops, in float64."""

import math


def cross_entropy(row: list[float], target: int) -> float:
    largest = max(row)
    return math.log(math.fsum(math.exp(x - largest) for x in row)) + largest - row[target]


def unit(row: list[float]) -> list[float]:
    norm = math.sqrt(math.fsum(x * x for x in row))
    return [x / norm for x in row]


def contrast(images, texts, scale: float) -> float:
    """CLIP's symmetric cross-entropy."""
    x, y = [unit(row) for row in images], [unit(row) for row in texts]
    logits = [[scale * math.fsum(a * b for a, b in zip(i, t, strict=True)) for t in y] for i in x]
    turned = [list(column) for column in zip(*logits, strict=True)]
    rows = [cross_entropy(row, place) for side in (logits, turned) for place, row in enumerate(side)]
    return math.fsum(rows) / len(rows)


def matching(scores: list[list[float]], match: list[int]) -> float:
    """Mean cross-entropy of (no match, match) over pairs."""
    return math.fsum(cross_entropy(row, target) for row, target in zip(scores, match, strict=True)) / len(match)
