"""The mean over the held-out set H, of all its rows or of all but one.

    m       = 1/H sum_h x_h
    m_(-h)  = (H m - x_h) / (H - 1)                      a sample that lies in H is not compared with itself

Shapes: N samples, H held-out samples, d dimensions.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from . import checks


def heldout_mean(heldout: Tensor, *, index: Tensor | None = None, present: Tensor | None = None) -> Tensor:
    """Mean of the held-out embeddings; with `index`, for each sample the mean over the other rows.

    Args:
        heldout: [H, d], unit norm.
        index: long [N], the row of `heldout` that is sample i itself, or -1.
        present: bool [H], the rows that have this modality (default: all). The others are not read.

    Returns:
        [d], or [N, d] with `index`. A sample that is the only held-out row has no others: its mean is NaN.

    Raises:
        ValueError: wrong shape, dtype or device, an embedding that is not of unit norm, no present row.
    """
    check_heldout("heldout", heldout, (None, None), present=present)
    if index is not None:
        check_index(index, None, heldout)
    return mean_of_others(heldout, index, present, checks.working_dtype(heldout))


def mean_of_others(heldout: Tensor, index: Tensor | None, present: Tensor | None, dtype: torch.dtype) -> Tensor:
    """`heldout_mean` of checked inputs: [d], or [N, d] with `index`."""
    if present is None:
        total, rows = heldout.sum(0, dtype=dtype), heldout.shape[0]
    else:
        heldout = heldout.where(present.unsqueeze(1), 0)
        total, rows = heldout.sum(0, dtype=dtype), int(present.sum())
    if index is None:
        return total / rows
    inside = index >= 0
    if present is not None:
        inside = inside & present[index.clamp(min=0)]
    own = heldout[index.clamp(min=0)].to(dtype).where(inside.unsqueeze(1), 0)
    others = (rows - inside.to(dtype)).unsqueeze(1)
    return (total - own) / others


def check_heldout(
    name: str,
    heldout: Tensor,
    sizes: Sequence[int | None],
    *,
    like: Tensor | None = None,
    present: Tensor | None = None,
) -> None:
    """`heldout` [H, d] holds unit embeddings, at least one of them `present`."""
    checks.shape(name, heldout, "[H, d]", sizes)
    if present is not None:
        checks.boolean(f"{name}_present", present, "[H]", heldout.shape[:1], heldout)
    checks.unit(name, heldout, "[H, d]", sizes, like=like, present=present)
    if heldout.shape[0] == 0 or (present is not None and not bool(present.any())):
        raise ValueError(f"{name}: expected at least one held-out sample, found none")


def check_index(index: Tensor, samples: int | None, heldout: Tensor) -> None:
    """`index` [N] names rows of `heldout`, or -1."""
    checks.integers("heldout_index", index, "[N]", (samples,), low=-1, high=heldout.shape[0])
    checks.device("heldout_index", index, heldout)


def check_heldout_mean(name: str, mean: Tensor, like: Tensor) -> None:
    """`mean` is one mean [d] for all samples, or one for each [N, d] with NaN where a sample has none."""
    if isinstance(mean, Tensor) and mean.ndim == 2:
        checks.mean_of_units(name, mean, "[N, d]", tuple(like.shape), like=like, nan=True)
    else:
        checks.mean_of_units(name, mean, "[d] or [N, d]", (like.shape[1],), like=like)
