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
        crossed = list(pairs) if each_pair else [pairs.sum(0)]
    else:
        flat, crossed = _by_blocks(sides, vectors, each_pair, of_mean)
    for part in parts:
        part.close()
    along = [
        [_with_apart(product, mean, side, of_mean) for product, mean in zip(found, own, strict=True)]
        for found, own, side in zip(flat, means, sides, strict=True)
    ]
    return Products(along, crossed)


def _by_blocks(
    sides: Sequence[Side], vectors: Sequence[Tensor], each_pair: bool, of_mean: bool
) -> tuple[list[Tensor], list[Tensor]]:
    """By modality [S, N], its products with S vectors; and [N] of the pairs, or of their sum."""
    nothing = vectors[0].new_empty(0)
    along = [[[nothing] for _ in own] for own in vectors]
    count = len(sides) * (len(sides) - 1) // 2 if each_pair else 1
    crossed = [[nothing] for _ in range(count)]
    tensors = [part.tensor for side in sides for part in side.parts()]
    for rows in blocks(len(tensors[0]), tensors):
        read = [side.read(rows) for side in sides]
        for block, own, found in zip(read, vectors, along, strict=True):
            x = block.mu() if of_mean else block.x
            for vector, some in zip(own, found, strict=True):
                some.append(torch.mv(x, vector))
        for some, of_pair in zip(crossed, _crossed(read, each_pair), strict=True):
            some.append(of_pair)
    return [torch.stack([torch.cat(some) for some in found]) for found in along], [torch.cat(c) for c in crossed]


def _crossed(read: Sequence[Block], each_pair: bool) -> list[Tensor]:
    """[B] of every pair, or of their sum."""
    if len(read) == 2:
        return [read[0].crossed(read[1])]
    mu = [block.mu() for block in read]
    if each_pair:
        return [torch.linalg.vecdot(a, b) for a, b in combinations(mu, 2)]
    # sum_(j<k) mu_j . mu_k, with n - 1 products: each with the sum of those after it.
    after, total = mu[-1], torch.linalg.vecdot(mu[-2], mu[-1])
    for j in range(len(mu) - 3, -1, -1):
        after = after + mu[j + 1]
        total = total + torch.linalg.vecdot(mu[j], after)
    return [total]


def _with_apart(product: Tensor, mean: HeldoutMean, side: Side, of_mean: bool) -> Tensor:
    """What single samples have beside the vector that all share."""
    if not mean.apart:
        return product
    found = []
    for rows in blocks(len(product), [side.own.tensor]):
        block = side.again(rows)
        x = block.mu() if of_mean else block.x
        found.append(sum((own.along(x, rows) for own in mean.apart), product[rows]))
    return torch.cat(found) if found else product
