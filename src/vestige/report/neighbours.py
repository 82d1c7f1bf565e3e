"""Nearest neighbours of some samples among all: a near-duplicate that both models saw explains many a score.

    similarity(i, j) = mean over models m of  x_m(i) . x_m(j),   x of unit norm: the mean cosine

Exact. Embeddings are read shard by shard, and compared in blocks: nothing of size N x N exists at any time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vestige.embeddings import Embeddings, all_keys, chosen_rows
from vestige.progress import progress
from vestige.samples import Modality

BLOCK = 1024


@dataclass(frozen=True)
class Neighbours:
    """The nearest samples of Q queries, from the nearest on.

    Attributes:
        rows: row in the embeddings, long [Q, k]; -1 where there is none.
        similarity: mean cosine over the models, [Q, k]; -inf where there is none.
    """

    rows: Tensor
    similarity: Tensor


def nearest(stores: Mapping[str, Embeddings], queries: Sequence[str], k: int) -> dict[Modality, Neighbours]:
    """The k nearest other samples of each query, in every modality that all models embed.

    Args:
        stores: the embeddings of the same samples under every model.
        queries: keys of some of these samples.
        k: how many neighbours.
    """
    models = list(stores.values())
    if not models or not queries or k < 1:
        return {}
    keys = all_keys(models[0])
    place = {key: row for row, key in enumerate(keys)}
    own = torch.tensor([place[key] for key in queries])
    asked = [chosen_rows(store, own.tolist()) for store in models]
    shared = [modality for modality in Modality if all(modality in tensors for tensors in asked)]
    best = {
        modality: Neighbours(
            torch.full((len(queries), k), -1), torch.full((len(queries), k), -torch.inf, dtype=torch.float32)
        )
        for modality in shared
    }
    start = 0
    with progress("nearest neighbours", len(keys)) as advance:
        for number, here in enumerate(models[0].shard_keys()):
            shards = [store.shard(number) for store in models]
            for modality in shared if here else []:
                x, y = [tensors[modality] for tensors in asked], [shard[modality].float() for shard in shards]
                best[modality] = _merged(best[modality], x, y, own, start)
            start += len(here)
            advance(len(here))
    return best


def _merged(best: Neighbours, x: Sequence[Tensor], y: Sequence[Tensor], own: Tensor, start: int) -> Neighbours:
    """The best so far, and the rows of a shard: x [M][Q, d], y [M][n, d], own [Q], the rows the queries are."""
    k, numbers = best.rows.shape[1], torch.arange(start, start + len(y[0]))
    parts = []
    for low in range(0, len(own), BLOCK):
        block = slice(low, low + BLOCK)
        products = [a[block].float() @ b.T for a, b in zip(x, y, strict=True)]
        similarity = torch.stack(products).mean(0)
        # A sample without the modality has no neighbours and is nobody's.
        similarity.masked_fill_(similarity.isnan() | (own[block, None] == numbers), -torch.inf)
        values = torch.cat([best.similarity[block], similarity], dim=1)
        rows = torch.cat([best.rows[block], numbers.expand(len(similarity), -1)], dim=1)
        values, at = values.topk(k, dim=1)
        parts.append((rows.gather(1, at).masked_fill(values == -torch.inf, -1), values))
    return Neighbours(torch.cat([rows for rows, _ in parts]), torch.cat([values for _, values in parts]))
