"""Retrieval: of how many queries is a correct target among the k most similar ones.

    R@k = 1/N sum_i [ #{j not correct for i : s_ij >= max_(j correct for i) s_ij} < k ]

T@k is the rate of texts found, I@k of images, A@k and V@k of sounds and films. A query may be fused: the normalised sum
of unit embeddings of several modalities (MultiMem, Wang et al., 2026, Table 3: T@5 of audio and image).

A target is correct for a query where they share an identity, such as the text of a caption (`text_identity`): an image
has the identities of all its captions, a caption its own; so any of the captions of an image is correct, and any image
of a caption's words. A tie with a wrong target counts against the model: embeddings that have all collapsed into one
retrieve nothing.

Shapes: N queries, M targets, d dimensions.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from vestige.metrics import LabelSets, checks

# Similarities held at a time; a chunk of queries against all targets.
CELLS = 4_000_000


def text_identity(text: str) -> str:
    """A text as most tokenizers see it, CLIP's among them: without case, and with one space between words.

    Texts that a model cannot tell apart have one embedding, and a tie counts against it: as different identities, none
    of them could ever be found.
    """
    return " ".join(text.lower().split())


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
    of = one_each(identity)
    ranks = retrieval_ranks(query, target, of, of)
    return {k: float((ranks < k).double().mean()) for k in ks}


def retrieval_ranks(query: Tensor, target: Tensor, query_of: LabelSets, target_of: LabelSets) -> Tensor:
    """How many wrong targets are at least as similar as the best correct one, long [N]; R@k is the share below k.

    No more than `CELLS` similarities are held at a time.

    Args:
        query: [N, d].
        target: [M, d].
        query_of: the identities of every query (`one_each`, or `LabelSets.from_lists`).
        target_of: those of every target; each query shares one with a target or more.

    Raises:
        ValueError: shapes that do not fit, or a query without a correct target.
    """
    checks.embeddings("query", query, "[N, d]", (None, None), None)
    checks.embeddings("target", target, "[M, d]", (None, query.shape[1]), query)
    if len(query_of) != len(query) or len(target_of) != len(target):
        raise ValueError(
            f"identities: expected those of {len(query)} queries and {len(target)} targets, found those of"
            f" {len(query_of)} and {len(target_of)}"
        )
    dtype = checks.working_dtype(query, target)
    target = target.to(dtype)
    ranks: list[Tensor] = []
    for rows, correct in _correct(query_of, target_of):
        similarity = query[rows].to(dtype) @ target.T
        best = similarity.masked_fill(~correct, -torch.inf).amax(dim=1, keepdim=True)
        if bool(best.isneginf().any()):
            raise ValueError("identities: expected a correct target for every query, found a query without")
        ranks.append(((similarity >= best) & ~correct).sum(dim=1))
    return torch.cat(ranks)


def correct_counts(query_of: LabelSets, target_of: LabelSets) -> Tensor:
    """How many targets are correct for every query, long [N]."""
    return torch.cat([correct.sum(1) for _, correct in _correct(query_of, target_of)])


def one_each(identity: Tensor) -> LabelSets:
    """Rows of a single identity each, from long [N]."""
    return LabelSets(torch.arange(len(identity) + 1), identity, int(identity.max()) + 1 if len(identity) else 1)


def fused(embeddings: Mapping[str, Tensor] | Sequence[Tensor]) -> Tensor:
    """The normalised sum of unit embeddings of several modalities, [N, d].

    Args:
        embeddings: [N, d] each, unit norm.

    Raises:
        ValueError: none, or wrong shape, dtype or norm.
    """
    parts = list(embeddings.values() if isinstance(embeddings, Mapping) else embeddings)
    checks.count("embeddings: number of modalities", len(parts))
    for own in parts:
        checks.unit("embeddings", own, "[N, d]", tuple(parts[0].shape))
    dtype = checks.working_dtype(*parts)
    return normalize(sum((own.to(dtype) for own in parts[1:]), parts[0].to(dtype)), dim=1)


def chance(identity: Tensor, ks: Sequence[int]) -> dict[int, float]:
    """R@k of a random order of the targets, where queries and targets have the same identities (`retrieval`).

    Args:
        identity: long [N].
        ks: each at least 1.
    """
    _, place, counts = identity.unique(return_inverse=True, return_counts=True)
    return chance_of(counts[place], len(identity), ks)


def chance_of(correct: Tensor, targets: int, ks: Sequence[int]) -> dict[int, float]:
    """R@k of a random order of the targets, exact: 1 - prod_(t<k) (M - c_i - t) / (M - t), averaged over queries.

    Args:
        correct: long [N]; query i has c_i correct targets.
        targets: M.
        ks: each at least 1.
    """
    # Queries with as many correct targets have the same chance.
    counts, queries = correct.unique(return_counts=True)
    share = queries.double() / len(correct)
    missed = {}
    for k in ks:
        places = torch.arange(min(k, targets), dtype=torch.float64)
        ways = (targets - counts.double()[:, None] - places).clamp(min=0) / (targets - places)
        missed[k] = float((ways.prod(dim=1) * share).sum())
    return {k: 1 - rate for k, rate in missed.items()}


def _correct(query_of: LabelSets, target_of: LabelSets) -> Iterator[tuple[slice, Tensor]]:
    """(queries, which targets are correct for them: bool [B, M]) of each chunk."""
    queries, targets = len(query_of), len(target_of)
    # The targets of every identity, one after the other.
    owner = torch.repeat_interleave(target_of.sizes())[target_of.labels.argsort(stable=True)]
    known = max(query_of.n_labels, target_of.n_labels)
    sizes = torch.bincount(target_of.labels, minlength=known)
    starts = sizes.cumsum(0) - sizes
    step = max(1, CELLS // max(1, targets))
    for first in range(0, queries, step):
        rows = slice(first, min(first + step, queries))
        offsets = query_of.offsets[first : rows.stop + 1]
        names = query_of.labels[int(offsets[0]) : int(offsets[-1])]
        row = torch.repeat_interleave(offsets.diff())
        many = sizes[names]
        # Position within the targets of each identity: 0, 1, ..., many - 1.
        within = torch.arange(int(many.sum())) - torch.repeat_interleave(many.cumsum(0) - many, many)
        columns = owner[torch.repeat_interleave(starts[names], many) + within]
        correct = torch.zeros(rows.stop - first, targets, dtype=torch.bool)
        correct[torch.repeat_interleave(row, many), columns] = True
        yield rows, correct
