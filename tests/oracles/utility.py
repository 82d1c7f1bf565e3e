"""Literal definitions of what `vestige.utility` computes: loops over samples, in float64."""

import math
from collections.abc import Sequence

from beartype import beartype
from jaxtyping import Bool, Float64, Int64, jaxtyped
from torch import Tensor

from oracles.clipmem import mean, sim


def top_hit(scores: Sequence[float], label: int, k: int) -> bool:
    """Fewer than k wrong classes score at least as high as the right one."""
    return sum(s >= scores[label] for c, s in enumerate(scores) if c != label) < k


def topk_hit(scores: Sequence[float], label: int, k: int) -> bool:
    """The right class is among the k first of the classes by falling score (clip_benchmark's accuracy)."""
    order = sorted(range(len(scores)), key=lambda c: -scores[c])
    return label in order[:k]


def unit(v: Sequence[float]) -> list[float]:
    norm = math.sqrt(math.fsum(x * x for x in v))
    return [x / norm for x in v]


@jaxtyped(typechecker=beartype)
def class_embeddings(prompts: Float64[Tensor, "P d"], owner: Int64[Tensor, "P"], classes: int) -> list[list[float]]:
    """Normalised mean of the normalised prompts of every class."""
    found = []
    for c in range(classes):
        own = [unit(row) for row, of in zip(prompts.tolist(), owner.tolist(), strict=True) if of == c]
        found.append(unit([mean([v[axis] for v in own]) for axis in range(prompts.shape[1])]))
    return found


@jaxtyped(typechecker=beartype)
def recall(
    query: Float64[Tensor, "N d"],
    target: Float64[Tensor, "M d"],
    correct: Sequence[Sequence[bool]],
    k: int,
) -> float:
    """Share of queries with a correct target among the k first, a wrong target of equal similarity coming first."""
    hits = []
    for q, of in zip(query.tolist(), correct, strict=True):
        similar = [sim(q, t) for t in target.tolist()]
        order = sorted(range(len(similar)), key=lambda j: (-similar[j], of[j]))
        hits.append(any(of[j] for j in order[:k]))
    return mean([float(hit) for hit in hits])


@jaxtyped(typechecker=beartype)
def objective(
    features: Float64[Tensor, "N d"],
    labels: Int64[Tensor, "N"],
    weight: Float64[Tensor, "C d"],
    bias: Float64[Tensor, "C"],
    penalty: float,
) -> float:
    """The objective of logistic regression, term by term."""
    losses = []
    for x, y in zip(features.tolist(), labels.tolist(), strict=True):
        z = [sim(w, x) + b for w, b in zip(weight.tolist(), bias.tolist(), strict=True)]
        losses.append(math.log(math.fsum(math.exp(v) for v in z)) - z[y])
    return mean(losses) + penalty / 2 * math.fsum(v * v for row in weight.tolist() for v in row)


@jaxtyped(typechecker=beartype)
def share(hits: Sequence[Sequence[float]], group: Sequence[int], z: float) -> tuple[float, float]:
    """Wilson's interval with the design effect of the groups and the variance between seeds, as printed."""
    n, seeds = len(group), len(hits)
    x = [mean([own[i] for own in hits]) for i in range(n)]
    p, names = mean(x), sorted(set(group))
    between = 0.0
    if seeds > 1:
        rates = [mean(list(own)) for own in hits]
        between = math.fsum((rate - p) ** 2 for rate in rates) / (seeds - 1) / seeds
    if p * (1 - p) > 0:
        sums = [math.fsum(v - p for v, g in zip(x, group, strict=True) if g == name) ** 2 for name in names]
        apart = n / (n - 1) * math.fsum((v - p) ** 2 for v in x)
        effect = len(names) / (len(names) - 1) * math.fsum(sums) / apart if apart > 0 else 1.0
        m = p * (1 - p) / (p * (1 - p) * max(1.0, effect) / n + between)
    else:
        m = len(names)
    half = z * math.sqrt(p * (1 - p) / m + z * z / (4 * m * m))
    return (p + z * z / (2 * m) - half) / (1 + z * z / m), (p + z * z / (2 * m) + half) / (1 + z * z / m)


@jaxtyped(typechecker=beartype)
def balanced_accuracy(hits: Bool[Tensor, "N"], labels: Int64[Tensor, "N"]) -> float:
    """Mean over classes of the share of hits."""
    known = sorted(set(labels.tolist()))
    return mean(
        [
            mean([float(h) for h, y in zip(hits.tolist(), labels.tolist(), strict=True) if y == c])
            for c in known
        ]
    )  # fmt: skip
