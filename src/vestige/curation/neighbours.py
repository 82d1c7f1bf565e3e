"""How well a pair agrees with its neighbours: the pictures most like this one, and what they are called.

    a(i) = b_i . u( mean_(j in N(i)) b_j )  -  b_i . mean_j b_j,      N(i): the k samples nearest to i by modality a
    agreement(i) = mean of a(i) from a to b and from b to a           u(v) = v / ||v||

A wrong caption is near the captions of other pictures than those near its picture. One model is enough, and whether it
saw the sample is no matter; where it did not, it cannot have pulled the wrong pair together. The second term takes out
what every caption has in common with all. Samples of one group show one thing: they are no neighbours of each other.

Of samples at the same distance as the k-th nearest, all count, and share the places that are left; so the result does
not hang on the order of the samples.

Shapes: N samples, R references, d dimensions, k neighbours, B rows of a block.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from vestige.curation.pairs import block_rows, in_pairs
from vestige.metrics import checks

NEIGHBOURS = 10


def neighbour_agreement(
    a: Tensor,
    b: Tensor,
    group: Tensor,
    *,
    neighbours: int = NEIGHBOURS,
    present: Tensor | None = None,
    reference: Tensor | None = None,
) -> Tensor:
    """Agreement of every pair with its neighbours, exact, in blocks.

    Args:
        a, b: two modalities of the same samples under one model, unit norm, [N, d].
        group: long [N]; neighbours are of other groups.
        neighbours: k; where fewer samples are of other groups, all of those.
        present: bool [N], which samples have both modalities (all by default). The others are nobody's neighbours.
        reference: long [R], the rows among which neighbours are looked for (all by default).

    Returns:
        [N], low for a suspicious pair; NaN for a sample that lacks a modality, or has no reference of another group.

    Raises:
        ValueError: wrong shape, dtype, device or norm, NaN, k below 1.
    """
    checks.count("neighbours", neighbours)

    def agreement(a: Tensor, b: Tensor, group: Tensor, rows: Tensor) -> Tensor:
        there = _one_way(a, b, group, rows, neighbours)
        return (there + _one_way(b, a, group, rows, neighbours)) / 2

    return in_pairs(agreement, a, b, group, present, reference)


def _one_way(near: Tensor, told: Tensor, group: Tensor, rows: Tensor, k: int) -> Tensor:
    """[N]: what the samples nearest by one modality tell of the other."""
    others, told_others, common = near[rows], told[rows], told[rows].mean(0)
    found = []
    for block in block_rows(len(near), len(rows)):
        similarity = near[block] @ others.T
        similarity.masked_fill_(group[block, None] == group[rows], -torch.inf)
        value, place = similarity.topk(min(k, len(rows)), dim=1)
        weight = value.isfinite().to(near.dtype)
        mean = torch.bmm(weight.unsqueeze(1), told_others[place]).squeeze(1)
        last = value[:, -1:]
        tied = (last.isfinite() & ((similarity >= last).sum(1, keepdim=True) > value.shape[1])).squeeze(1)
        if tied.any():
            mean[tied] = _shared_places(similarity[tied], last[tied], value.shape[1]) @ told_others
        away = torch.linalg.vecdot(told[block], normalize(mean, dim=1)) - told[block] @ common
        found.append(away.where(weight.any(1), torch.nan))
    return torch.cat(found)


def _shared_places(similarity: Tensor, last: Tensor, k: int) -> Tensor:
    """[B, R]: 1 for what is nearer than the k-th, an equal share of the places left for what is as near."""
    nearer, equal = similarity > last, similarity == last
    left = k - nearer.sum(1, keepdim=True)
    return nearer.to(similarity.dtype) + equal * (left / equal.sum(1, keepdim=True))
