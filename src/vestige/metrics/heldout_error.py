"""The error of a score that comes from having drawn this held-out set and no other.

    score_i = ... + 1/H sum_h D_i(h),     D_i(h) = v_i . z_h
    se_i    = sqrt(v_i' Sigma v_i / H),   Sigma = cov(z), unbiased

Every alignment is linear in the held-out embeddings, and a score is a weighted sum of alignments: v_i holds the
sample's own embeddings for all modalities and models, end to end, z_h those of a held-out sample. The models are taken
jointly because they are compared on the same held-out samples, where their errors are correlated. The covariance of z
is enough: no table of samples by held-out samples is built. (No source paper reports this error.)

Shapes: N samples, H held-out samples, M models, d dimensions, K = dimensions of all models and modalities together.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from . import checks
from .heldout import check_heldout, check_index
from .multimem import VARIANTS, Variant, sum_of

Name = TypeVar("Name", bound=str)
CHUNK = 2048  # samples whose direction v is held at a time


def heldout_standard_error(v: Tensor, z: Tensor, *, index: Tensor | None = None) -> Tensor:
    """Standard error of `mean_h v_i . z_h` that comes from the choice of the held-out samples.

    `se_i = sqrt(v_i' Sigma v_i / H)`, Sigma the unbiased sample covariance of z. Cost O((N + H) K min(K, H)).

    Args:
        v: [N, K], the direction of each sample (embeddings of all modalities and models, weighted, end to end).
        z: [H, K], the held-out samples in the same layout.
        index: long [N], the row of z left out for sample i (mean and covariance are those of the others), or -1.

    Returns:
        [N], in units of the score; NaN where fewer than two held-out rows remain, and where v_i is NaN.

    Raises:
        ValueError: wrong shape, dtype or device, NaN in z, infinite values.
    """
    checks.numbers("v", v, "[N, K]", (None, None), nan=True)
    checks.numbers("z", z, "[H, K]", (None, v.shape[1]), like=v)
    if index is not None:
        check_index(index, v.shape[0], z)
    dtype = checks.working_dtype(v, z)
    v, z = v.to(dtype), z.to(dtype)
    return HeldoutSpread(z - z.mean(0)).error_along(lambda rows: v[rows], v.shape[0], index)


class HeldoutSpread:
    """How the held-out embeddings spread: made once for a held-out set, used for any number of samples.

    Attributes:
        centred: [H, K], z_h minus their mean.
        scatter: [K, K], centred' centred, where K <= H, else None.
    """

    def __init__(self, centred: Tensor) -> None:
        """From centred rows."""
        h, k = centred.shape
        self.centred = centred
        # v' (z'z) v costs K^2 a sample, |z v|^2 costs H K: the smaller of the two.
        self.scatter = centred.T @ centred if k <= h else None

    def error_along(self, direction: Callable[[slice], Tensor], n: int, index: Tensor | None) -> Tensor:
        """`heldout_standard_error` with v given piecewise: `direction(rows)` -> [rows, K]."""
        h = self.centred.shape[0]
        result = self.centred.new_full((n,), torch.nan)
        if h < 2:
            return result
        for start in range(0, n, CHUNK):
            rows = slice(start, min(start + CHUNK, n))
            v = direction(rows)
            if self.scatter is not None:
                square = torch.linalg.vecdot(v @ self.scatter, v).clamp(min=0)
            else:
                square = (v @ self.centred.T).square().sum(1)
            variance = square / (h - 1)
            size = torch.full_like(variance, h)
            if index is not None:
                own = index[rows]
                inside = own >= 0
                own_part = torch.linalg.vecdot(v, self.centred[own.clamp(min=0)]).square()
                others = (square - own_part * h / (h - 1)).clamp(min=0) / (h - 2 if h > 2 else torch.nan)
                variance, size = torch.where(inside, others, variance), size - inside.to(size.dtype)
            result[rows] = (variance / size).sqrt()
        return result


def clip_heldout_se(
    image: Sequence[Tensor] | Tensor,
    text: Sequence[Tensor] | Tensor,
    heldout_image: Sequence[Tensor] | Tensor,
    heldout_text: Sequence[Tensor] | Tensor,
    weight: Tensor,
    *,
    heldout_index: Tensor | None = None,
) -> Tensor:
    """Standard error of the CLIPMem score that comes from the choice of the held-out set, all models jointly.

    The score is `sum_m w_m A_m`, so `D_i(h) = -sum_m w_m (x_I . h_T + x_T . h_I)`: one linear form over all models.

    Args:
        image: M tensors [N, d_m] (or one [M, N, d]), unit norm, un-augmented; one a model.
        text: M tensors [N, d_m].
        heldout_image: M tensors [H, d_m]; the same H samples for all models.
        heldout_text: M tensors [H, d_m].
        weight: [M] or [M, N]: +1/n_in for a model that saw the sample, -1/n_out for the others (`contrast_weights`).
        heldout_index: long [N], the held-out row that is sample i itself, or -1.

    Returns:
        [N], in units of the score; NaN where the weight is NaN or fewer than two held-out rows remain.

    Raises:
        ValueError: wrong shape, dtype or device, unequal numbers of models, an embedding that is not of unit norm.
    """
    checks.count("image: number of models", len(image))
    spread = clip_heldout_spread(list(heldout_image), list(heldout_text))
    return clip_heldout_se_from_spread(list(image), list(text), spread, weight, heldout_index=heldout_index)


def clip_heldout_spread(heldout_image: Sequence[Tensor], heldout_text: Sequence[Tensor]) -> HeldoutSpread:
    """The held-out side of `clip_heldout_se`, made once for many shards of samples.

    Args:
        heldout_image: M tensors [H, d_m], unit norm; one a model.
        heldout_text: M tensors [H, d_m]; the same H samples for all models.

    Raises:
        ValueError: as `clip_heldout_se`.
    """
    checks.count("heldout_image: number of models", len(heldout_image))
    if len(heldout_text) != len(heldout_image):
        raise ValueError(f"heldout_text: expected {len(heldout_image)} models, found {len(heldout_text)}")
    first = heldout_image[0]
    checks.shape("heldout_image[0]", first, "[H, d]", (None, None))
    for k, (image, text) in enumerate(zip(heldout_image, heldout_text, strict=True)):
        check_heldout(f"heldout_image[{k}]", image, (first.shape[0], None), like=first)
        check_heldout(f"heldout_text[{k}]", text, tuple(image.shape), like=first)
    dtype = checks.working_dtype(*heldout_image, *heldout_text)
    # Terms 2 and 3 meet across modalities: the image direction goes with held-out texts, and the other way round.
    z = torch.cat([t.to(dtype) for pair in zip(heldout_text, heldout_image, strict=True) for t in pair], dim=1)
    return HeldoutSpread(z - z.mean(0))


def clip_heldout_se_from_spread(
    image: Sequence[Tensor],
    text: Sequence[Tensor],
    spread: HeldoutSpread,
    weight: Tensor,
    *,
    heldout_index: Tensor | None = None,
) -> Tensor:
    """`clip_heldout_se` of some samples, the held-out side being made (`clip_heldout_spread`).

    Args:
        image: M tensors [N, d_m], unit norm, un-augmented; one a model.
        text: M tensors [N, d_m].
        spread: of the same models, in the same order.
        weight: [M] or [M, N], as in `clip_heldout_se`.
        heldout_index: long [N], the held-out row that is sample i itself, or -1.

    Returns:
        [N], in units of the score.

    Raises:
        ValueError: as `clip_heldout_se`, or a spread of other models.
    """
    m = len(image)
    checks.count("image: number of models", m)
    if len(text) != m:
        raise ValueError(f"text: expected {m} models, found {len(text)}")
    first = image[0]
    checks.shape("image[0]", first, "[N, d]", (None, None))
    n = first.shape[0]
    for k, (own_image, own_text) in enumerate(zip(image, text, strict=True)):
        checks.unit(f"image[{k}]", own_image, "[N, d]", (n, None), like=first)
        checks.unit(f"text[{k}]", own_text, "[N, d]", tuple(own_image.shape), like=first)
    width, found = 2 * sum(own.shape[1] for own in image), spread.centred.shape[1]
    if found != width:
        raise ValueError(f"heldout_image and heldout_text: expected {width} dimensions in all models, found {found}")
    checks.device("heldout_image", spread.centred, first)
    weight = check_weight(weight, m, n, first)
    if heldout_index is not None:
        check_index(heldout_index, n, spread.centred)
    dtype = checks.working_dtype(*image, *text, spread.centred)

    def direction(rows: slice) -> Tensor:
        own = zip(image, text, weight[:, rows].to(dtype), strict=True)
        return torch.cat([t[rows].to(dtype) * w.unsqueeze(1) for x, y, w in own for t in (x, y)], dim=1)

    return spread.error_along(direction, n, heldout_index)


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


def check_weight(weight: Tensor, models: int, samples: int, like: Tensor) -> Tensor:
    """`weight` as [M, N]; NaN stands for a sample without a score."""
    if isinstance(weight, Tensor) and weight.ndim == 1:
        checks.numbers("weight", weight, "[M] or [M, N]", (models,), like=like)
        return weight.unsqueeze(1).expand(models, samples)
    checks.numbers("weight", weight, "[M] or [M, N]", (models, samples), like=like, nan=True)
    return weight
