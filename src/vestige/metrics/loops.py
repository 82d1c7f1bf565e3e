"""Loops over rows, compiled: an embedding comes from memory once, and all that is wanted is taken while it is near.

Needs Numba (`compiling.usable`); imported where it is used. The loops write to arrays that are handed in, and return
nothing. Numba's threads share the rows by parts of `PART`; sums are taken within a row or a part, so that their bits do
not depend on how many threads there are.

Shapes: N samples, V views, d dimensions, S shared vectors, n modalities, P pairs of modalities.
"""

from functools import partial
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from .compiling import Compiled

Floats = NDArray[np.floating]
Integers = NDArray[np.int64]

PART = 256  # rows a thread takes at a time
BLOCK = 16  # rows that are gone through again and again before the next: they stay in a core's first caches
# Sums may be taken in another order, and by multiply-add. No more of "fast" arithmetic: a NaN has to stay one.
SUMS = {"reassoc", "contract", "nsz"}


compiled = numba.njit(fastmath=SUMS)  # what the loops call
in_parallel = partial(Compiled, fastmath=SUMS, parallel=True)


@compiled
def note_norms(first: int, last: int, x: Floats, norms: Floats) -> None:
    """`norms` [N] of the rows of x [N, d]."""
    for i in range(first, last):
        square = x.dtype.type(0)
        for k in range(x.shape[1]):
            square += x[i, k] * x[i, k]
        norms[i] = np.sqrt(square)


@in_parallel
def sum_rows(x: Floats, present: NDArray[np.bool_], norms: Floats, totals: Floats) -> None:
    """`totals` [parts, d], the sums of the rows of x [N, d] by parts of `PART`, from zeros; and their `norms` [N].

    Rows that are not `present` [N] count as 0; with `present` of length 0 all are.
    """
    for part in numba.prange(len(totals)):
        for i in range(part * PART, min(part * PART + PART, len(x))):
            square = x.dtype.type(0)
            if len(present) == 0 or present[i]:
                for k in range(x.shape[1]):
                    square += x[i, k] * x[i, k]
                    totals[part, k] += x[i, k]
            norms[i] = np.sqrt(square)


@compiled
def take_means(first: int, last: int, views: Floats, norms: Floats, means: Floats) -> None:
    """The means over V of views [N, V, d], to the front of `means` [BLOCK, d]; and `norms` [N, V]."""
    for i in range(first, last):
        at = i - first
        for k in range(views.shape[2]):
            means[at, k] = 0
        for v in range(views.shape[1]):
            square = views.dtype.type(0)
            for k in range(views.shape[2]):
                square += views[i, v, k] * views[i, v, k]
                means[at, k] += views[i, v, k]
            norms[i, v] = np.sqrt(square)
        for k in range(views.shape[2]):
            means[at, k] /= views.shape[1]


@compiled
def dots(rows: int, a: Floats, at_a: int, b: Floats, at_b: int, step: int, found: Floats, at: int) -> None:
    """`found`[at + i] = a[at_a + i] . b[at_b + i step]: of two sets of rows, or with one row where `step` is 0."""
    for i in range(rows):
        total = a.dtype.type(0)
        for k in range(a.shape[1]):
            total += a[at_a + i, k] * b[at_b + i * step, k]
        found[at + i] = total


@compiled
def products_of_part(
    first: int,
    last: int,
    own: tuple[Floats, ...],
    drawn: tuple[Floats, ...],
    vectors: tuple[Floats, ...],
    of_mean: bool,
    norms: tuple[Floats, ...],
    drawn_norms: tuple[Floats, ...],
    along: tuple[Floats, ...],
    crossed: Floats,
) -> None:
    """`products` of the rows `first` to `last`: apart from the parallel loop, in which the same lines take longer."""
    n = len(own)
    mu = np.empty((n, BLOCK, own[0].shape[1]), own[0].dtype)
    for start in range(first, last, BLOCK):
        stop = min(start + BLOCK, last)
        for j in range(n):
            note_norms(start, stop, own[j], norms[j])
            if drawn[j].shape[1]:
                take_means(start, stop, drawn[j], drawn_norms[j], mu[j])
            x, at = (mu[j], 0) if of_mean and drawn[j].shape[1] else (own[j], start)
            for s in range(len(vectors[j])):
                dots(stop - start, x, at, vectors[j], s, 0, along[j][s], start)
        pair = 0
        for j in range(n):
            a, at_a = (mu[j], 0) if drawn[j].shape[1] else (own[j], start)
            for k in range(j + 1, n):
                b, at_b = (mu[k], 0) if drawn[k].shape[1] else (own[k], start)
                dots(stop - start, a, at_a, b, at_b, 1, crossed[pair], start)
                pair += 1


