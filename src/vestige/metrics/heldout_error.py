"""The error of a score that comes from having drawn this held-out set and no other.

    score_i = ... + 1/H sum_h D_i(h),     D_i(h) = v_i . z_h
    se_i    = sqrt(v_i' Sigma v_i / H),   Sigma = cov(z), unbiased

Every alignment is linear in the held-out embeddings, and a score is a weighted sum of alignments: v_i holds the
sample's own embeddings for all modalities and models, end to end, z_h those of a held-out sample. The models are taken
jointly because they are compared on the same held-out samples, where their errors are correlated. The covariance of z
is enough: no table of samples by held-out samples is built. (No source paper reports this error.)

Shapes: N samples, H held-out samples, M models, d dimensions, K = dimensions of all models and modalities together.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from . import checks
from .heldout import check_index

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


def check_weight(weight: Tensor, models: int, samples: int, like: Tensor) -> Tensor:
    """`weight` as [M, N]; NaN stands for a sample without a score."""
    if isinstance(weight, Tensor) and weight.ndim == 1:
        checks.numbers("weight", weight, "[M] or [M, N]", (models,), like=like)
        return weight.unsqueeze(1).expand(models, samples)
    checks.numbers("weight", weight, "[M] or [M, N]", (models, samples), like=like, nan=True)
    return weight
