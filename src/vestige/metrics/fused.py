"""What takes one pass over the data, by the compiled loops of `loops`, where these can be had.

torch goes over a block of rows once for every product and norm; the loops go over memory once. They are used where
Numba can be (`vestige[fast]`), for tensors that lie in the processor's memory and in the type that is computed in, from
a size on: small ones are not worth half a second for loading Numba, and large ones once are not either, but many are.

Shapes: N samples, H held-out samples, V views, d dimensions, S shared vectors, P pairs of modalities or public sets,
W words of 64 bits, k neighbours.
"""

import os
from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

from .blocks import Noted, Side
from .compiling import Compiled, usable
from .labelsets import LabelSets

LEAST_BYTES = 4 << 20  # of the inputs: below, torch takes a millisecond or two

_OPENED_BY = os.getpid()
_one_at_a_time = Lock()


def applies(tensors: Sequence[Tensor], dtype: torch.dtype) -> bool:
    """Whether the compiled loops can take these tensors, and are worth it."""
    return (
        all(t.is_cpu and t.dtype == dtype and t.is_contiguous() and not t.requires_grad for t in tensors)
        and sum(t.nbytes for t in tensors) >= LEAST_BYTES
        and forward_ad._current_level < 0  # no derivative is carried along either
        and os.getpid() == _OPENED_BY  # the threads of Numba end a forked process that calls them
        and usable()
    )


def in_threads(loop: Compiled, *arguments: Any) -> None:
    """Runs one of `loops` with as many threads as torch has."""
    import numba

    threads = torch.get_num_threads()
    with _one_at_a_time:  # not all kinds of threads Numba may have bear two callers
        before = numba.get_num_threads()
        at_most = numba.config.NUMBA_NUM_THREADS  # pyright: ignore[reportPrivateImportUsage, reportAttributeAccessIssue]
        numba.set_num_threads(min(threads, at_most))
        try:
            loop(*arguments)
        finally:
            numba.set_num_threads(before)
            # Numba's threads may be those of torch's OpenMP: starting them sets their number, and with it torch's bits.
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)


def sum_of_rows(noted: Noted, present: Tensor | None) -> Tensor:
    """[d], the sum of the rows [H, d] that are `present` (default: all); norms are noted, of absent rows as 0."""
    from . import loops

    source = noted.tensor.numpy()
    has = np.empty(0, bool) if present is None else np.ascontiguousarray(present.numpy())
    norms = np.empty(len(source), source.dtype)
    totals = np.zeros((-(-len(source) // loops.PART), source.shape[1]), source.dtype)
    in_threads(loops.sum_rows, source, has, norms, totals)
    noted.note(torch.from_numpy(norms))
    return torch.from_numpy(totals).sum(0)


def products(sides: Sequence[Side], vectors: Sequence[Tensor], of_mean: bool) -> tuple[list[Tensor], Tensor]:
    """By modality [S, N], its products with vectors [S, d]; and [P, N] of the pairs of modalities. Norms are noted."""
    from . import loops

    own = tuple(side.own.tensor.numpy() for side in sides)
    (n, d), dtype = own[0].shape, own[0].dtype
    means = [side.views or side.mean for side in sides]
    drawn = tuple(np.empty((n, 0, d), dtype) if m is None else _as_views(m.tensor).numpy() for m in means)
    norms = tuple(np.empty(n, dtype) for _ in sides)
    drawn_norms = tuple(np.empty(views.shape[:2], dtype) for views in drawn)
    shared = tuple(v.numpy() for v in vectors)
    along = tuple(np.empty((len(v), n), dtype) for v in shared)
    crossed = np.empty((len(sides) * (len(sides) - 1) // 2, n), dtype)
    in_threads(loops.products, own, drawn, shared, of_mean, norms, drawn_norms, along, crossed)
    for side, mean, norm, drawn_norm in zip(sides, means, norms, drawn_norms, strict=True):
        side.own.note(torch.from_numpy(norm))
        if mean is not None:
            mean.note(torch.from_numpy(drawn_norm).view(mean.tensor.shape[:-1]))
    return [torch.from_numpy(found) for found in along], torch.from_numpy(crossed)


def _as_views(drawn: Tensor) -> Tensor:
    """[N, V, d], where a mean [N, d] counts as one view."""
    return drawn if drawn.ndim == 3 else drawn.unsqueeze(1)


def distances(views: Noted, anchor: Tensor | None) -> Tensor:
    """[N], the mean distance between two of the views [N, V, d], or of each to its anchor [N, d]. Norms are noted."""
    from . import loops

    source = views.tensor.numpy()
    own = np.empty((0, source.shape[2]), source.dtype) if anchor is None else anchor.numpy()
    norms, found = np.empty(source.shape[:2], source.dtype), np.empty(len(source), source.dtype)
    in_threads(loops.pair_distances, source, own, norms, found)
    views.note(torch.from_numpy(norms))
    return torch.from_numpy(found)


def unions(table: Tensor, neighbours: Tensor, wanted: LabelSets) -> tuple[Tensor, Tensor]:
    """Long [N], how many labels of the union of k sets are wanted, and how many it has.

    Args:
        table: long [P, W], sets as bits.
        neighbours: long [N, k], which of them are united.
        wanted: N sets.
    """
    from . import loops

    correct, found = np.empty(len(neighbours), np.int64), np.empty(len(neighbours), np.int64)
    in_threads(
        loops.unions, table.numpy(), neighbours.numpy(), wanted.offsets.numpy(), wanted.labels.numpy(), correct, found
    )
    return torch.from_numpy(correct), torch.from_numpy(found)
