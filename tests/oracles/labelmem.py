"""Feldman & Zhang (2020): the probability of the label, and whether it is predicted."""

import math

from beartype import beartype
from jaxtyping import Bool, Float64, Int64, jaxtyped
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


@jaxtyped(typechecker=beartype)
def label_set_alignment(logits: Float64[Tensor, "N C"], labels: Bool[Tensor, "N C"], kind: str) -> list[float]:
    """Mean over the labels of a sample of sigmoid(f(x)_y), or of 1[f(x)_y > 0]."""
    scores = []
    for row, has in zip(logits.tolist(), labels.tolist(), strict=True):
        own = [x for x, label in zip(row, has, strict=True) if label]
        each = [float(x > 0) if kind == "correctness" else 1 / (1 + math.exp(-x)) for x in own]
        scores.append(math.fsum(each) / len(each) if each else math.nan)
    return scores
