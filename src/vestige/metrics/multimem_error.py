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
    checks.choice("variant", variant, VARIANTS)
    checks.count("embeddings: number of models", len(embeddings))
    if len(heldout) != len(embeddings):
        raise ValueError(f"heldout: expected {len(embeddings)} models, found {len(heldout)}")
    names = list(embeddings[0])
    for k, (own, others) in enumerate(zip(embeddings, heldout, strict=True)):
        checks.modalities(f"embeddings[{k}]", own, like=names, least=2)
        checks.modalities(f"heldout[{k}]", others, like=names)
    first, other = embeddings[0][names[0]], heldout[0][names[0]]
    checks.shape("embeddings[0]", first, "[N, d] for each modality", (None, None))
    checks.shape("heldout[0]", other, "[H, d] for each modality", (None, None))
    n, h = first.shape[0], other.shape[0]
    masks = checks.masks("present", present, names, "[N]", n, first)
    heldout_masks = checks.masks("heldout_present", heldout_present, names, "[H]", h, first)
    for k, (own, others) in enumerate(zip(embeddings, heldout, strict=True)):
        d = own[names[0]].shape[-1]
        for j in names:
            checks.unit(f"embeddings[{k}][{j}]", own[j], "[N, d]", (n, d), like=first, present=masks.get(j))
            check_heldout(f"heldout[{k}][{j}]", others[j], (h, d), like=first, present=heldout_masks.get(j))
    if heldout_index is not None:
        check_index(heldout_index, n, other)
    dtype = checks.working_dtype(*(t for group in (*embeddings, *heldout) for t in group.values()))
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

    z = []
    for others in heldout:
        centred = [_centred(others[j].to(dtype), heldout_masks.get(j)) for j in names]
        z += [sum_of(centred)] if variant == "cmc" else centred
    return HeldoutSpread(torch.cat(z, dim=1)).error_along(direction, n, heldout_index)


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