@in_parallel
def products(
    own: tuple[Floats, ...],
    drawn: tuple[Floats, ...],
    vectors: tuple[Floats, ...],
    of_mean: bool,
    norms: tuple[Floats, ...],
    drawn_norms: tuple[Floats, ...],
    along: tuple[Floats, ...],
    crossed: Floats,
) -> None:
    """Of each sample: products of its modalities with each other and with shared vectors, and norms.

    Args:
        own: by modality x, [N, d].
        drawn: by modality what mu is the mean of, [N, V, d]; with V = 0, mu is x.
        vectors: by modality [S, d].
        of_mean: take the products with the vectors of mu, not of x.
        norms: by modality [N], of x; written.
        drawn_norms: by modality [N, V]; written.
        along: by modality [S, N]; written.
        crossed: [P, N], mu_j . mu_k of the pairs (0, 1), (0, 2), ... (1, 2), ...; written.
    """
    rows = crossed.shape[1]
    for part in numba.prange((rows + PART - 1) // PART):
        first, last = part * PART, min(part * PART + PART, rows)
        products_of_part(first, last, own, drawn, vectors, of_mean, norms, drawn_norms, along, crossed)


@in_parallel
def pair_distances(views: Floats, anchor: Floats, norms: Floats, found: Floats) -> None:
    """`found` [N]: the mean distance between two of views [N, V, d], or of each to `anchor` [N, d]; `norms` [N, V].

    With `anchor` of length 0 it is that of the pairs.
    """
    n, count, d = views.shape
    for part in numba.prange((n + PART - 1) // PART):
        for i in range(part * PART, min(part * PART + PART, n)):
            total = 0.0  # of as many as V (V - 1) / 2, in double precision
            for v in range(count):
                square = views.dtype.type(0)
                for k in range(d):
                    square += views[i, v, k] * views[i, v, k]
                norms[i, v] = np.sqrt(square)
                if len(anchor):
                    square = views.dtype.type(0)
                    for k in range(d):
                        square += (views[i, v, k] - anchor[i, k]) * (views[i, v, k] - anchor[i, k])
                    total += np.sqrt(square)
                else:
                    for w in range(v):
                        square = views.dtype.type(0)
                        for k in range(d):
                            square += (views[i, v, k] - views[i, w, k]) * (views[i, v, k] - views[i, w, k])
                        total += np.sqrt(square)
            found[i] = total / (count if len(anchor) else count * (count - 1) // 2)


@compiled
def ones(word: int) -> Any:
    """How many bits of 64 are set."""
    x = np.uint64(word)
    x -= (x >> np.uint64(1)) & np.uint64(0x5555555555555555)
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))


@in_parallel
def unions(
    table: Integers, rows: Integers, offsets: Integers, wanted: Integers, correct: Integers, found: Integers
) -> None:
    """How many labels are in the union of some sets, `found` [N], and of the labels wanted there, `correct` [N].

    Args:
        table: [P, W], sets of labels as bits, label l as bit l % 64 of word l // 64.
        rows: [N, k], which sets are united.
        offsets: [N + 1]; and
        wanted: [nnz], the labels that are looked for.
        correct, found: written.
    """
    for part in numba.prange((len(rows) + PART - 1) // PART):
        union = np.empty(table.shape[1], np.int64)
        for i in range(part * PART, min(part * PART + PART, len(rows))):
            union[:] = 0
            for j in range(rows.shape[1]):
                row = np.uint64(rows[i, j])  # of what cannot be negative, no end is sought at every word
                for w in range(table.shape[1]):
                    union[w] |= table[row, w]
            count = 0
            for w in range(len(union)):
                count += ones(union[w])
            found[i] = count
            count = 0
            for at in range(offsets[i], offsets[i + 1]):
                count += (union[wanted[at] // 64] >> (wanted[at] % 64)) & 1
            correct[i] = count
