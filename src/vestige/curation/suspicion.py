"""How suspicious each sample of a design is, from the embeddings of its models: columns for the table of scores.

Three pieces of evidence, for every pair of modalities, and their combination:

- neighbour agreement under the models that did not see the sample: an unspoilt view, which finds the most;
- neighbour agreement under those that did;
- the pair loss under those that did: what resists being learned stands out at the very top of the list.

With one model that saw everything there are the last two. The choice, the sizes (ten neighbours, T = 0.03) and the
equal weights were fixed on twemoji with seeds that no published figure is from; `docs/finding-wrong-captions.md` has
both.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from vestige.curation.combination import combined
from vestige.curation.neighbours import neighbour_agreement
from vestige.curation.pairloss import pair_loss
from vestige.designs import Design
from vestige.embeddings import Embeddings, all_keys
from vestige.errors import VestigeError
from vestige.metrics import memorization
from vestige.progress import progress
from vestige.samples import Modality

SUSPICION = "suspicion"
REFERENCES = 50_000
"""Samples that every sample is compared with, spread evenly; what it takes then grows with N, not with its square."""

Pair = tuple[Modality, Modality]


def suspicion(stores: Mapping[str, Embeddings], design: Design, *, references: int = REFERENCES) -> pa.Table:
    """A row for every embedded sample, in the order of the stores.

    Args:
        stores: the embeddings of every model of the design, of the same samples in the same shards.
        design: who saw what.
        references: among how many samples neighbours are looked for, at most.

    Returns:
        `key`; `neighbour_agreement_in`, `neighbour_agreement_out`, `pair_loss_in`, means over the models that saw the
        sample, or over those that did not; `suspicion` in (0, 1), high for what is likely wrong
        (`vestige.curation.combination`). Of more than two modalities the columns are means over the pairs that a sample
        has, and `suspicion_<a>_<b>` is that of one pair alone. Null where there is none, and no column where all is.

    Raises:
        VestigeError: stores of other samples, or models without two modalities in common.
    """
    keys = _same_keys([stores[model] for model in design.models])
    position = {key: sample for sample, key in enumerate(design.keys)}
    samples = [position[key] for key in keys]
    member = torch.from_numpy(design.member[:, samples])
    _, number = np.unique(np.array([design.groups[sample] for sample in samples], dtype=object), return_inverse=True)
    group = torch.from_numpy(number.astype(np.int64))
    reference = torch.from_numpy(np.unique(np.linspace(0, len(keys) - 1, min(references, len(keys))).astype(np.int64)))
    agreement, loss = _measured([stores[model] for model in design.models], group, reference)
    seen, loss_seen = _by_side(agreement, member), _by_side(loss, member)
    evidence = {pair: [-found["in"], -found["out"], loss_seen[pair]["in"]] for pair, found in seen.items()}
    columns = {f"neighbour_agreement_{side}": [found[side] for found in seen.values()] for side in ("in", "out")}
    columns["pair_loss_in"] = [found["in"] for found in loss_seen.values()]
    means = {name: torch.stack(own).nanmean(0) for name, own in columns.items()}
    means[SUSPICION] = combined(torch.stack([own for parts in evidence.values() for own in parts]))
    if len(evidence) > 1:
        means |= {f"{SUSPICION}_{a}_{b}": combined(torch.stack(own)) for (a, b), own in evidence.items()}
    known = {name: own for name, own in means.items() if not own.isnan().all()}
    return pa.table({"key": keys} | {name: pa.array(own.numpy(), from_pandas=True) for name, own in known.items()})


def with_suspicion(table: pa.Table, stores: Mapping[str, Embeddings], design: Design) -> pa.Table:
    """A table of scores with the columns of `suspicion`, by key."""
    found = suspicion(stores, design)
    row = {key: place for place, key in enumerate(found["key"].to_pylist())}
    order = pa.array([row[key] for key in table["key"].to_pylist()], pa.int64())
    for name in found.column_names[1:]:
        table = table.append_column(name, found[name].take(order))
    return table


def _by_side(values: Mapping[Pair, Tensor], member: Tensor) -> dict[Pair, dict[str, Tensor]]:
    """Means over the models that saw each sample ("in") and over those that did not ("out"), [N] each."""
    contrasts = {pair: memorization(own, member) for pair, own in values.items()}
    return {pair: {"in": found.align_in, "out": found.align_out} for pair, found in contrasts.items()}


def _measured(
    stores: Sequence[Embeddings], group: Tensor, reference: Tensor
) -> tuple[dict[Pair, Tensor], dict[Pair, Tensor]]:
    """(neighbour agreement, pair loss), of every pair of modalities [M, N]; one model is held in memory at a time."""
    agreement: dict[Pair, list[Tensor]] = {}
    loss: dict[Pair, list[Tensor]] = {}
    with progress("looking at neighbours", len(stores) * len(group)) as advance:
        for store in stores:
            tensors = _tensors(store)
            masks = {modality: ~own[:, 0].isnan() for modality, own in tensors.items()}
            for a, b in combinations(tensors, 2):
                both = masks[a] & masks[b]
                own = (tensors[a], tensors[b], group)
                agreement.setdefault((a, b), []).append(neighbour_agreement(*own, present=both, reference=reference))
                loss.setdefault((a, b), []).append(pair_loss(*own, present=both, reference=reference))
            advance(len(group))
    shared = [pair for pair, values in agreement.items() if len(values) == len(stores)]
    if not shared:
        raise VestigeError("suspicion compares two modalities of a sample, and the models have no two in common")
    agreement_of, loss_of = ({pair: torch.stack(own[pair]).double() for pair in shared} for own in (agreement, loss))
    return agreement_of, loss_of


def _tensors(store: Embeddings) -> dict[Modality, Tensor]:
    """The un-augmented embeddings of all samples, [N, d] by modality."""
    shards = [store.shard(number) for number, keys in enumerate(store.shard_keys()) if keys]
    return {m: torch.cat([shard[m] for shard in shards]) for m in Modality if shards and m in shards[0]}


def _same_keys(stores: Sequence[Embeddings]) -> list[str]:
    first, *others = (all_keys(store) for store in stores)
    if any(keys != first for keys in others):
        raise VestigeError("the embeddings of the models are not of the same samples in the same order: embed again")
    return first
