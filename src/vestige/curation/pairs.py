"""What is computed of pairs by looking at all other samples: checks, samples that lack a modality, blocks of rows.

Shapes: N samples, R references, d dimensions.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from vestige.metrics import checks

CELLS = 8_000_000  # similarities held at a time

Measure = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""(a [N, d], b [N, d], group [N], rows of the references [R]) -> [N]."""


def in_pairs(
    measure: Measure, a: Tensor, b: Tensor, group: Tensor, present: Tensor | None, reference: Tensor | None
) -> Tensor:
    """A measure of the samples that have both modalities; NaN for the others, which are no references either.

    Args:
        measure: of complete samples.
        a, b: [N, d], unit norm.
        group: long [N].
        present: bool [N], or None for all.
        reference: long [R], rows, or None for all.

    Raises:
        ValueError: wrong shape, dtype, device or norm, NaN.
    """
    checks.shape("a", a, "[N, d]", (None, None))
    n = len(a)
    have = torch.ones(n, dtype=torch.bool, device=a.device) if present is None else present
    checks.boolean("present", have, "[N]", (n,), a)
    checks.unit("a", a, "[N, d]", (None, None), present=have)
    checks.unit("b", b, "[N, d]", tuple(a.shape), like=a, present=have)
    checks.integers("group", group, "[N]", (n,), low=0)
    rows = torch.arange(n, device=a.device) if reference is None else reference
    checks.integers("reference", rows, "[R]", (None,), low=0, high=n)
    dtype = checks.working_dtype(a, b)
    found = a.new_full((n,), torch.nan, dtype=dtype)
    # Rows of all samples, as rows of those that are complete.
    rows = (have.cumsum(0) - 1)[rows[have[rows]]]
    if len(rows):
        found[have] = measure(a[have].to(dtype), b[have].to(dtype), group[have], rows)
    return found


def block_rows(n: int, width: int) -> Iterator[slice]:
    """The rows of an [n, width] matrix in slices of about `CELLS` numbers."""
    step = max(1, CELLS // max(1, width))
    return (slice(start, min(start + step, n)) for start in range(0, n, step))
