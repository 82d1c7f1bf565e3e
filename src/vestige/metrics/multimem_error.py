"""The error of a MultiMem score that comes from having drawn this held-out set and no other.

    cmc                   D_i(h) = - 1/2 sum_m w_m s_i . s_h
    pairwise, mean_pair   D_i(h) = - 1/P sum_m w_m sum_(j<k) (x_j . h_k + x_k . h_j),   P = n - 1 or number of pairs
    se_i                  = sqrt(v_i' Sigma v_i / H),   D_i(h) = - v_i . z_h,   Sigma = cov(z)

Shapes: N samples, H held-out samples, M models, d_m dimensions of model m, n modalities.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from . import checks
from .heldout import check_heldout, check_index
from .heldout_error import HeldoutSpread, check_weight
from .multimem import VARIANTS, Variant, sum_of

Name = TypeVar("Name", bound=str)


def multimem_heldout_se(
    embeddings: Sequence[Mapping[Name, Tensor]],
    heldout: Sequence[Mapping[Name, Tensor]],
    weight: Tensor,
    *,
    present: Mapping[Name, Tensor] | None = None,
    heldout_present: Mapping[Name, Tensor] | None = None,
    heldout_index: Tensor | None = None,
    variant: Variant = "cmc",
) -> Tensor:
    """Standard error of the MultiMem score that comes from the choice of the held-out set, all models jointly.

    cmc: `D_i(h) = -1/2 sum_m w_m s_i . s_h`; pairwise and mean_pair: `-1/P sum_m w_m sum_(j<k) (x_j . h_k + x_k . h_j)`
    with P = n - 1 or the number of pairs.

    Args:
        embeddings: for each of M models, by modality [N, d_m], unit norm, un-augmented.
        heldout: for each model, by modality [H, d_m]; the same H samples for all models.
        weight: [M] or [M, N]: +1/n_in for a model that saw the sample, -1/n_out for the others (`contrast_weights`).
        present: by modality bool [N]; as in `cross_modal_consistency`.
        heldout_present: by modality bool [H]. Means over unequal sets of rows are ratios: first-order error.
        heldout_index: long [N], the held-out row that is sample i itself, or -1.
        variant: "cmc", "pairwise" or "mean_pair".

    Returns:
        [N], in units of the score; NaN where the score is NaN or fewer than two held-out rows remain.

    Raises:
        ValueError: as `cross_modal_consistency`, and for unequal numbers of models.
    """
    checks.count("embeddings: number of models", len(embeddings))
    if len(heldout) != len(embeddings):
        raise ValueError(f"heldout: expected {len(embeddings)} models, found {len(heldout)}")
    dtype = checks.working_dtype(*(t for group in (*embeddings, *heldout) for t in group.values()))
    spread = _spread(heldout, heldout_present, variant, dtype)
    return multimem_heldout_se_from_spread(
        embeddings, spread, weight, present=present, heldout_index=heldout_index, variant=variant
    )


def multimem_heldout_spread(
    heldout: Sequence[Mapping[Name, Tensor]],
    *,
    heldout_present: Mapping[Name, Tensor] | None = None,
    variant: Variant = "cmc",
) -> HeldoutSpread:
    """The held-out side of `multimem_heldout_se`, made once for many shards of samples.

    Args:
        heldout: for each of M models, by modality [H, d_m], unit norm; the same H samples for all models.
        heldout_present: by modality bool [H], the held-out samples that have it (default: all).
        variant: "cmc", "pairwise" or "mean_pair"; the last two share one spread.

    Returns:
        what `multimem_heldout_se_from_spread` needs; it computes in float64 where any of these tensors has it.

    Raises:
        ValueError: as `multimem_heldout_se`.
    """
    dtype = checks.working_dtype(*(t for group in heldout for t in group.values()))
    return _spread(heldout, heldout_present, variant, dtype)


def multimem_heldout_se_from_spread(
    embeddings: Sequence[Mapping[Name, Tensor]],
    spread: HeldoutSpread,
    weight: Tensor,
    *,
    present: Mapping[Name, Tensor] | None = None,
    heldout_index: Tensor | None = None,
    variant: Variant = "cmc",
) -> Tensor:
    """`multimem_heldout_se` of some samples, the held-out side being made (`multimem_heldout_spread`).

    Args:
        embeddings: for each of M models, by modality [N, d_m], unit norm, un-augmented.
        spread: of the same models and modalities in the same order, for the same variant.
        weight: [M] or [M, N], as in `multimem_heldout_se`.
        present: by modality bool [N].
        heldout_index: long [N], the held-out row that is sample i itself, or -1.
        variant: "cmc", "pairwise" or "mean_pair".

    Returns:
        [N], in units of the score.

    Raises:
        ValueError: as `multimem_heldout_se`, or a spread of other models, modalities or of another variant.
    """
    checks.choice("variant", variant, VARIANTS)
    checks.count("embeddings: number of models", len(embeddings))
    names = list(embeddings[0])
    for k, own in enumerate(embeddings):
        checks.modalities(f"embeddings[{k}]", own, like=names, least=2)
    first = embeddings[0][names[0]]
    checks.shape("embeddings[0]", first, "[N, d] for each modality", (None, None))
    n = first.shape[0]
    masks = checks.masks("present", present, names, "[N]", n, first)
    for k, own in enumerate(embeddings):
        d = own[names[0]].shape[-1]
        for j in names:
            checks.unit(f"embeddings[{k}][{j}]", own[j], "[N, d]", (n, d), like=first, present=masks.get(j))
    width, found = sum(own[names[0]].shape[1] for own in embeddings), spread.centred.shape[1]
    width *= 1 if variant == "cmc" else len(names)
    if found != width:
        raise ValueError(f"heldout: expected {width} dimensions in all models for {variant}, found {found}")
    checks.device("heldout", spread.centred, first)
    if heldout_index is not None:
        check_index(heldout_index, n, spread.centred)
    dtype = spread.centred.dtype
    everywhere = torch.ones(n, dtype=torch.bool, device=first.device)
    has = {j: masks.get(j, everywhere) for j in names}
    weight = check_weight(weight, len(embeddings), n, first).to(dtype) / _scale(has, variant, dtype)

    def direction(rows: slice) -> Tensor:
        parts = []
        for own, w in zip(embeddings, weight[:, rows], strict=True):
            x = {j: own[j][rows].to(dtype).where(has[j][rows].unsqueeze(1), 0) for j in names}
            s = sum_of(x.values())
            terms = [s] if variant == "cmc" else [(s - x[j]).where(has[j][rows].unsqueeze(1), 0) for j in names]
            parts += [w.unsqueeze(1) * term for term in terms]
        return torch.cat(parts, dim=1)

    return spread.error_along(direction, n, heldout_index)


def _spread(
    heldout: Sequence[Mapping[Name, Tensor]],
    heldout_present: Mapping[Name, Tensor] | None,
    variant: Variant,
    dtype: torch.dtype,
) -> HeldoutSpread:
    checks.choice("variant", variant, VARIANTS)
    checks.count("heldout: number of models", len(heldout))
    names = list(heldout[0])
    for k, others in enumerate(heldout):
        checks.modalities(f"heldout[{k}]", others, like=names, least=2)
    first = heldout[0][names[0]]
    checks.shape("heldout[0]", first, "[H, d] for each modality", (None, None))
    h = first.shape[0]
    masks = checks.masks("heldout_present", heldout_present, names, "[H]", h, first)
    z = []
    for k, others in enumerate(heldout):
        d = others[names[0]].shape[-1]
        for j in names:
            check_heldout(f"heldout[{k}][{j}]", others[j], (h, d), like=first, present=masks.get(j))
        centred = [_centred(others[j].to(dtype), masks.get(j)) for j in names]
        z += [sum_of(centred)] if variant == "cmc" else centred
    return HeldoutSpread(torch.cat(z, dim=1))


def _scale(has: Mapping[Name, Tensor], variant: Variant, dtype: torch.dtype) -> Tensor:
    """[N]: what the sum of products is divided by; NaN for samples whose score is missing."""
    n = len(has)
    count = torch.stack(list(has.values())).sum(0).to(dtype)
    if variant == "mean_pair":
        return (count * (count - 1) / 2).where(count > 1, torch.nan)
    return torch.full_like(count, 2 if variant == "cmc" else n - 1).where(count == n, torch.nan)


def _centred(z: Tensor, mask: Tensor | None) -> Tensor:
    """[H, d]: z_h - m; rows that lack the modality count for nothing, the others for more in the same measure."""
    if mask is None:
        return z - z.mean(0)
    rows = int(mask.sum())
    z = z.where(mask.unsqueeze(1), 0)
    return (z - z.sum(0) / rows).where(mask.unsqueeze(1), 0) * (z.shape[0] / rows)
