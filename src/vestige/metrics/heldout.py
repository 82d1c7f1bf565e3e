"""The mean over the held-out set H, of all its rows or of all but one.

    m       = 1/H sum_h x_h
    m_(-h)  = m + (m - x_h) / (H - 1)                    a sample that lies in H is not compared with itself

Formulas need products with these means, not the means: one vector serves all samples, and the few that lie in H get
their correction. A mean for each sample is built where it is asked for (`heldout_mean`).

Shapes: N samples, H held-out samples, d dimensions, B rows of a block.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from . import checks, fused
from .blocks import Noted, blocks


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
    check_heldout_shape("heldout", heldout, (None, None), present=present)
    if index is not None:
        check_index(index, None, heldout)
    found = mean_of_others("heldout", heldout, index, present, checks.working_dtype(heldout))
    if index is None:
        return found.vector
    means = found.vector.expand(len(index), -1).clone()
    for apart in found.apart:
        means += apart.shift(slice(0, len(index)))
    return means


@dataclass(frozen=True)
class Given:
    """Means [N, d] that were handed in."""

    means: Tensor

    def along(self, x: Tensor, rows: slice) -> Tensor:
        """[B]: x_i . m_i of a block of samples."""
        return torch.linalg.vecdot(x, self.means[rows].to(x.dtype))

    def shift(self, rows: slice) -> Tensor:
        """[B, d]: the means themselves."""
        return self.means[rows]


@dataclass(frozen=True)
class LeftOut:
    """What leaving out its own row adds to the mean of each sample that lies in H: (m - x_h) / (H - 1).

    Attributes:
        mean: [d], m.
        heldout: [H, d], in the precision it is stored in.
        index: long [N], as in `heldout_mean`.
        present: bool [H] or None.
        count: how many rows m is the mean of.
    """

    mean: Tensor
    heldout: Tensor
    index: Tensor
    present: Tensor | None
    count: int

    def _own(self, rows: slice) -> tuple[Tensor, Tensor]:
        """(places in the block of samples that lie in H, m - x_h over H - 1 of these)."""
        index = self.index[rows]
        inside = index >= 0
        if self.present is not None:
            inside = inside & self.present[index.clamp(min=0)]
        places = inside.nonzero().squeeze(1)
        own = self.heldout[index[places]].to(self.mean.dtype)
        # The only row has no others: 0/0.
        return places, (self.mean - own) / (self.count - 1 if self.count > 1 else torch.nan)

    def along(self, x: Tensor, rows: slice) -> Tensor:
        """[B]: the addition times x_i, of a block of samples; 0 for those outside H."""
        places, own = self._own(rows)
        found = x.new_zeros(len(x))
        if len(places):
            found[places] = torch.linalg.vecdot(x[places], own)
        return found

    def shift(self, rows: slice) -> Tensor:
        """[B, d]: the addition itself."""
        places, own = self._own(rows)
        found = self.mean.new_zeros(len(self.index[rows]), len(self.mean))
        found[places] = own
        return found


@dataclass(frozen=True)
class HeldoutMean:
    """m_i of every sample, for products with it: a vector [d] that all share, and what is added for single samples."""

    vector: Tensor
    apart: Sequence[LeftOut | Given] = ()

    def __add__(self, other: "HeldoutMean") -> "HeldoutMean":
        return HeldoutMean(self.vector + other.vector, (*self.apart, *other.apart))


def mean_of_others(
    name: str, heldout: Tensor, index: Tensor | None, present: Tensor | None, dtype: torch.dtype
) -> HeldoutMean:
    """The held-out mean of each sample, from a set of which shapes are checked; norms are checked here, in one pass.

    Raises:
        ValueError: an embedding that is not of unit norm.
    """
    noted = Noted(heldout, partial(checks.unit_norms, name, dtype=heldout.dtype, present=present), dtype)
    total = (fused.sum_of_rows if fused.applies([heldout], dtype) else _sum_by_blocks)(noted, present)
    noted.close()
    count = len(heldout) if present is None else int(present.sum())
    mean = total / count
    return HeldoutMean(mean, () if index is None else (LeftOut(mean, heldout, index, present, count),))


def _sum_by_blocks(noted: Noted, present: Tensor | None) -> Tensor:
    """[d], the sum of the rows that are `present`."""
    h, d = noted.tensor.shape
    total = noted.tensor.new_zeros(d, dtype=noted.dtype)
    ones: Tensor | None = None
    for rows in blocks(h, [noted.tensor]):
        block = noted.read(rows)
        if present is not None:
            block = block.where(present[rows].unsqueeze(1), 0)
        if ones is None:
            ones = block.new_ones(len(block))
        total = torch.addmv(total, block.T, ones[: len(block)])
    return total


def given_mean(mean: Tensor, dtype: torch.dtype) -> HeldoutMean:
    """From a mean that was handed in: [d], or [N, d] where it differs by sample."""
    if mean.ndim == 1:
        return HeldoutMean(mean.to(dtype))
    return HeldoutMean(mean.new_zeros(mean.shape[1], dtype=dtype), (Given(mean),))


def check_heldout(
    name: str,
    heldout: Tensor,
    sizes: Sequence[int | None],
    *,
    like: Tensor | None = None,
    present: Tensor | None = None,
) -> None:
    """`heldout` [H, d] holds unit embeddings, at least one of them `present`."""
    check_heldout_shape(name, heldout, sizes, like=like, present=present)
    checks.unit_norms(name, checks.norms(heldout), heldout.dtype, present)


def check_heldout_shape(
    name: str,
    heldout: Tensor,
    sizes: Sequence[int | None],
    *,
    like: Tensor | None = None,
    present: Tensor | None = None,
) -> None:
    """`heldout` [H, d] holds embeddings, at least one of them `present`; their norms are another matter."""
    checks.embeddings(name, heldout, "[H, d]", sizes, like)
    if present is not None:
        checks.boolean(f"{name}_present", present, "[H]", heldout.shape[:1], heldout)
    if heldout.shape[0] == 0 or (present is not None and not bool(present.any())):
        raise ValueError(f"{name}: expected at least one held-out sample, found none")


def check_index(index: Tensor, samples: int | None, heldout: Tensor) -> None:
    """`index` [N] names rows of `heldout`, or -1."""
    checks.integers("heldout_index", index, "[N]", (samples,), low=-1, high=heldout.shape[0])
    checks.device("heldout_index", index, heldout)


def check_heldout_mean(name: str, mean: Tensor, like: Tensor) -> None:
    """`mean` is one mean [d] for all samples, or one for each [N, d] with NaN where a sample has none."""
    each = isinstance(mean, Tensor) and mean.ndim == 2
    if each:
        checks.embeddings(name, mean, "[N, d]", tuple(like.shape), like)
    else:
        checks.embeddings(name, mean, "[d] or [N, d]", (like.shape[1],), like)
    checks.mean_norms(name, checks.norms(mean), mean.dtype, nan=each)
