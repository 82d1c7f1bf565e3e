"""CLIPMem: how well one model aligns an image with its own caption, against captions and images it never saw.

    A(f, I, T) =   E_(I', T') ~ Aug(I, T)  sim(f_img(I'), f_txt(T'))
                 - E_(_, t) in T_test      sim(f_img(I), f_txt(t))
                 - E_(i, _) in T_test      sim(f_img(i), f_txt(T))

    Wang et al., "Captured by Captions: On Memorization and its Mitigation in CLIP Models" (ICLR 2025), eq. 3.
    CLIPMem(I, T) = A(f, I, T) - A(g, I, T), eq. 4: the contrast of `memorization`.

With x the embedding of the un-augmented sample, mu the mean over its augmented views, m the mean over the held-out set:

    A = mu_I . mu_T - x_I . m_T - x_T . m_I

sim is the cosine and embeddings have unit norm, so every expectation of a product is a product of means: the first term
equals the mean over all V_I x V_T crossings of the views exactly, and the cost is O((N + H) d).

Shapes: N samples, H held-out samples, V views, d dimensions.
"""

import torch
from torch import Tensor

from . import checks
from .heldout import check_heldout, check_heldout_mean, check_index, mean_of_others


def clip_alignment(
    image: Tensor,
    text: Tensor,
    heldout_image: Tensor,
    heldout_text: Tensor,
    *,
    image_views: Tensor | None = None,
    text_views: Tensor | None = None,
    heldout_index: Tensor | None = None,
    augment_heldout_terms: bool = False,
) -> Tensor:
    """Image-text alignment of each sample under one model (CLIPMem, eq. 3).

    Args:
        image: [N, d], unit norm, un-augmented.
        text: [N, d], unit norm, un-augmented.
        heldout_image: [H, d], unit norm; samples no model saw.
        heldout_text: [H, d], unit norm; the captions of the same samples.
        image_views: [N, V, d], unit norm, augmented (default: the image itself, once).
        text_views: [N, V', d], unit norm, augmented (default: the text itself, once).
        heldout_index: long [N], the held-out row that is sample i itself, or -1; that row is left out for i.
        augment_heldout_terms: take the views in the second and third term too; the paper's formula does not.

    Returns:
        [N], in units of cosine similarity, between -3 and 3. NaN for a sample that is the only held-out row.

    Raises:
        ValueError: wrong shape, dtype or device, or an embedding that is not of unit norm; names the argument.
    """
    checks.unit("image", image, "[N, d]", (None, None))
    n, d = image.shape
    checks.unit("text", text, "[N, d]", (n, d), like=image)
    check_heldout("heldout_image", heldout_image, (None, d), like=image)
    check_heldout("heldout_text", heldout_text, (heldout_image.shape[0], d), like=image)
    if heldout_index is not None:
        check_index(heldout_index, n, heldout_image)
    dtype = checks.working_dtype(image, text, heldout_image, heldout_text, image_views, text_views)
    return _alignment(
        image.to(dtype),
        text.to(dtype),
        view_mean("image_views", image_views, image, dtype),
        view_mean("text_views", text_views, text, dtype),
        mean_of_others(heldout_image, heldout_index, None, dtype),
        mean_of_others(heldout_text, heldout_index, None, dtype),
        augment_heldout_terms,
    )


def clip_alignment_from_means(
    image: Tensor,
    text: Tensor,
    image_mean: Tensor,
    text_mean: Tensor,
    heldout_image_mean: Tensor,
    heldout_text_mean: Tensor,
    *,
    augment_heldout_terms: bool = False,
) -> Tensor:
    """`clip_alignment` from means that were taken while embedding, so that no view has to be kept.

    Args:
        image: [N, d], unit norm, un-augmented.
        text: [N, d], unit norm, un-augmented.
        image_mean: [N, d], mean of the unit embeddings of the image's views; `image` itself where there are none.
        text_mean: [N, d], the same for the text.
        heldout_image_mean: [d], or [N, d] where the mean differs by sample (see `heldout_mean`).
        heldout_text_mean: [d] or [N, d].
        augment_heldout_terms: as in `clip_alignment`.

    Returns:
        [N], in units of cosine similarity; NaN where a held-out mean is NaN.

    Raises:
        ValueError: wrong shape, dtype or device, an embedding that is not of unit norm, a mean of norm above 1.
    """
    checks.unit("image", image, "[N, d]", (None, None))
    n, d = image.shape
    checks.unit("text", text, "[N, d]", (n, d), like=image)
    checks.mean_of_units("image_mean", image_mean, "[N, d]", (n, d), like=image)
    checks.mean_of_units("text_mean", text_mean, "[N, d]", (n, d), like=image)
    check_heldout_mean("heldout_image_mean", heldout_image_mean, image)
    check_heldout_mean("heldout_text_mean", heldout_text_mean, image)
    dtype = checks.working_dtype(image, text, image_mean, text_mean, heldout_image_mean, heldout_text_mean)
    return _alignment(
        image.to(dtype),
        text.to(dtype),
        image_mean.to(dtype),
        text_mean.to(dtype),
        heldout_image_mean.to(dtype),
        heldout_text_mean.to(dtype),
        augment_heldout_terms,
    )


def view_mean(
    name: str, views: Tensor | None, own: Tensor, dtype: torch.dtype, present: Tensor | None = None
) -> Tensor:
    """[N, d]: mu, the mean over the views [N, V, d] of unit embeddings, or `own` where there are none."""
    if views is None:
        return own.to(dtype)
    n, d = own.shape
    checks.unit(name, views, "[N, V, d]", (n, None, d), like=own, present=present)
    v = views.shape[1]
    checks.count(f"{name}: number of views", v)
    if views.dtype != dtype:
        return views.mean(1, dtype=dtype)
    # A product with [1/V ... 1/V]: the same sum as views.mean(1), in two thirds of the time.
    return torch.bmm(views.new_full((1, 1, v), 1 / v).expand(n, 1, v), views).squeeze(1)


def _alignment(
    image: Tensor,
    text: Tensor,
    image_mean: Tensor,
    text_mean: Tensor,
    heldout_image_mean: Tensor,
    heldout_text_mean: Tensor,
    augment_heldout_terms: bool,
) -> Tensor:
    """mu_I . mu_T - x_I . m_T - x_T . m_I."""
    x_image, x_text = (image_mean, text_mean) if augment_heldout_terms else (image, text)
    return dot(image_mean, text_mean) - dot(x_image, heldout_text_mean) - dot(x_text, heldout_image_mean)


def dot(rows: Tensor, other: Tensor) -> Tensor:
    """[N, d] by [d] or [N, d] -> [N]."""
    return rows @ other if other.ndim == 1 else torch.linalg.vecdot(rows, other)
