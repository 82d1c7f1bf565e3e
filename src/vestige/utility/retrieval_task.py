"""Retrieval among a source's samples: figures from models, for every pair of modalities and for fused queries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations

from torch import Tensor

from vestige.embeddings import EmbeddingStore
from vestige.metrics import LabelSets
from vestige.models import Encoder
from vestige.progress import progress, say
from vestige.samples import Modality
from vestige.utility.embedded import places_of, tensor_of
from vestige.utility.facts import Facts
from vestige.utility.figures import Figure
from vestige.utility.job import Found, Job
from vestige.utility.retrieval import chance_of, correct_counts, fused, retrieval_ranks, text_identity
from vestige.utility.shares import share
from vestige.utility.unfit import Unfit

TASK = "retrieval"

Search = tuple[tuple[Modality, ...], Modality]
"""(the modalities of the query, that of the targets)."""


def retrieval_figures(encoders: Mapping[str, Encoder], job: Job) -> Found:
    """T@k, I@k, ... of every direction of every pair of modalities, and of queries fused of several.

    A sample takes part in the searches whose modalities it has.

    Raises:
        Unfit: samples or models with a single modality.
    """
    facts = job.test.facts
    chosen, searches = _searches(encoders, job)
    whole = sum(set(chosen) <= own for own in facts.modalities)
    if whole < len(facts):
        say(
            f"{job.data}: {len(facts) - whole} of {len(facts)} samples lack one of {', '.join(chosen)}: they take part"
            " in no search that needs it"
        )
    captions = _Captions(facts, every=job.config.captions == "all")
    stores = {
        modality: job.embedder.texts(encoders, captions.texts, "captions")
        if modality == Modality.TEXT
        else job.embedder.media(encoders, job.test, modality)
        for modality in chosen
    }
    with progress("retrieval", len(encoders) * len(searches)) as advance:
        for name in encoders:
            own = {modality: store[name] for modality, store in stores.items()}
            figures: list[Figure] = []
            for search in searches:
                figures += _figures(job, captions, own, search)
                advance()
            yield name, figures


def _searches(encoders: Mapping[str, Encoder], job: Job) -> tuple[list[Modality], list[Search]]:
    """The modalities that take part, and what is searched with what."""
    shared = [m for m in Modality if all(m in encoder.modalities for encoder in encoders.values())]
    has = {modality for own in job.test.facts.modalities for modality in own}
    chosen = [modality for modality in shared if modality in has]
    searches = [
        (queries, target)
        for size in range(1, len(chosen))
        for target in chosen
        for queries in combinations([modality for modality in chosen if modality != target], size)
        if any({*queries, target} <= own for own in job.test.facts.modalities)
    ]
    if not searches:
        raise Unfit(
            f"{job.data}: retrieval needs two modalities of a sample: the models read {' and '.join(shared) or 'none'},"
            f" the samples have {' and '.join(sorted(has)) or 'none'}"
        )
    return chosen, searches


class _Captions:
    """The captions that are searched with and for; equal texts are one identity.

    Args:
        facts: the samples.
        every: all captions of a sample, or the first.
    """

    def __init__(self, facts: Facts, *, every: bool) -> None:
        self.facts = facts
        own = [_different(texts if every else texts[:1]) for texts in facts.captions]
        self.keys = [
            tuple(f"{key}/{at}" for at in range(len(texts))) for key, texts in zip(facts.keys, own, strict=True)
        ]
        self.texts = dict(zip(chain(*self.keys), chain(*own), strict=True))
        number: dict[str, int] = {}
        known = [[number.setdefault(text_identity(text), len(number)) for text in texts] for texts in own]
        # A sample without a caption is equal to itself alone.
        self.identities = [ids or [len(number) + row] for row, ids in enumerate(known)]
        self.count = len(number) + len(own)


def _different(texts: Sequence[str]) -> tuple[str, ...]:
    """The first text of every identity."""
    found: dict[str, str] = {}
    for text in texts:
        found.setdefault(text_identity(text), text)
    return tuple(found.values())


@dataclass(frozen=True)
class _Side:
    """What is searched with, or for, n rows: tensor [n, d], the sample of every row, and its identities."""

    tensor: Tensor
    samples: Sequence[int]
    identities: LabelSets


def _figures(job: Job, captions: _Captions, stores: Mapping[Modality, EmbeddingStore], search: Search) -> list[Figure]:
    queries, target = search
    places = {modality: places_of(stores[modality]) for modality in (*queries, target) if modality != Modality.TEXT}
    facts = captions.facts
    rows = [
        row
        for row, key in enumerate(facts.keys)
        if {*queries, target} <= facts.modalities[row] and all(key in place for place in places.values())
    ]
    if job.config.one_per_group:
        first = {facts.groups[row]: row for row in reversed(rows)}
        rows = sorted(first.values())
    if not rows:
        return []
    asked = _side(captions, stores, rows, queries, against=(target,))
    found = _side(captions, stores, rows, (target,), against=queries)
    ranks = retrieval_ranks(asked.tensor, found.tensor, asked.identities, found.identities)
    guess = chance_of(correct_counts(asked.identities, found.identities), len(found.tensor), job.config.k)
    group = facts.at(asked.samples).group_codes()
    route = f"{'+'.join(queries)}->{target}"
    return [
        Figure.of(TASK, job.data, f"{target[0].upper()}@{k} {route}", share(ranks < k, group), guess[k])
        for k in job.config.k
    ]


def _side(
    captions: _Captions,
    stores: Mapping[Modality, EmbeddingStore],
    rows: Sequence[int],
    modalities: Sequence[Modality],
    against: Sequence[Modality],
) -> _Side:
    """A row for every caption where texts stand alone, else one a sample."""
    if tuple(modalities) == (Modality.TEXT,):
        keys = [key for row in rows for key in captions.keys[row]]
        owners = [row for row in rows for _ in captions.keys[row]]
        names = [[identity] for row in rows for identity in captions.identities[row]]
        return _Side(tensor_of(stores[Modality.TEXT], keys, Modality.TEXT), owners, _sets(names, captions))
    parts = []
    for modality in modalities:
        keys = [captions.keys[row][0] if modality == Modality.TEXT else captions.facts.keys[row] for row in rows]
        parts.append(tensor_of(stores[modality], keys, modality))
    # Against captions a sample has those of all its captions; against other samples, that of the first.
    every = tuple(against) == (Modality.TEXT,)
    names = [captions.identities[row] if every else captions.identities[row][:1] for row in rows]
    return _Side(fused(parts) if len(parts) > 1 else parts[0], rows, _sets(names, captions))


def _sets(names: Sequence[Sequence[int]], captions: _Captions) -> LabelSets:
    return LabelSets.from_lists(names, captions.count)
