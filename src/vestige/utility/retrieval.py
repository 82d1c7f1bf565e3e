"""Retrieval: of how many queries is a correct target among the k most similar ones.

    R@k = 1/N sum_i [ #{j not correct for i : s_ij >= max_(j correct for i) s_ij} < k ]

A tie with a wrong target counts against the model: embeddings that have all collapsed into one retrieve nothing.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

# Similarities held at a time; a chunk of queries against all targets.
CELLS = 4_000_000


def retrieval(query: Tensor, target: Tensor, identity: Tensor, ks: Sequence[int]) -> dict[int, float]:
    """R@k for every k.

    Args:
        query: [N, d], unit norm.
        target: [N, d], unit norm; row i belongs to query i.
        identity: long [N]; target j is correct for query i where their identities are equal (the same caption twice).
        ks: each at least 1.

    Returns:
        {k: share of queries in [0, 1]}.

    Raises:
        ValueError: shapes that do not fit, or no queries.
    """
    if query.ndim != 2 or query.shape != target.shape or identity.shape != query.shape[:1] or not len(query):
        raise ValueError(
            "query, target, identity: expected [N, d], [N, d], [N] with N > 0, found"
            f" {list(query.shape)}, {list(target.shape)}, {list(identity.shape)}"
        )
    ranks = torch.cat(
        [
            _ranks(query[rows], target, identity[rows], identity)
            for rows in torch.arange(len(query)).split(max(1, CELLS // len(target)))
        ]
    )
    return {k: float((ranks < k).double().mean()) for k in ks}


def _ranks(query: Tensor, target: Tensor, own: Tensor, identity: Tensor) -> Tensor:
    similarity = query.float() @ target.float().T
    correct = own[:, None] == identity
    best = similarity.masked_fill(~correct, -torch.inf).amax(dim=1, keepdim=True)
    return ((similarity >= best) & ~correct).sum(dim=1)


def chance(identity: Tensor, ks: Sequence[int]) -> dict[int, float]:
    """R@k of a random order of the targets, exact: 1 - prod_(t<k) (N - c_i - t) / (N - t), averaged over queries.

    Args:
        identity: long [N], as in `retrieval`; query i has c_i correct targets.
        ks: each at least 1.
    """
    n = len(identity)
    correct = (identity[:, None] == identity).sum(dim=1).double()
    missed = {}
    for k in ks:
        places = torch.arange(min(k, n), dtype=torch.float64)
        missed[k] = ((n - correct[:, None] - places).clamp(min=0) / (n - places)).prod(dim=1)
    return {k: float(1 - missed[k].mean()) for k in ks}
