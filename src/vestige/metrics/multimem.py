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
from .clipmem import dot, view_mean
from .heldout import check_heldout, check_heldout_mean, check_index, mean_of_others

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
    x, mu, m = _means(embeddings, heldout, views, present, heldout_present, heldout_index)
    return _consistency(x, mu, m, present or {}, variant)


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
        checks.unit(f"embeddings[{j}]", x, "[N, d]", size, like=first, present=masks.get(j))
        checks.mean_of_units(f"means[{j}]", means[j], "[N, d]", size, like=first, present=masks.get(j))
        check_heldout_mean(f"heldout_means[{j}]", heldout_means[j], first)
    dtype = checks.working_dtype(*embeddings.values(), *means.values(), *heldout_means.values())
    x, mu, m = ({j: group[j].to(dtype) for j in embeddings} for group in (embeddings, means, heldout_means))
    return _consistency(x, mu, m, masks, variant)


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
    x, mu, m = _means(embeddings, heldout, views, present, heldout_present, heldout_index)
    return _pairs(x, mu, m, present or {})


def _means(
    embeddings: Mapping[Name, Tensor],
    heldout: Mapping[Name, Tensor],
    views: Mapping[Name, Tensor] | None,
    present: Mapping[Name, Tensor] | None,
    heldout_present: Mapping[Name, Tensor] | None,
    heldout_index: Tensor | None,
) -> tuple[dict[Name, Tensor], dict[Name, Tensor], dict[Name, Tensor]]:
    """The inputs checked and reduced to x_j, mu_j and m_j."""
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
    x, mu, m = {}, {}, {}
    for j, own in embeddings.items():
        checks.unit(f"embeddings[{j}]", own, "[N, d]", (n, d), like=first, present=masks.get(j))
        check_heldout(f"heldout[{j}]", heldout[j], (h, d), like=first, present=heldout_masks.get(j))
        x[j] = own.to(dtype)
        mu[j] = view_mean(f"views[{j}]", drawn.get(j), own, dtype, masks.get(j))
        m[j] = mean_of_others(heldout[j], heldout_index, heldout_masks.get(j), dtype)
    return x, mu, m


def _consistency(
    x: Mapping[Name, Tensor],
    mu: Mapping[Name, Tensor],
    m: Mapping[Name, Tensor],
    present: Mapping[Name, Tensor],
    variant: Variant,
) -> Tensor:
    n = len(x)
    if variant == "cmc":
        square = n + 2 * sum_of(dot(mu[j], mu[k]) for j, k in combinations(mu, 2))
        hbar = sum_of(m.values())
        score = (square - sum_of(dot(own, hbar) for own in x.values())) / 2
        for mask in present.values():
            score = score.where(mask, torch.nan)
        return score
    pairs = _pairs(x, mu, m, present)
    if variant == "pairwise":
        return sum_of(pairs.values()) / (n - 1)
    if not present:
        return sum_of(pairs.values()) / len(pairs)
    has = {pair: _has(pair, present, score) for pair, score in pairs.items()}
    total = sum_of(score.where(has[pair], 0) for pair, score in pairs.items())
    return total / sum_of(mask.to(total.dtype) for mask in has.values())


def _pairs(
    x: Mapping[Name, Tensor], mu: Mapping[Name, Tensor], m: Mapping[Name, Tensor], present: Mapping[Name, Tensor]
) -> dict[tuple[Name, Name], Tensor]:
    scores = {(j, k): dot(mu[j], mu[k]) - dot(x[j], m[k]) - dot(x[k], m[j]) for j, k in combinations(x, 2)}
    return {pair: score.where(_has(pair, present, score), torch.nan) for pair, score in scores.items()}


def _has(pair: tuple[Name, Name], present: Mapping[Name, Tensor], like: Tensor) -> Tensor:
    """Bool [N]: the samples that have both modalities of the pair."""
    everywhere = torch.ones_like(like, dtype=torch.bool)
    return present.get(pair[0], everywhere) & present.get(pair[1], everywhere)


def sum_of(tensors: Iterable[Tensor]) -> Tensor:
    """The sum of at least one tensor."""
    return reduce(torch.add, tensors)
