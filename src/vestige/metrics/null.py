"""How surprising a score is against scores that are known to hold no memorization.

    p_i = (1 + #{k : null_k >= s_i}) / (1 + K)                         Monte Carlo p-value
    q_(i) = min_(j >= i) p_(j) N / j                                   Benjamini & Hochberg (1995)

The null comes with every two-model design for nothing: samples both models saw, or neither, have a contrast whose
only source is chance. The 1 in the p-value keeps it valid for finite K: no p-value is ever 0.

Shapes: N samples, K null scores.
"""

from typing import Literal

import torch
from torch import Tensor

from . import checks

Alternative = Literal["greater", "less", "two-sided"]
ALTERNATIVES = ("greater", "less", "two-sided")


def null_p_values(score: Tensor, null: Tensor, *, alternative: Alternative = "greater") -> Tensor:
    """Share of null scores at least as extreme as each score.

    Args:
        score: [N]; NaN where missing.
        null: [K], scores of samples without memorization; K >= 1.
        alternative: "greater" (memorized by the model of interest), "less" (by the other one), or "two-sided": twice
            the smaller of the two, at most 1, which asks no symmetry of the null.

    Returns:
        [N], p-values in [1/(1 + K), 1]; NaN where the score is.

    Raises:
        ValueError: wrong shape, dtype or device, NaN or nothing in `null`, infinite values.
    """
    checks.choice("alternative", alternative, ALTERNATIVES)
    checks.numbers("score", score, "[N]", (None,), nan=True)
    checks.numbers("null", null, "[K]", (None,), like=score)
    k = null.numel()
    checks.count("null: number of scores", k)
    dtype = checks.working_dtype(score, null)
    value, ordered = score.to(dtype).contiguous(), null.to(dtype).sort().values
    greater = (1 + k - torch.searchsorted(ordered, value, right=False)).to(dtype) / (1 + k)
    less = (1 + torch.searchsorted(ordered, value, right=True)).to(dtype) / (1 + k)
    p = {"greater": greater, "less": less, "two-sided": (2 * torch.minimum(greater, less)).clamp(max=1)}[alternative]
    return p.where(~value.isnan(), torch.nan)


def benjamini_hochberg(p: Tensor) -> Tensor:
    """The smallest false-discovery rate at which each sample would be among the discoveries.

    Args:
        p: [N], p-values in [0, 1]; NaN where missing, which does not count as a test.

    Returns:
        [N], q-values in [0, 1]; NaN where p is.

    Raises:
        ValueError: wrong shape or dtype, values outside [0, 1].
    """
    checks.numbers("p", p, "[N]", (None,), nan=True)
    value = p.to(checks.working_dtype(p))
    known = value[~value.isnan()]
    if bool(((known < 0) | (known > 1)).any()):
        raise ValueError(f"p: expected values in [0, 1], found {float(known.min())} to {float(known.max())}")
    n = known.numel()
    ordered, order = known.sort()
    rank = torch.arange(1, n + 1, device=p.device, dtype=value.dtype)
    q = (ordered * n / rank).flip(0).cummin(0).values.flip(0).clamp(max=1)
    result = torch.full_like(value, torch.nan)
    result[~value.isnan()] = torch.empty_like(q).index_copy(0, order, q)
    return result
