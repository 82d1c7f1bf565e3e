"""MultiMem: how consistent all the modalities of a sample are with each other under one model.

    CMC(i, H) = 1/2 E[ 1' Phi_i Phi_i' 1 ]  -  1/2 E_h[ 1' Phi_i Phi_h' 1 ],      Phi = [x_1, ..., x_n]'  in R^(n x d)

    Wang et al., "MultiMem: Measuring and Mitigating Memorization in Multi-Modal Contrastive Learning" (ECCV 2026).
    MultiMem(i) = CMC_f(i, H) - CMC_g(i, H): the contrast of `memorization`.

With x_j the embedding of the un-augmented modality j, mu_j the mean over its augmented views, m_j the mean over the
held-out set, s = sum_j x_j and hbar = sum_j m_j:

    cmc        1/2 E||s||^2 - 1/2 s . hbar
               E||s||^2 = n + ||sum mu_j||^2 - sum ||mu_j||^2 = n + 2 sum_(j<k) mu_j . mu_k
    pairwise   1/(n-1)        sum_(j<k) A_jk,   A_jk = mu_j . mu_k - x_j . m_k - x_k . m_j   (CLIPMem's alignment)
    mean_pair  2/(n (n-1))    sum_(j<k) A_jk

cmc is the printed formula over all n x n pairs, the diagonal included: each view is compared with itself, which adds
n/2 to every model alike. mean_pair is comparable across n; at n = 2 it equals pairwise and CLIPMem's alignment, and cmc
does not: its second term also holds the products of a modality with itself.

Shapes: N samples, H held-out samples, V views, d dimensions, M models, n modalities.
"""

from collections.abc import Iterable, Mapping
from functools import reduce
from itertools import combinations
from typing import Literal, TypeVar

import torch
from torch import Tensor

from . import checks
from .blocks import Side
from .clipmem import samples_with_mean, samples_with_views
from .heldout import (
    HeldoutMean,
    check_heldout_mean,
    check_heldout_shape,
    check_index,
    given_mean,
    mean_of_others,
)
from .products import products

Name = TypeVar("Name", bound=str)
Variant = Literal["cmc", "pairwise", "mean_pair"]
VARIANTS = ("cmc", "pairwise", "mean_pair")


def cross_modal_consistency(
    embeddings: Mapping[Name, Tensor],
    heldout: Mapping[Name, Tensor],
    *,
    views: Mapping[Name, Tensor] | None = None,
    present: Mapping[Name, Tensor] | None = None,
    heldout_present: Mapping[Name, Tensor] | None = None,
    heldout_index: Tensor | None = None,
    variant: Variant = "cmc",
) -> Tensor:
    """Consistency of all modalities of each sample under one model (MultiMem, the CMC formula).

    Args:
        embeddings: by modality [N, d], unit norm, un-augmented; two modalities or more.
        heldout: by modality [H, d], unit norm; the same modalities, samples no model saw.
        views: by modality [N, V, d], unit norm, augmented. A modality without views counts as drawn once.
        present: by modality bool [N], the samples that have it (default: all). Other rows are not read.
        heldout_present: by modality bool [H], the same for the held-out samples; means are over those that have it.
        heldout_index: long [N], the held-out row that is sample i itself, or -1; that row is left out for i.
        variant: "cmc" (the printed formula), "pairwise" or "mean_pair", see above.

    Returns:
        [N], in units of cosine similarity. cmc and pairwise are NaN for a sample that lacks any modality; mean_pair is
        the mean over the pairs it has, NaN without a pair. NaN too for a sample that is the only held-out row.

    Raises:
        ValueError: wrong modalities, shape, dtype or device, or an embedding that is not of unit norm.
    """
    checks.choice("variant", variant, VARIANTS)
    sides, m = _read(embeddings, heldout, views, present, heldout_present, heldout_index)
    return _consistency(sides, m, present or {}, variant)


def cross_modal_consistency_from_means(
    embeddings: Mapping[Name, Tensor],
    means: Mapping[Name, Tensor],
    heldout_means: Mapping[Name, Tensor],
    *,
    present: Mapping[Name, Tensor] | None = None,
    variant: Variant = "cmc",
) -> Tensor:
    """`cross_modal_consistency` from means that were taken while embedding, so that no view has to be kept.

    Args:
        embeddings: by modality [N, d], unit norm, un-augmented; two modalities or more.
        means: by modality [N, d], mean of the unit embeddings of the views; the embedding itself where there are none.
        heldout_means: by modality [d], or [N, d] where the mean differs by sample (see `heldout_mean`).
        present: by modality bool [N], the samples that have it (default: all). Other rows are not read.
        variant: "cmc", "pairwise" or "mean_pair".

    Returns:
        [N], as `cross_modal_consistency`; NaN where a held-out mean is NaN.

    Raises:
        ValueError: wrong modalities, shape, dtype or device, an embedding not of unit norm, a mean of norm above 1.
    """
    checks.choice("variant", variant, VARIANTS)
    checks.modalities("embeddings", embeddings, least=2)
    checks.modalities("means", means, like=embeddings)
    checks.modalities("heldout_means", heldout_means, like=embeddings)
    first = next(iter(embeddings.values()))
    checks.shape("embeddings", first, "[N, d] for each modality", (None, None))
    size = tuple(first.shape)
    masks = checks.masks("present", present, embeddings, "[N]", size[0], first)
    for j, x in embeddings.items():
        checks.embeddings(f"embeddings[{j}]", x, "[N, d]", size, first)
        checks.embeddings(f"means[{j}]", means[j], "[N, d]", size, first)
        check_heldout_mean(f"heldout_means[{j}]", heldout_means[j], first)
    dtype = checks.working_dtype(*embeddings.values(), *means.values(), *heldout_means.values())
    sides = {
        j: samples_with_mean(f"embeddings[{j}]", x, f"means[{j}]", means[j], dtype, masks.get(j))
        for j, x in embeddings.items()
    }
    return _consistency(sides, {j: given_mean(heldout_means[j], dtype) for j in embeddings}, masks, variant)


