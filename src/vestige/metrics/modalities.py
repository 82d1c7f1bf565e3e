"""Which modality carries the memorization: each one left out, and the drop that follows.

    drop(j) = mean_i score(i; all modalities) - mean_i score(i; all but j)

    Wang et al., "MultiMem" (ECCV 2026): the study of the modalities' contributions. A large drop says that much of
    what is memorized sits in the pairs of modality j; a negative one that the others carry more among themselves.

Shapes: N samples, H held-out samples, V views, d dimensions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from . import checks
from .multimem import Variant, cross_modal_consistency

Name = TypeVar("Name", bound=str)


@dataclass(frozen=True, slots=True)
class ModalityDrop:
    """How much the mean score falls without one modality.

    Attributes:
        modality: the one left out.
        drop: mean over the samples of score minus score without it, in units of the score.
        se: standard error of that mean, the samples being paired; NaN for fewer than two.
        n: samples that have both scores.
    """

    modality: str
    drop: float
    se: float
    n: int


def leave_one_modality_out(
    embeddings: Mapping[Name, Tensor],
    heldout: Mapping[Name, Tensor],
    *,
    views: Mapping[Name, Tensor] | None = None,
    present: Mapping[Name, Tensor] | None = None,
    heldout_present: Mapping[Name, Tensor] | None = None,
    heldout_index: Tensor | None = None,
    variant: Variant = "mean_pair",
) -> dict[Name, Tensor]:
    """`cross_modal_consistency` of the modalities that remain when each one is left out in turn.

    Arguments as in `cross_modal_consistency`, with three modalities or more. The default variant is mean_pair, because
    cmc and pairwise change their scale with the number of modalities.

    Returns:
        by the modality left out [N], in units of cosine similarity.

    Raises:
        ValueError: fewer than three modalities; otherwise as `cross_modal_consistency`.
    """
    checks.modalities("embeddings", embeddings, least=3)
    checks.modalities("heldout", heldout, like=embeddings)

    def others(group: Mapping[Name, Tensor] | None, left_out: Name) -> dict[Name, Tensor]:
        return {j: tensor for j, tensor in (group or {}).items() if j != left_out}

    return {
        left_out: cross_modal_consistency(
            others(embeddings, left_out),
            others(heldout, left_out),
            views=others(views, left_out),
            present=others(present, left_out),
            heldout_present=others(heldout_present, left_out),
            heldout_index=heldout_index,
            variant=variant,
        )
        for left_out in embeddings
    }


def rank_modalities(score: Tensor, without: Mapping[Name, Tensor]) -> tuple[ModalityDrop, ...]:
    """The modalities by the drop of the mean score when each is left out, largest first.

    Args:
        score: [N], the score (or alignment) with all modalities; NaN where missing.
        without: by modality [N], the same without it; NaN where missing.

    Returns:
        one `ModalityDrop` a modality; ties in the order given, modalities without any common sample (drop NaN) last.

    Raises:
        ValueError: wrong shape, dtype or device, infinite values, no modality.
    """
    checks.numbers("score", score, "[N]", (None,), nan=True)
    checks.modalities("without", without)
    drops = []
    for j, rest in without.items():
        checks.numbers(f"without[{j}]", rest, "[N]", tuple(score.shape), like=score, nan=True)
        difference = score.double() - rest.double()
        difference = difference[~difference.isnan()]
        n = difference.numel()
        mean = float(difference.mean()) if n else float("nan")
        error = float((difference.var() / n).sqrt()) if n > 1 else float("nan")
        drops.append(ModalityDrop(str(j), mean, error, n))
    return tuple(sorted(drops, key=lambda entry: torch.inf if entry.n == 0 else -entry.drop))
