"""SSLMem: how close the views of one sample lie to each other under one encoder.

    A(f, x) = - E_(x', x'' ~ Aug(x))  || f(x') - f(x'') ||_2

    Wang et al., "Memorization in Self-Supervised Learning Improves Downstream Generalization" (ICLR 2024), eq. 1.
    SSLMem(x) = A(f, x) - A(g, x): the contrast of `memorization`.

The expectation is the mean over all distinct pairs of the V views. With an anchor it is the mean over the pairs of the
un-augmented sample and one view, which is what the authors' code computes. Per encoder: pictures use crops, texts the
pool of captions. Distances are taken from differences, not from cosines: near views would lose all digits.

Shapes: N samples, V views, d dimensions.
"""

from functools import partial
from itertools import combinations

import torch
from torch import Tensor

from . import checks, fused
from .blocks import Noted, blocks


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
    checks.embeddings("views", views, "[N, V, d]", (None, None, None), None)
    n, v, d = views.shape
    checks.count("views: number of views", v, least=2 if anchor is None else 1)
    if anchor is not None:
        checks.unit("anchor", anchor, "[N, d]", (n, d), like=views)
    dtype = checks.working_dtype(views, anchor)
    noted = Noted(views, partial(checks.unit_norms, "views", dtype=views.dtype), dtype)
    own = [] if anchor is None else [anchor]
    mean = (fused.distances if fused.applies([views, *own], dtype) else _by_blocks)(noted, anchor)
    noted.close()
    return -mean


def _by_blocks(views: Noted, anchor: Tensor | None) -> Tensor:
    """[N], the mean distance between two views, or of each to the anchor."""
    n, v, _ = views.tensor.shape
    found = [views.tensor.new_empty(0, dtype=views.dtype)]
    for rows in blocks(n, [views.tensor]):
        block = views.read(rows)
        if anchor is None:
            apart = [block[:, j] - block[:, k] for j, k in combinations(range(v), 2)]
        else:
            own = anchor[rows].to(views.dtype)
            apart = [block[:, k] - own for k in range(v)]
        found.append(torch.stack([torch.linalg.vector_norm(one, dim=1) for one in apart]).mean(0))
    return torch.cat(found)