def pair_alignments(
    embeddings: Mapping[Name, Tensor],
    heldout: Mapping[Name, Tensor],
    *,
    views: Mapping[Name, Tensor] | None = None,
    present: Mapping[Name, Tensor] | None = None,
    heldout_present: Mapping[Name, Tensor] | None = None,
    heldout_index: Tensor | None = None,
) -> dict[tuple[Name, Name], Tensor]:
    """CLIPMem's alignment (eq. 3) of each pair of modalities, pairs in the order the modalities are given.

    Arguments and errors as in `cross_modal_consistency`.

    Returns:
        by pair [N], in units of cosine similarity; NaN for samples that lack one of the two.
    """
    sides, m = _read(embeddings, heldout, views, present, heldout_present, heldout_index)
    return _pairs(sides, m, present or {})


def _read(
    embeddings: Mapping[Name, Tensor],
    heldout: Mapping[Name, Tensor],
    views: Mapping[Name, Tensor] | None,
    present: Mapping[Name, Tensor] | None,
    heldout_present: Mapping[Name, Tensor] | None,
    heldout_index: Tensor | None,
) -> tuple[dict[Name, Side], dict[Name, HeldoutMean]]:
    """The inputs, their shapes checked, and m_j; norms of the samples are checked as they are read."""
    checks.modalities("embeddings", embeddings, least=2)
    checks.modalities("heldout", heldout, like=embeddings)
    drawn = checks.some_of("views", views, embeddings)
    first, other = next(iter(embeddings.values())), next(iter(heldout.values()))
    checks.shape("embeddings", first, "[N, d] for each modality", (None, None))
    checks.shape("heldout", other, "[H, d] for each modality", (None, first.shape[1]))
    n, d, h = *first.shape, other.shape[0]
    masks = checks.masks("present", present, embeddings, "[N]", n, first)
    heldout_masks = checks.masks("heldout_present", heldout_present, embeddings, "[H]", h, first)
    if heldout_index is not None:
        check_index(heldout_index, n, other)
    dtype = checks.working_dtype(*embeddings.values(), *heldout.values(), *drawn.values())
    sides, m = {}, {}
    for j, own in embeddings.items():
        checks.embeddings(f"embeddings[{j}]", own, "[N, d]", (n, d), first)
        check_heldout_shape(f"heldout[{j}]", heldout[j], (h, d), like=first, present=heldout_masks.get(j))
        sides[j] = samples_with_views(f"embeddings[{j}]", own, f"views[{j}]", drawn.get(j), dtype, masks.get(j))
        m[j] = mean_of_others(f"heldout[{j}]", heldout[j], heldout_index, heldout_masks.get(j), dtype)
    return sides, m


def _consistency(
    sides: Mapping[Name, Side], m: Mapping[Name, HeldoutMean], present: Mapping[Name, Tensor], variant: Variant
) -> Tensor:
    if variant == "mean_pair" and present:
        pairs = _pairs(sides, m, present)
        has = {pair: _has(pair, present, score) for pair, score in pairs.items()}
        total = sum_of(score.where(has[pair], 0) for pair, score in pairs.items())
        return total / sum_of(mask.to(total.dtype) for mask in has.values())
    n = len(sides)
    # The sum over pairs of x_j . m_k + x_k . m_j is that over j of x_j with the means of all others; cmc takes its own.
    other = {j: sum_of(m[k] for k in m if variant == "cmc" or k != j) for j in m}
    found = products(list(sides.values()), [[other[j]] for j in sides])
    (crossed,), against = found.crossed, sum_of(along for (along,) in found.along)
    if variant == "cmc":
        score = (n + 2 * crossed - against) / 2
    else:
        score = (crossed - against) / (n - 1 if variant == "pairwise" else n * (n - 1) / 2)
    for mask in present.values():
        score = score.where(mask, torch.nan)
    return score


def _pairs(
    sides: Mapping[Name, Side], m: Mapping[Name, HeldoutMean], present: Mapping[Name, Tensor]
) -> dict[tuple[Name, Name], Tensor]:
    """A_jk of each pair; NaN for samples that lack one of the two."""
    names = list(sides)
    others = {j: [k for k in names if k != j] for j in names}
    found = products(list(sides.values()), [[m[k] for k in others[j]] for j in names], each_pair=True)
    along = {
        (j, k): product
        for j, products_of_j in zip(names, found.along, strict=True)
        for k, product in zip(others[j], products_of_j, strict=True)
    }
    scores = {
        (j, k): crossed - along[j, k] - along[k, j]
        for (j, k), crossed in zip(combinations(names, 2), found.crossed, strict=True)
    }
    return {pair: score.where(_has(pair, present, score), torch.nan) for pair, score in scores.items()}


def _has(pair: tuple[Name, Name], present: Mapping[Name, Tensor], like: Tensor) -> Tensor:
    """Bool [N]: the samples that have both modalities of the pair."""
    everywhere = torch.ones_like(like, dtype=torch.bool)
    return present.get(pair[0], everywhere) & present.get(pair[1], everywhere)


Sum = TypeVar("Sum", Tensor, HeldoutMean)


def sum_of(parts: Iterable[Sum]) -> Sum:
    """The sum of at least one tensor, or held-out mean."""
    return reduce(lambda a, b: a + b, parts)
