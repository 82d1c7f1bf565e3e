"""How well each model does on each sample: alignments, from stored embeddings, shard by shard.

Nothing here is of size N x H: a shard of embeddings is read, turned into a few numbers a sample, and let go.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, compress

import torch
from torch import Tensor

from vestige.designs import Design
from vestige.embeddings import Embeddings, all_keys, chosen_rows
from vestige.errors import VestigeError
from vestige.keys import positions
from vestige.metrics import (
    clip_alignment_from_means,
    clip_heldout_se_from_spread,
    clip_heldout_spread,
    contrast_weights,
    cross_modal_consistency_from_means,
    heldout_mean,
    multimem_heldout_se_from_spread,
    multimem_heldout_spread,
)
from vestige.samples import Modality

Shard = Mapping[str, Tensor]
"""Tensors of some samples under one model, as `vestige.embeddings` names them."""


@dataclass(frozen=True)
class Heldout:
    """The held-out set H: samples that no model saw, or that one model did not.

    Attributes:
        keys: key of every row.
        shards: by model, the tensors of these samples.
        own: by model, the keys of its rows, where every model has a set of its own (`vestige.unseen`); `keys` is empty
            then.
    """

    keys: Sequence[str]
    shards: Mapping[str, Shard]
    own: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def index(self, keys: Sequence[str], model: str) -> Tensor:
        """For every key its row in H, or -1: a sample of H is not compared with itself."""
        row = {key: position for position, key in enumerate(self.own.get(model, self.keys))}
        return torch.tensor([row.get(key, -1) for key in keys], dtype=torch.long)


def heldout_rows(stores: Mapping[str, Embeddings], keys: Sequence[str]) -> Heldout:
    """The rows of these keys as held-out set; keys that were not embedded are left out.

    Raises:
        VestigeError: no samples: without a held-out set there is no alignment.
    """
    shards = {}
    for name, store in stores.items():
        place = positions(keys, all_keys(store))
        keys = list(compress(keys, place >= 0))
        if not keys:
            raise VestigeError(
                "no held-out samples: the alignment compares each sample with samples that no model saw; keep some"
                " out of the design (design.external) or give a held-out set"
            )
        shards[name] = chosen_rows(store, place[place >= 0].tolist())
    return Heldout(tuple(keys), shards)


@dataclass(frozen=True)
class Part:
    """Some samples under one model.

    Attributes:
        model: name of the model.
        keys: key of every sample, n of them.
        tensors: what is kept of these samples.
        heldout: what is kept of the held-out set.
        index: for every sample its row in the held-out set, or -1; long [n].
    """

    model: str
    keys: Sequence[str]
    tensors: Shard
    heldout: Shard
    index: Tensor

    def modalities(self) -> list[Modality]:
        return [modality for modality in Modality if modality in self.tensors]

    def means(self, modality: Modality) -> Tensor:
        """mu: the mean over views, or the un-augmented embedding where no view was taken; [n, d]."""
        return self.tensors.get(f"{modality}_mean", self.tensors[modality])

    def heldout_means(self, modality: Modality) -> Tensor:
        """m: the mean over the held-out set, [d]; without the sample itself, [n, d], where some lie in the set."""
        held = self.heldout[modality]
        index = self.index if bool((self.index >= 0).any()) else None
        return heldout_mean(held, index=index, present=present(self.heldout).get(modality))


def present(shard: Shard | Mapping[Modality, Tensor]) -> dict[Modality, Tensor]:
    """Which samples have each modality, bool [n]: those whose embedding is not NaN; only of modalities some lack."""
    masks = {m: ~shard[m][:, 0].isnan() for m in Modality if m in shard}
    return {modality: mask for modality, mask in masks.items() if not bool(mask.all())}


HeldoutError = Callable[[Sequence[Part], Tensor], Tensor]


@dataclass(frozen=True)
class Metric:
    """A metric of memorization as a contrast of alignments.

    Attributes:
        alignments: samples under one model to {column: alignment [n]}; the first column is the metric's own.
        heldout_error: the held-out set under every model to a function from (samples under every model, weights
            [M, n]) to the standard error of the first column that comes from the choice of the held-out set, [n];
            None where there is none.
        needs_heldout: whether the alignment compares with held-out samples.
    """

    alignments: Callable[[Part], dict[str, Tensor]]
    heldout_error: Callable[[Sequence[Shard]], HeldoutError] | None = None
    needs_heldout: bool = True


def _clipmem(part: Part) -> dict[str, Tensor]:
    _check_pictures_and_texts(part.tensors)
    return {"clipmem": _pair(part, Modality.IMAGE, Modality.TEXT)}


def _check_several(shard: Shard, metric: str) -> None:
    found = [modality for modality in Modality if modality in shard]
    if len(found) < 2:
        raise VestigeError(f"{metric} compares modalities, and the models embed {' '.join(found)} alone: use sslmem")


def _check_pictures_and_texts(shard: Shard) -> None:
    _check_several(shard, "clipmem")
    lacking = present(shard)
    for modality in (Modality.IMAGE, Modality.TEXT):
        if modality not in shard:
            raise VestigeError(f"clipmem compares pictures and texts, and the models embed no {modality}: use multimem")
        if modality in lacking:
            raise VestigeError(
                f"clipmem needs a picture and a text of every sample, and some lack their {modality}: use multimem,"
                " whose column multimem_image_text is the same for those that have both"
            )


def _pair(part: Part, a: Modality, b: Modality) -> Tensor:
    masks = present(part.tensors)
    everywhere = torch.ones(len(part.keys), dtype=torch.bool)
    both = masks.get(a, everywhere) & masks.get(b, everywhere)
    x, mu = [part.tensors[j] for j in (a, b)], [part.means(j) for j in (a, b)]
    held = [part.heldout_means(j) for j in (a, b)]
    if bool(both.all()):
        return clip_alignment_from_means(*x, *mu, *held)
    rows = [j[both] for j in (*x, *mu)] + [m[both] if m.ndim == 2 else m for m in held]
    found = clip_alignment_from_means(*rows)
    return found.new_full((len(both),), torch.nan).masked_scatter(both, found)


def _clipmem_error(heldout: Sequence[Shard]) -> HeldoutError:
    for shard in heldout:
        _check_pictures_and_texts(shard)

    def of(shards: Sequence[Shard], modality: Modality) -> list[Tensor]:
        return [shard[modality].float() for shard in shards]

    spread = clip_heldout_spread(of(heldout, Modality.IMAGE), of(heldout, Modality.TEXT))

    def error(parts: Sequence[Part], weights: Tensor) -> Tensor:
        own = [part.tensors for part in parts]
        image, text = of(own, Modality.IMAGE), of(own, Modality.TEXT)
        return clip_heldout_se_from_spread(image, text, spread, weights, heldout_index=parts[0].index)

    return error


def _multimem(part: Part) -> dict[str, Tensor]:
    modalities = part.modalities()
    x = {m: part.tensors[m] for m in modalities}
    mu, held = {m: part.means(m) for m in modalities}, {m: part.heldout_means(m) for m in modalities}
    masks = present(part.tensors)
    columns = {
        "multimem": cross_modal_consistency_from_means(x, mu, held, present=masks, variant="cmc"),
        "multimem_mean_pair": cross_modal_consistency_from_means(x, mu, held, present=masks, variant="mean_pair"),
    }
    return columns | {f"multimem_{a}_{b}": _pair(part, a, b) for a, b in combinations(modalities, 2)}


def _multimem_error(heldout: Sequence[Shard]) -> HeldoutError:
    held = [{m: shard[m].float() for m in Modality if m in shard} for shard in heldout]
    for own in held:
        _check_several({str(modality): tensor for modality, tensor in own.items()}, "multimem")
        if own.keys() != held[0].keys():
            raise VestigeError(
                f"multimem compares models of the same modalities: one embeds {', '.join(held[0])}, another"
                f" {', '.join(own)}; clipmem takes pictures and texts of both"
            )
        for modality, mask in present(own).items():
            if not bool(mask.any()):
                raise VestigeError(f"no held-out sample has {modality}: give held-out samples that have it")
    spread = multimem_heldout_spread(held, heldout_present=present(heldout[0]))

    def error(parts: Sequence[Part], weights: Tensor) -> Tensor:
        own = [{m: part.tensors[m].float() for m in part.modalities()} for part in parts]
        return multimem_heldout_se_from_spread(
            own, spread, weights, present=present(parts[0].tensors), heldout_index=parts[0].index
        )

    return error


def _sslmem(part: Part) -> dict[str, Tensor]:
    seen = [m for m in part.modalities() if f"{m}_ssl" in part.tensors]
    if not seen:
        raise VestigeError("sslmem compares views, and none were embedded: set embedding.views to 2 or more")
    return {f"sslmem_{m}": part.tensors[f"{m}_ssl"] for m in seen} | {
        f"sslmem_{m}_anchor": part.tensors[f"{m}_ssl_anchor"] for m in seen
    }


METRICS: Mapping[str, Metric] = {
    "clipmem": Metric(_clipmem, _clipmem_error),
    "multimem": Metric(_multimem, _multimem_error),
    "sslmem": Metric(_sslmem, needs_heldout=False),
}


def metrics_named(names: Sequence[str]) -> dict[str, Metric]:
    """The metrics of these names.

    Raises:
        VestigeError: none, or one that does not exist.
    """
    unknown = [name for name in names if name not in METRICS]
    if unknown or not names:
        found = f"unknown {', '.join(unknown)}" if unknown else "none given"
        raise VestigeError(f"metrics: {found}; known are {', '.join(METRICS)}")
    return {name: METRICS[name] for name in names}


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


def align(
    stores: Mapping[str, Embeddings], heldout: Heldout, design: Design, metrics: Mapping[str, Metric]
) -> Alignments:
    """Alignments of all stored samples under all models, shard by shard.

    Args:
        stores: the embeddings of every model of the design, of the same samples in the same shards.
        heldout: the held-out set.
        design: who saw what.
        metrics: by name.

    Raises:
        VestigeError: stores that do not hold the same samples, or that lack what a metric needs.
    """
    first, *others = (store.shard_keys() for store in stores.values())
    if any(not _same(keys, first) for keys in others):
        raise VestigeError("the embeddings of the models are not of the same samples in the same order: embed again")
    sample = positions(all_keys(next(iter(stores.values()))), design.keys)
    if (sample < 0).any():
        raise VestigeError("the embeddings hold samples that the design does not have: give the design of these data")
    member = torch.from_numpy(design.member[:, sample])
    # Made whole: small pieces kept from every shard would keep the space of what is large between them from going back.
    columns: dict[str, Tensor] = {}
    errors: dict[str, Tensor] = {}
    missing = torch.full((len(design.models), len(sample)), torch.nan, dtype=torch.float64)
    held = [heldout.shards.get(model, {}) for model in design.models]
    error_of = {
        name: metric.heldout_error(held) if not heldout.own else _apart(metric.heldout_error, held)
        for name, metric in metrics.items()
        if metric.heldout_error is not None
    }
    start = 0
    for number, keys in enumerate(first):
        rows = slice(start, start + len(keys))
        start = rows.stop
        if not keys:
            continue
        parts = [
            Part(model, keys, stores[model].shard(number), own, heldout.index(keys, model))
            for model, own in zip(design.models, held, strict=True)
        ]
        weights = _weights(member[:, rows])
        for name, metric in metrics.items():
            found = [metric.alignments(part) for part in parts]
            for column in found[0]:
                if column not in columns:
                    columns[column] = missing.clone()
                columns[column][:, rows] = torch.stack([own[column].double() for own in found])
            if name in error_of:
                if name not in errors:
                    errors[name] = missing[0].clone()
                errors[name][rows] = error_of[name](parts, weights).double()
    return Alignments(tuple(design.keys[place] for place in sample.tolist()), columns, errors)


def _same(keys: Sequence[Sequence[str]], others: Sequence[Sequence[str]]) -> bool:
    return len(keys) == len(others) and all(own == other for own, other in zip(keys, others, strict=True))


def _apart(error: Callable[[Sequence[Shard]], HeldoutError], held: Sequence[Shard]) -> HeldoutError:
    """The error of a score whose models have a set each: their errors are independent, their squares add up."""
    of_model = [error([own]) for own in held]

    def joined(parts: Sequence[Part], weights: Tensor) -> Tensor:
        each = [
            own([part], weights[place : place + 1])
            for place, (own, part) in enumerate(zip(of_model, parts, strict=True))
        ]
        return torch.stack(each).square().sum(0).sqrt()

    return joined


def _weights(member: Tensor) -> Tensor:
    """The weight of every model in the score of every sample, [M, n]; for two models it is f minus g throughout."""
    if len(member) == 2:
        return torch.tensor([1.0, -1.0], dtype=torch.float64)[:, None].expand(member.shape).contiguous()
    return contrast_weights(member)
