"""Feldman & Zhang (2020): the probability of the label, and whether it is predicted."""

import math

from beartype import beartype
from jaxtyping import Float64, Int64, jaxtyped
from torch import Tensor


@jaxtyped(typechecker=beartype)
def label_alignment(logits: Float64[Tensor, "N C"], labels: Int64[Tensor, "N"], kind: str) -> list[float]:
    """softmax(f(x))_y, or 1[argmax f(x) = y]."""
    scores = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        if kind == "correctness":
            scores.append(float(row.index(max(row)) == label))
        else:
            largest = max(row)
            weights = [math.exp(x - largest) for x in row]
            scores.append(weights[label] / math.fsum(weights))
    return scores
