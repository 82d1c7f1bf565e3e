"""Zero-shot classification: a sample gets the class whose prompts lie nearest (Radford et al., 2021, section 3.1.4).

    w_c = normalised mean over templates t of normalised text(t(c)),        s_ic = x_i . w_c

Shapes: N samples, C classes, P prompts, d dimensions.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from vestige.metrics import checks


def class_embeddings(prompts: Tensor, owner: Tensor, classes: int) -> Tensor:
    """The embedding of every class, float32 [C, d] (float64 for float64 prompts), unit norm.

    Args:
        prompts: embeddings of the prompts [P, d], of any norm.
        owner: long [P], the class of every prompt.
        classes: C; each has a prompt or more.

    Raises:
        ValueError: wrong shape or dtype, NaN, a class without a prompt.
    """
    checks.numbers("prompts", prompts, "[P, d]", (None, None))
    checks.integers("owner", owner, "[P]", (len(prompts),), low=0, high=classes)
    counts = torch.bincount(owner, minlength=classes)
    if not bool(counts.all()):
        raise ValueError(f"owner: expected a prompt of every class, found none of {int((counts == 0).sum())}")
    unit = normalize(prompts.to(checks.working_dtype(prompts)), dim=1)
    sums = unit.new_zeros(classes, unit.shape[1]).index_add_(0, owner, unit)
    return normalize(sums / counts[:, None], dim=1)


def zero_shot_scores(embeddings: Tensor, classes: Tensor) -> Tensor:
    """Cosine of every sample with every class, [N, C].

    Args:
        embeddings: [N, d], unit norm.
        classes: `class_embeddings`, [C, d].

    Raises:
        ValueError: wrong shape, dtype or norm.
    """
    checks.unit("embeddings", embeddings, "[N, d]", (None, None))
    checks.unit("classes", classes, "[C, d]", (None, embeddings.shape[1]))
    dtype = checks.working_dtype(embeddings, classes)
    return embeddings.to(dtype) @ classes.to(dtype).T
