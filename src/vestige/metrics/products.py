"""What the formulas need of the samples: products of their modalities with each other and with held-out means.

    crossed_jk = mu_j . mu_k            along_j = x_j . m_i    (mu_j . m_i where that is asked for)

The embeddings are read once, in blocks by torch, or by compiled loops where these can be had (`fused`); norms are
checked in passing.

Shapes: N samples, d dimensions, P pairs of modalities.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from . import fused
from .blocks import Block, Side, blocks
from .heldout import HeldoutMean


@dataclass(frozen=True, slots=True)
class Products:
    """Of every sample.

    Attributes:
        along: by modality, then by held-out mean, [N].
        crossed: [N] of each pair of modalities, in the order (0, 1), (0, 2), ... (1, 2), ...; or their sum alone.
    """

    along: list[list[Tensor]]
    crossed: list[Tensor]


def products(
    sides: Sequence[Side],
    means: Sequence[Sequence[HeldoutMean]],
    *,
    each_pair: bool = False,
    of_mean: bool = False,
) -> Products:
    """The products of some samples.

    Args:
        sides: the modalities, at least two.
        means: for each modality those it is held against.
        each_pair: give every pair by itself instead of their sum.
        of_mean: hold mu against the means, not x.

    Raises:
        ValueError: embeddings that are not of unit norm, or what else the sides are to be.
    """
    parts = [part for side in sides for part in side.parts()]
    vectors = [torch.stack([mean.vector for mean in own]) for own in means]
    if fused.applies([*(part.tensor for part in parts), *vectors], parts[0].dtype):
        flat, pairs = fused.products(sides, vectors, of_mean)
        along = [list(found) for found in flat]
        for found, own, side in zip(along, means, sides, strict=True):
            _add_apart(found, own, side, of_mean)
        crossed = list(pairs) if each_pair else [pairs.sum(0)]
    else:
        along, crossed = _by_blocks(sides, means, each_pair, of_mean)
    for part in parts:
        part.close()
    return Products(along, crossed)


def _by_blocks(
    sides: Sequence[Side], means: Sequence[Sequence[HeldoutMean]], each_pair: bool, of_mean: bool
) -> tuple[list[list[Tensor]], list[Tensor]]:
    """By modality and mean [N], and [N] of the pairs, or of their sum."""
    nothing = means[0][0].vector.new_empty(0)
    along = [[[nothing] for _ in own] for own in means]
    count = len(sides) * (len(sides) - 1) // 2 if each_pair else 1
    crossed = [[nothing] for _ in range(count)]
    tensors = [part.tensor for side in sides for part in side.parts()]
    for rows in blocks(len(tensors[0]), tensors):
        read = [side.read(rows) for side in sides]
        # A mean over views that is needed for the vectors serves the pairs too; else few views are crossed faster.
        mu = [block.mu() for block in read] if of_mean or len(read) > 2 else None
        for k, (own, found) in enumerate(zip(means, along, strict=True)):
            x = mu[k] if of_mean and mu is not None else read[k].x
            for mean, some in zip(own, found, strict=True):
                some.append(sum((apart.along(x, rows) for apart in mean.apart), torch.mv(x, mean.vector)))
        for some, of_pair in zip(crossed, _crossed(read, mu, each_pair), strict=True):
            some.append(of_pair)
    return [[torch.cat(some) for some in found] for found in along], [torch.cat(some) for some in crossed]


def _crossed(read: Sequence[Block], mu: Sequence[Tensor] | None, each_pair: bool) -> list[Tensor]:
    """[B] of every pair, or of their sum."""
    if mu is None:
        return [read[0].crossed(read[1])]
    if each_pair:
        return [torch.linalg.vecdot(a, b) for a, b in combinations(mu, 2)]
    # sum_(j<k) mu_j . mu_k, with n - 1 products: each with the sum of those after it.
    after, total = mu[-1], torch.linalg.vecdot(mu[-2], mu[-1])
    for j in range(len(mu) - 3, -1, -1):
        after = after + mu[j + 1]
        total = total + torch.linalg.vecdot(mu[j], after)
    return [total]


def _add_apart(found: list[Tensor], means: Sequence[HeldoutMean], side: Side, of_mean: bool) -> None:
    """To [N] of each mean, what single samples have beside the vector that all share."""
    if not any(mean.apart for mean in means):
        return
    read = side.parts() if of_mean else [side.own]
    for rows in blocks(len(side.own.tensor), [part.tensor for part in read]):
        x = side.again(rows).mu() if of_mean else side.own.again(rows)
        for some, mean in zip(found, means, strict=True):
            for apart in mean.apart:
                some[rows] += apart.along(x, rows)
