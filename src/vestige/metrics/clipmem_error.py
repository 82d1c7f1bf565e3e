"""The error of a CLIPMem score that comes from having drawn this held-out set and no other.

    score_i = sum_m w_m A_m(i)
    D_i(h)  = - sum_m w_m ( x_I . h_T + x_T . h_I )          the part of A_m (CLIPMem, eq. 3) that h enters;
                                                             mu for x where these terms are augmented
    se_i    = sqrt(v_i' Sigma v_i / H),   v_i = (w_m x_I, w_m x_T)_m,   Sigma = cov of (h_T, h_I)_m

Shapes: N samples, H held-out samples, M models, d_m dimensions of model m.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from . import checks
from .heldout import check_heldout, check_index
from .heldout_error import HeldoutSpread, check_weight


def clip_heldout_se(
    image: Sequence[Tensor] | Tensor,
    text: Sequence[Tensor] | Tensor,
    heldout_image: Sequence[Tensor] | Tensor,
    heldout_text: Sequence[Tensor] | Tensor,
    weight: Tensor,
    *,
    heldout_index: Tensor | None = None,
    image_mean: Sequence[Tensor] | Tensor | None = None,
    text_mean: Sequence[Tensor] | Tensor | None = None,
    augment_heldout_terms: bool = False,
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
        image_mean: M tensors [N, d_m], means of the unit embeddings of the images' views (default: `image`).
        text_mean: M tensors [N, d_m], the same of the texts (default: `text`).
        augment_heldout_terms: as in `clip_alignment`: held-out samples meet the means over views, not x.

    Returns:
        [N], in units of the score; NaN where the weight is NaN or fewer than two held-out rows remain.

    Raises:
        ValueError: wrong shape, dtype or device, unequal numbers of models, an embedding that is not of unit norm.
    """
    checks.count("image: number of models", len(image))
    dtype = checks.working_dtype(*image, *text, *heldout_image, *heldout_text)
    spread = _spread(list(heldout_image), list(heldout_text), dtype)
    return clip_heldout_se_from_spread(
        list(image),
        list(text),
        spread,
        weight,
        heldout_index=heldout_index,
        image_mean=None if image_mean is None else list(image_mean),
        text_mean=None if text_mean is None else list(text_mean),
        augment_heldout_terms=augment_heldout_terms,
    )


def clip_heldout_spread(heldout_image: Sequence[Tensor], heldout_text: Sequence[Tensor]) -> HeldoutSpread:
    """The held-out side of `clip_heldout_se`, made once for many shards of samples.

    Args:
        heldout_image: M tensors [H, d_m], unit norm; one a model.
        heldout_text: M tensors [H, d_m]; the same H samples for all models.

    Returns:
        what `clip_heldout_se_from_spread` needs; it computes in float64 where any of these tensors has it.

    Raises:
        ValueError: as `clip_heldout_se`.
    """
    return _spread(heldout_image, heldout_text, checks.working_dtype(*heldout_image, *heldout_text))


def clip_heldout_se_from_spread(
    image: Sequence[Tensor],
    text: Sequence[Tensor],
    spread: HeldoutSpread,
    weight: Tensor,
    *,
    heldout_index: Tensor | None = None,
    image_mean: Sequence[Tensor] | None = None,
    text_mean: Sequence[Tensor] | None = None,
    augment_heldout_terms: bool = False,
) -> Tensor:
    """`clip_heldout_se` of some samples, the held-out side being made (`clip_heldout_spread`).

    Args:
        image: M tensors [N, d_m], unit norm, un-augmented; one a model.
        text: M tensors [N, d_m].
        spread: of the same models, in the same order.
        weight: [M] or [M, N], as in `clip_heldout_se`.
        heldout_index: long [N], the held-out row that is sample i itself, or -1.
        image_mean, text_mean, augment_heldout_terms: as in `clip_heldout_se`.

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
    if augment_heldout_terms:
        image = _means("image_mean", image_mean, image)
        text = _means("text_mean", text_mean, text)
    width, found = 2 * sum(own.shape[1] for own in image), spread.centred.shape[1]
    if found != width:
        raise ValueError(f"heldout_image and heldout_text: expected {width} dimensions in all models, found {found}")
    checks.device("heldout_image", spread.centred, first)
    weight = check_weight(weight, m, n, first)
    if heldout_index is not None:
        check_index(heldout_index, n, spread.centred)
    dtype = spread.centred.dtype

    def direction(rows: slice) -> Tensor:
        own = zip(image, text, weight[:, rows].to(dtype), strict=True)
        return torch.cat([t[rows].to(dtype) * w.unsqueeze(1) for x, y, w in own for t in (x, y)], dim=1)

    return spread.error_along(direction, n, heldout_index)


def _means(name: str, means: Sequence[Tensor] | None, own: Sequence[Tensor]) -> Sequence[Tensor]:
    """The means over views of every model, or the embeddings where there are none."""
    if means is None:
        return own
    if len(means) != len(own):
        raise ValueError(f"{name}: expected {len(own)} models, found {len(means)}")
    for k, (mean, x) in enumerate(zip(means, own, strict=True)):
        checks.embeddings(f"{name}[{k}]", mean, "[N, d]", tuple(x.shape), x)
        checks.mean_norms(f"{name}[{k}]", checks.norms(mean), mean.dtype)
    return means


def _spread(heldout_image: Sequence[Tensor], heldout_text: Sequence[Tensor], dtype: torch.dtype) -> HeldoutSpread:
    checks.count("heldout_image: number of models", len(heldout_image))
    if len(heldout_text) != len(heldout_image):
        raise ValueError(f"heldout_text: expected {len(heldout_image)} models, found {len(heldout_text)}")
    first = heldout_image[0]
    checks.shape("heldout_image[0]", first, "[H, d]", (None, None))
    for k, (image, text) in enumerate(zip(heldout_image, heldout_text, strict=True)):
        check_heldout(f"heldout_image[{k}]", image, (first.shape[0], None), like=first)
        check_heldout(f"heldout_text[{k}]", text, tuple(image.shape), like=first)
    # Terms 2 and 3 meet across modalities: the image direction goes with held-out texts, and the other way round.
    z = torch.cat([t.to(dtype) for pair in zip(heldout_text, heldout_image, strict=True) for t in pair], dim=1)
    return HeldoutSpread(z - z.mean(0))
