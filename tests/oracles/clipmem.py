"""CLIPMem (Wang et al., ICLR 2025), eq. 3, as printed: each crossing of views, each held-out sample by itself."""

import math

from beartype import beartype
from jaxtyping import Bool, Float64, Int64, jaxtyped
from torch import Tensor


def sim(a: list[float], b: list[float]) -> float:
    """Cosine of two unit vectors."""
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def mean(values: list[float]) -> float:
    """E[...]; NaN over nothing."""
    return math.fsum(values) / len(values) if values else math.nan


@jaxtyped(typechecker=beartype)
def clip_alignment(
    image: Float64[Tensor, "N d"],
    text: Float64[Tensor, "N d"],
    heldout_image: Float64[Tensor, "H d"],
    heldout_text: Float64[Tensor, "H d"],
    image_views: Float64[Tensor, "N V d"] | None = None,
    text_views: Float64[Tensor, "N W d"] | None = None,
    heldout_index: Int64[Tensor, "N"] | None = None,
    augment_heldout_terms: bool = False,
    heldout_image_present: Bool[Tensor, "H"] | None = None,
    heldout_text_present: Bool[Tensor, "H"] | None = None,
) -> list[float]:
    """E sim(f(I'), f(T')) - E sim(f(I), f(t)) - E sim(f(i), f(T))."""
    scores = []
    for n in range(image.shape[0]):
        images = [image[n].tolist()] if image_views is None else image_views[n].tolist()
        texts = [text[n].tolist()] if text_views is None else text_views[n].tolist()
        own = -1 if heldout_index is None else int(heldout_index[n])
        others = [h for h in range(heldout_image.shape[0]) if h != own]
        seen_images = [h for h in others if heldout_image_present is None or bool(heldout_image_present[h])]
        seen_texts = [h for h in others if heldout_text_present is None or bool(heldout_text_present[h])]
        own_images = images if augment_heldout_terms else [image[n].tolist()]
        own_texts = texts if augment_heldout_terms else [text[n].tolist()]
        together = mean([sim(i, t) for i in images for t in texts])
        to_texts = mean([sim(i, heldout_text[h].tolist()) for i in own_images for h in seen_texts])
        to_images = mean([sim(heldout_image[h].tolist(), t) for t in own_texts for h in seen_images])
        scores.append(together - to_texts - to_images)
    return scores


@jaxtyped(typechecker=beartype)
def heldout_standard_error(
    v: Float64[Tensor, "N K"], z: Float64[Tensor, "H K"], index: Int64[Tensor, "N"] | None = None
) -> list[float]:
    """Standard error of the mean of D_i(h) = v_i . z_h over the held-out samples, each D written out."""
    errors = []
    for n in range(v.shape[0]):
        own = -1 if index is None else int(index[n])
        values = [sim(v[n].tolist(), z[h].tolist()) for h in range(z.shape[0]) if h != own]
        if len(values) < 2:
            errors.append(math.nan)
            continue
        centre = mean(values)
        variance = math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1)
        errors.append(math.sqrt(variance / len(values)))
    return errors


@jaxtyped(typechecker=beartype)
def score_standard_error(
    image: Float64[Tensor, "M N d"],
    text: Float64[Tensor, "M N d"],
    heldout_image: Float64[Tensor, "M H d"],
    heldout_text: Float64[Tensor, "M H d"],
    weight: Float64[Tensor, "M N"],
    heldout_index: Int64[Tensor, "N"] | None = None,
) -> list[float]:
    """The score of sample n against held-out sample h alone, for every h; the standard error of their mean."""
    errors = []
    for n in range(image.shape[1]):
        own = -1 if heldout_index is None else int(heldout_index[n])
        values = []
        for h in range(heldout_image.shape[1]):
            if h != own:
                value = 0.0
                for m in range(image.shape[0]):
                    value -= float(weight[m, n]) * sim(image[m, n].tolist(), heldout_text[m, h].tolist())
                    value -= float(weight[m, n]) * sim(text[m, n].tolist(), heldout_image[m, h].tolist())
                values.append(value)
        centre = mean(values)
        if len(values) < 2:
            errors.append(math.nan)
        else:
            variance = math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1)
            errors.append(math.sqrt(variance / len(values)))
    return errors
