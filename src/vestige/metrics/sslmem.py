"""SSLMem: how close the views of one sample lie to each other under one encoder.

    A(f, x) = - E_(x', x'' ~ Aug(x))  || f(x') - f(x'') ||_2

    Wang et al., "Memorization in Self-Supervised Learning Improves Downstream Generalization" (ICLR 2024), eq. 1.
    SSLMem(x) = A(f, x) - A(g, x): the contrast of `memorization`.

The expectation is the mean over all distinct pairs of the V views. With an anchor it is the mean over the pairs of the
un-augmented sample and one view, which is what the authors' code computes. Per encoder: pictures use crops, texts the
pool of captions. Distances are taken from differences, not from cosines: near views would lose all digits.

Shapes: N samples, V views, d dimensions.
"""

from itertools import combinations

import torch
from torch import Tensor

from . import checks


def ssl_alignment(views: Tensor, *, anchor: Tensor | None = None) -> Tensor:
    """Minus the mean distance between the views of each sample (SSLMem, eq. 1).

    Args:
        views: [N, V, d], unit norm; V >= 2, or V >= 1 with an anchor.
        anchor: [N, d], unit norm: the un-augmented sample, against which each view is measured instead.

    Returns:
        [N], between -2 and 0, in units of distance on the unit sphere.

    Raises:
        ValueError: wrong shape, dtype or device, too few views, or an embedding that is not of unit norm.
    """
    checks.unit("views", views, "[N, V, d]", (None, None, None))
    n, v, d = views.shape
    dtype = checks.working_dtype(views, anchor)
    if anchor is not None:
        checks.count("views: number of views", v)
        checks.unit("anchor", anchor, "[N, d]", (n, d), like=views)
        own = anchor.to(dtype)
        distances = [torch.linalg.vector_norm(views[:, k].to(dtype) - own, dim=1) for k in range(v)]
    else:
        checks.count("views: number of views", v, least=2)
        distances = [
            torch.linalg.vector_norm(views[:, j].to(dtype) - views[:, k].to(dtype), dim=1)
            for j, k in combinations(range(v), 2)
        ]
    return -torch.stack(distances).mean(0)
