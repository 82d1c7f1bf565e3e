"""From stored embeddings to a table of scores: alignments by shard, then the contrast of models that saw and did not.

Nothing here is of size N x H: a shard of embeddings is read, turned into a few numbers a sample, and let go.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from vestige.designs import Design, Role
from vestige.embeddings import Embeddings, all_keys, chosen_rows
from vestige.errors import VestigeError
from vestige.metrics import (
    Contrast,
    benjamini_hochberg,
    clip_alignment_from_means,
    clip_heldout_se,
    contrast_weights,
    cross_modal_consistency_from_means,
    heldout_mean,
    memorization,
    multimem_heldout_se,
    null_p_values,
)
from vestige.samples import Modality

Shard = Mapping[str, Tensor]
"""Tensors of some samples under one model, as `vestige.embeddings` names them."""

# Fewer null scores than this cannot give a p-value below 0.05 after a look at more than one sample.
LEAST_NULL = 20


@dataclass(frozen=True)
class Heldout:
    """The held-out set H: samples that no model saw.

    Attributes:
        keys: key of every row.
        shards: by model, the tensors of these samples.
    """

    keys: Sequence[str]
    shards: Mapping[str, Shard]

    def index(self, keys: Sequence[str]) -> Tensor:
        """For every key its row in H, or -1: a sample of H is not compared with itself."""
        row = {key: position for position, key in enumerate(self.keys)}
        return torch.tensor([row.get(key, -1) for key in keys], dtype=torch.long)


def heldout_rows(stores: Mapping[str, Embeddings], keys: Sequence[str]) -> Heldout:
    """The rows of these keys as held-out set; keys that were not embedded are left out.

    Raises:
        VestigeError: no samples: without a held-out set there is no alignment.
    """
    shards = {}
    for name, store in stores.items():
        position = {key: row for row, key in enumerate(all_keys(store))}
        keys = [key for key in keys if key in position]
        if not keys:
            raise VestigeError(
                "no held-out samples: the alignment compares each sample with samples that no model saw; keep some"
                " out of the design (design.external) or give a held-out set"
            )
        shards[name] = chosen_rows(store, [position[key] for key in keys])
    return Heldout(tuple(keys), shards)


@dataclass(frozen=True)
class Metric:
    """A metric of memorization as a contrast of alignments.

    Attributes:
        alignments: (shard, held-out shard, held-out index [n]) under one model to {column: alignment [n]}; the first
            column is the metric's own.
        heldout_error: (shards of all models, their held-out shards, weights [M, n], index) to the standard error of
            the first column that comes from the choice of the held-out set, [n]; None where there is none.
    """

    alignments: Callable[[Shard, Shard, Tensor], dict[str, Tensor]]
    heldout_error: Callable[[Sequence[Shard], Sequence[Shard], Tensor, Tensor], Tensor] | None = None


def _modalities(shard: Shard) -> list[Modality]:
    return [modality for modality in Modality if modality in shard]


def _means(shard: Shard, modality: Modality) -> Tensor:
    return shard.get(f"{modality}_mean", shard[modality])


def _clipmem(shard: Shard, heldout: Shard, index: Tensor) -> dict[str, Tensor]:
    return {"clipmem": _pair(shard, heldout, index, (Modality.IMAGE, Modality.TEXT))}


def _pair(shard: Shard, heldout: Shard, index: Tensor, pair: tuple[Modality, Modality]) -> Tensor:
    a, b = pair
    return clip_alignment_from_means(
        shard[a],
        shard[b],
        _means(shard, a),
        _means(shard, b),
        heldout_mean(heldout[a], index=index),
        heldout_mean(heldout[b], index=index),
    )


def _clipmem_error(shards: Sequence[Shard], heldout: Sequence[Shard], weights: Tensor, index: Tensor) -> Tensor:
    def take(source: Sequence[Shard], modality: Modality) -> list[Tensor]:
        return [shard[modality].float() for shard in source]

    image, text = Modality.IMAGE, Modality.TEXT
    return clip_heldout_se(
        take(shards, image), take(shards, text), take(heldout, image), take(heldout, text), weights, heldout_index=index
    )


def _multimem(shard: Shard, heldout: Shard, index: Tensor) -> dict[str, Tensor]:
    modalities = _modalities(shard)
    x = {m: shard[m] for m in modalities}
    mu = {m: _means(shard, m) for m in modalities}
    m = {modality: heldout_mean(heldout[modality], index=index) for modality in modalities}
    columns = {
        "multimem": cross_modal_consistency_from_means(x, mu, m, variant="cmc"),
        "multimem_mean_pair": cross_modal_consistency_from_means(x, mu, m, variant="mean_pair"),
    }
    for a, b in combinations(modalities, 2):
        columns[f"multimem_{a}_{b}"] = _pair(shard, heldout, index, (a, b))
    return columns


def _multimem_error(shards: Sequence[Shard], heldout: Sequence[Shard], weights: Tensor, index: Tensor) -> Tensor:
    def take(source: Sequence[Shard]) -> list[dict[Modality, Tensor]]:
        return [{m: shard[m].float() for m in _modalities(shard)} for shard in source]

    return multimem_heldout_se(take(shards), take(heldout), weights, heldout_index=index)


def _sslmem(shard: Shard, heldout: Shard, index: Tensor) -> dict[str, Tensor]:
    del heldout, index
    columns = {f"sslmem_{m}": shard[f"{m}_ssl"] for m in _modalities(shard) if f"{m}_ssl" in shard}
    columns |= {f"{name}_anchor": shard[f"{name.removeprefix('sslmem_')}_ssl_anchor"] for name in list(columns)}
    if not columns:
        raise VestigeError("sslmem compares views, and none were embedded: set embedding.views to 2 or more")
    return columns


METRICS: Mapping[str, Metric] = {
    "clipmem": Metric(_clipmem, _clipmem_error),
    "multimem": Metric(_multimem, _multimem_error),
    "sslmem": Metric(_sslmem),
}


@dataclass(frozen=True)
class Alignments:
    """Alignments of N samples under M models.

    Attributes:
        keys: key of every sample.
        columns: by column name, float64 [M, N].
        heldout_errors: by column name, the standard error of the score from the choice of held-out set, [N].
    """

    keys: tuple[str, ...]
    columns: Mapping[str, Tensor]
    heldout_errors: Mapping[str, Tensor]


def align(stores: Mapping[str, Embeddings], heldout: Heldout, design: Design, metrics: Sequence[str]) -> Alignments:
    """Alignments of all stored samples under all models, shard by shard.

    Args:
        stores: the embeddings of every model of the design, of the same samples in the same shards.
        heldout: the held-out set.
        design: who saw what.
        metrics: names in `METRICS`.

    Raises:
        VestigeError: an unknown metric, or stores that do not hold the same samples.
    """
    unknown = [name for name in metrics if name not in METRICS]
    if unknown or not metrics:
        raise VestigeError(f"unknown metric {', '.join(unknown) or '(none given)'}: known are {', '.join(METRICS)}")
    first, *others = (store.shard_keys() for store in stores.values())
    if any(keys != first for keys in others):
        raise VestigeError("the embeddings of the models are not of the same samples in the same order: embed again")
    position = {key: sample for sample, key in enumerate(design.keys)}
    member = torch.from_numpy(design.member)
    columns: dict[str, list[Tensor]] = {}
    errors: dict[str, list[Tensor]] = {}
    for number, keys in enumerate(first):
        if not keys:
            continue
        shards = [stores[model].shard(number) for model in design.models]
        away = [heldout.shards[model] for model in design.models]
        index = heldout.index(keys)
        weights = _weights(member[:, [position[key] for key in keys]])
        for name in metrics:
            found = [METRICS[name].alignments(shard, h, index) for shard, h in zip(shards, away, strict=True)]
            for column in found[0]:
                columns.setdefault(column, []).append(torch.stack([own[column].double() for own in found]))
            error = METRICS[name].heldout_error
            if error is not None:
                errors.setdefault(name, []).append(error(shards, away, weights, index).double())
    return Alignments(
        keys=tuple(key for keys in first for key in keys),
        columns={name: torch.cat(parts, dim=1) for name, parts in columns.items()},
        heldout_errors={name: torch.cat(parts) for name, parts in errors.items()},
    )


def _weights(member: Tensor) -> Tensor:
    """The weight of every model in the score of every sample, [M, n]; for two models it is f minus g throughout."""
    if len(member) == 2:
        return torch.tensor([1.0, -1.0], dtype=torch.float64)[:, None].expand(member.shape).contiguous()
    return contrast_weights(member)


def score_table(design: Design, alignments: Alignments) -> pa.Table:
    """The table of scores, a row a sample, in the order of the design.

    Columns: `key`, `group`, `role`; for each column of the metrics, `<column>`: with two models f minus g for every
    role (S_C positive, S_I negative, S_S and S_E the null), else the mean over the models that saw the sample minus
    the mean over those that did not; `<column>_se`, its standard error over models, and `<metric>_heldout_se`, that
    over held-out sets; and of the first column `memorization` (seen minus not seen, missing where no or every model
    saw the sample), `align_in`, `align_out`, `align_<model>` (two models), `p_value` and `q_value` against the null
    of the external samples.
    """
    row = {key: place for place, key in enumerate(alignments.keys)}
    samples = [sample for sample, key in enumerate(design.keys) if key in row]
    order = torch.tensor([row[design.keys[sample]] for sample in samples], dtype=torch.long)
    member = torch.from_numpy(design.member[:, samples])
    roles = np.array([str(role) for role in design.roles()], dtype=object)[samples]
    table: dict[str, Sequence[object] | Tensor] = {
        "key": [design.keys[sample] for sample in samples],
        "group": [design.groups[sample] for sample in samples],
        "role": roles.tolist(),
    }
    first: Tensor | None = None
    for name, alignment in alignments.columns.items():
        own = alignment[:, order]
        contrast = memorization(own, member)
        score = own[0] - own[1] if len(own) == 2 else contrast.score
        table |= {name: score, f"{name}_se": contrast.se}
        if name in alignments.heldout_errors:
            table[f"{name}_heldout_se"] = alignments.heldout_errors[name][order]
        if first is None:
            first = own
            table |= _primary(design, own, contrast, score, roles)
    arrays = {name: _array(column) for name, column in table.items()}
    return pa.table({name: arrays[name] for name in _order(arrays)})


def _primary(
    design: Design, alignment: Tensor, contrast: Contrast, score: Tensor, roles: np.ndarray
) -> dict[str, Sequence[object] | Tensor]:
    p, q = p_and_q_values(score, roles)
    columns: dict[str, Sequence[object] | Tensor] = {
        "memorization": contrast.score,
        "align_in": contrast.align_in,
        "align_out": contrast.align_out,
    }
    if len(design.models) == 2:
        columns |= {f"align_{model}": own for model, own in zip(design.models, alignment, strict=True)}
    return columns | {"n_in": contrast.n_in, "n_out": contrast.n_out, "p_value": p, "q_value": q}


def p_and_q_values(score: Tensor, roles: np.ndarray) -> tuple[Tensor, Tensor]:
    """p-values of candidates (upper tail) and independent samples (lower tail) against the null, and q-values of each.

    The null is S_E alone. A sample f saw and did not memorize is to f as one it never saw, which is what S_E is; S_S,
    whose samples both models fitted, spreads several times less, and would call nearly every candidate memorized.

    Args:
        score: f minus g, [N].
        roles: the role of every sample, [N].

    Returns:
        (p, q), [N] each; NaN for all other roles, and for all where fewer than `LEAST_NULL` null scores exist.
    """
    p, q = torch.full_like(score, torch.nan), torch.full_like(score, torch.nan)
    null = score[torch.from_numpy(roles == Role.EXTERNAL)]
    null = null[~null.isnan()]
    if len(null) < LEAST_NULL:
        return p, q
    tails: dict[Role, Literal["greater", "less"]] = {Role.CANDIDATE: "greater", Role.INDEPENDENT: "less"}
    for role, alternative in tails.items():
        rows = torch.from_numpy(roles == role)
        if rows.any():
            p[rows] = null_p_values(score[rows], null, alternative=alternative)
            q[rows] = benjamini_hochberg(p[rows])
    return p, q


def _array(column: Sequence[object] | Tensor) -> pa.Array:
    if isinstance(column, Tensor):
        # Missing is null, never NaN: every reader of Parquet then leaves it out of means.
        return pa.array(column.numpy(), from_pandas=True)
    return pa.array(column)


def _order(columns: Mapping[str, pa.Array]) -> list[str]:
    """Identity, then scores, then the rest; a column of standard errors that are all missing says nothing."""
    kept = [name for name, array in columns.items() if not name.endswith("_se") or array.null_count < len(array)]
    lead = ["key", "group", "role"]
    return lead + [name for name in kept if name not in lead]
