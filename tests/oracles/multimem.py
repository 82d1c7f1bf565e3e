"""MultiMem (Wang et al., ECCV 2026): the CMC formula as printed, over all n x n products, one at a time."""

import math

from beartype import beartype
from jaxtyping import Bool, Float64, Int64, jaxtyped
from torch import Tensor

from oracles.clipmem import clip_alignment, mean, sim


@jaxtyped(typechecker=beartype)
def cmc(
    embeddings: dict[str, Float64[Tensor, "N d"]],
    heldout: dict[str, Float64[Tensor, "H d"]],
    views: dict[str, Float64[Tensor, "N _ d"]],
    heldout_index: Int64[Tensor, "N"] | None = None,
    heldout_present: dict[str, Bool[Tensor, "H"]] | None = None,
) -> list[float]:
    """1/2 E[1' Phi_i Phi_i' 1] - 1/2 E[1' Phi_i Phi_h' 1].

    The views of two modalities are drawn independently: the expectation of their product is the mean over all
    crossings. One modality is drawn once: its product with itself takes the same view twice.
    """
    scores = []
    for n in range(next(iter(embeddings.values())).shape[0]):
        drawn = {j: views[j][n].tolist() if j in views else [x[n].tolist()] for j, x in embeddings.items()}
        own = -1 if heldout_index is None else int(heldout_index[n])
        first, second = [], []
        for j in embeddings:
            for k in embeddings:
                if j == k:
                    first.append(mean([sim(a, a) for a in drawn[j]]))
                else:
                    first.append(mean([sim(a, b) for a in drawn[j] for b in drawn[k]]))
                rows = [h for h in range(heldout[k].shape[0]) if h != own]
                rows = [h for h in rows if heldout_present is None or bool(heldout_present[k][h])]
                second.append(mean([sim(embeddings[j][n].tolist(), heldout[k][h].tolist()) for h in rows]))
        scores.append((math.fsum(first) - math.fsum(second)) / 2)
    return scores


@jaxtyped(typechecker=beartype)
def pairs(
    embeddings: dict[str, Float64[Tensor, "N d"]],
    heldout: dict[str, Float64[Tensor, "H d"]],
    views: dict[str, Float64[Tensor, "N _ d"]],
    heldout_index: Int64[Tensor, "N"] | None = None,
    heldout_present: dict[str, Bool[Tensor, "H"]] | None = None,
) -> dict[tuple[str, str], list[float]]:
    """CLIPMem's alignment of every two modalities."""
    names, result = list(embeddings), {}
    for position, j in enumerate(names):
        for k in names[position + 1 :]:
            result[j, k] = clip_alignment(
                embeddings[j],
                embeddings[k],
                heldout[j],
                heldout[k],
                views.get(j),
                views.get(k),
                heldout_index,
                False,
                None if heldout_present is None else heldout_present[j],
                None if heldout_present is None else heldout_present[k],
            )
    return result


@jaxtyped(typechecker=beartype)
def mean_of_pairs(
    scores: dict[tuple[str, str], list[float]], present: dict[str, Bool[Tensor, "N"]], samples: int
) -> list[float]:
    """The mean over the pairs a sample has."""
    return [
        mean([pair[n] for (j, k), pair in scores.items() if bool(present[j][n]) and bool(present[k][n])])
        for n in range(samples)
    ]


@jaxtyped(typechecker=beartype)
def score_standard_error(
    embeddings: list[dict[str, Float64[Tensor, "N d"]]],
    heldout: list[dict[str, Float64[Tensor, "H d"]]],
    weight: Float64[Tensor, "M N"],
    variant: str,
) -> list[float]:
    """The score against held-out sample h alone, by its own formula, for every h; the standard error of their mean."""
    errors = []
    names = list(embeddings[0])
    rows = next(iter(heldout[0].values())).shape[0]
    for n in range(weight.shape[1]):
        values = []
        for h in range(rows):
            value = 0.0
            for m, own in enumerate(embeddings):
                x = {j: own[j][n].tolist() for j in names}
                z = {j: heldout[m][j][h].tolist() for j in names}
                products = math.fsum(sim(x[j], z[k]) for j in names for k in names if variant == "cmc" or j != k)
                count = len(names)
                divisor = {"cmc": 2, "pairwise": count - 1, "mean_pair": count * (count - 1) / 2}[variant]
                value -= float(weight[m, n]) * products / divisor
            values.append(value)
        centre = mean(values)
        variance = math.fsum((value - centre) ** 2 for value in values) / (rows - 1) if rows > 1 else math.nan
        errors.append(math.sqrt(variance / rows))
    return errors
