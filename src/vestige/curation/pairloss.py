"""How badly a pair is told apart from all other samples: CLIP's own loss, against everything instead of a batch.

    l(i) = log( 1 + sum_(j: g_j != g_i) exp( (a_i . b_j - a_i . b_i) / T ) )      from a to b
    loss(i) = mean of l(i) from a to b and from b to a                            Radford et al. (2021), section 2.3

Under a model that saw the pair it says how far the pair resists being learned, under one that did not, how implausible
it is. A high loss speaks against the pair. Samples of one group are not set against each other, as captions of one
thing may stand for each other.

Shapes: N samples, R references, d dimensions.
"""

import torch
from torch import Tensor

from vestige.curation.pairs import block_rows, in_pairs

TEMPERATURE = 0.03


def pair_loss(
    a: Tensor,
    b: Tensor,
    group: Tensor,
    *,
    temperature: float = TEMPERATURE,
    present: Tensor | None = None,
    reference: Tensor | None = None,
) -> Tensor:
    """Contrastive loss of every pair against the samples of other groups, in blocks.

    Args:
        a, b: two modalities of the same samples under one model, unit norm, [N, d].
        group: long [N].
        temperature: T, the same for all models that are compared, whatever they were trained with; above 0.
        present: bool [N], which samples have both modalities (all by default). Nobody is set against the others.
        reference: long [R], the rows that samples are set against (all by default).

    Returns:
        [N], at least 0, high for a suspicious pair; NaN for a sample that lacks a modality, and for all without a
        reference.

    Raises:
        ValueError: wrong shape, dtype, device or norm, NaN, a temperature that is not positive.
    """
    if not temperature > 0:
        raise ValueError(f"temperature: expected a number above 0, found {temperature!r}")

    def loss(a: Tensor, b: Tensor, group: Tensor, rows: Tensor) -> Tensor:
        return (_one_way(a, b, group, rows, temperature) + _one_way(b, a, group, rows, temperature)) / 2

    return in_pairs(loss, a, b, group, present, reference)


def _one_way(query: Tensor, target: Tensor, group: Tensor, rows: Tensor, temperature: float) -> Tensor:
    """[N]: -log of the share that the own target has among all."""
    own = torch.linalg.vecdot(query, target) / temperature
    others, found = target[rows], []
    for block in block_rows(len(query), len(rows)):
        against = (query[block] @ others.T).div_(temperature)
        against.masked_fill_(group[block, None] == group[rows], -torch.inf)
        found.append(torch.nn.functional.softplus(against.logsumexp(1) - own[block]))
    return torch.cat(found)
