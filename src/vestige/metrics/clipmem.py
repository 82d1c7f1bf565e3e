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

from functools import partial

import torch
from torch import Tensor

from . import checks
from .blocks import Noted, Side
from .heldout import (
    HeldoutMean,
    check_heldout_mean,
    check_heldout_shape,
    check_index,
    given_mean,
    mean_of_others,
)
from .products import products


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
    checks.embeddings("image", image, "[N, d]", (None, None), None)
    n, d = image.shape
    checks.embeddings("text", text, "[N, d]", (n, d), image)
    check_heldout_shape("heldout_image", heldout_image, (None, d), like=image)
    check_heldout_shape("heldout_text", heldout_text, (heldout_image.shape[0], d), like=image)
    if heldout_index is not None:
        check_index(heldout_index, n, heldout_image)
    dtype = checks.working_dtype(image, text, heldout_image, heldout_text, image_views, text_views)
    return _alignment(
        samples_with_views("image", image, "image_views", image_views, dtype),
        samples_with_views("text", text, "text_views", text_views, dtype),
        mean_of_others("heldout_image", heldout_image, heldout_index, None, dtype),
        mean_of_others("heldout_text", heldout_text, heldout_index, None, dtype),
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
    checks.embeddings("image", image, "[N, d]", (None, None), None)
    n, d = image.shape
    checks.embeddings("text", text, "[N, d]", (n, d), image)
    checks.embeddings("image_mean", image_mean, "[N, d]", (n, d), image)
    checks.embeddings("text_mean", text_mean, "[N, d]", (n, d), image)
    check_heldout_mean("heldout_image_mean", heldout_image_mean, image)
    check_heldout_mean("heldout_text_mean", heldout_text_mean, image)
    dtype = checks.working_dtype(image, text, image_mean, text_mean, heldout_image_mean, heldout_text_mean)
    return _alignment(
        samples_with_mean("image", image, "image_mean", image_mean, dtype),
        samples_with_mean("text", text, "text_mean", text_mean, dtype),
        given_mean(heldout_image_mean, dtype),
        given_mean(heldout_text_mean, dtype),
        augment_heldout_terms,
    )


def samples_with_views(
    name: str,
    own: Tensor,
    views_name: str,
    views: Tensor | None,
    dtype: torch.dtype,
    present: Tensor | None = None,
) -> Side:
    """One modality of checked shape, with its views [N, V, d]; norms are checked as it is read."""
    read = Noted(own, partial(checks.unit_norms, name, dtype=own.dtype, present=present), dtype)
    if views is None:
        return Side(read)
    n, d = own.shape
    checks.embeddings(views_name, views, "[N, V, d]", (n, None, d), own)
    checks.count(f"{views_name}: number of views", views.shape[1])
    judge = partial(checks.unit_norms, views_name, dtype=views.dtype, present=present)
    return Side(read, views=Noted(views, judge, dtype))


def samples_with_mean(
    name: str, own: Tensor, mean_name: str, mean: Tensor, dtype: torch.dtype, present: Tensor | None = None
) -> Side:
    """One modality of checked shape, with the mean of its views; norms are checked as it is read."""
    read = Noted(own, partial(checks.unit_norms, name, dtype=own.dtype, present=present), dtype)
    if mean is own:
        return Side(read)
    judge = partial(checks.mean_norms, mean_name, dtype=mean.dtype, present=present)
    return Side(read, mean=Noted(mean, judge, dtype))


def _alignment(
    image: Side, text: Side, m_image: HeldoutMean, m_text: HeldoutMean, augment_heldout_terms: bool
) -> Tensor:
    """mu_I . mu_T - x_I . m_T - x_T . m_I."""
    found = products([image, text], [[m_text], [m_image]], of_mean=augment_heldout_terms)
    (image_along,), (text_along,) = found.along
    return found.crossed[0] - image_along - text_along
