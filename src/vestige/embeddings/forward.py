"""Prepared samples through a model: what is kept of them, and what its units did."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from vestige.embeddings.config import STORAGE, EmbeddingConfig
from vestige.embeddings.prepare import Prepared
from vestige.embeddings.store import LOGITS
from vestige.errors import VestigeError
from vestige.metrics import UnitMemory, ssl_alignment
from vestige.models import ClassifyingEncoder, Encoder, UnitEncoder
from vestige.samples import Modality


def embed_batch(
    encoder: Encoder, prepared: Sequence[Prepared], config: EmbeddingConfig, *, watch: bool
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What is kept of B samples by name (`vestige.embeddings`), and, if watched, what the units of each layer did.

    Returns:
        Tensors [B, d], [B, C] or [B], NaN where a sample lacks the modality; activations by layer, averaged over views,
        [B, U].

    Raises:
        VestigeError: NaN or infinity in the embeddings, or no sample has any of the model's modalities.
    """
    tensors: dict[str, Tensor] = {}
    activations: dict[str, Tensor] = {}
    missing = []
    for modality in encoder.modalities:
        has = [place for place, sample in enumerate(prepared) if modality in sample.plain]
        if not has:
            missing.append(modality)
            continue
        stacked = torch.stack([prepared[place].plain[modality] for place in has])
        x, units = _forward(encoder, modality, stacked, watch=watch)
        found = {str(modality): x}
        if isinstance(encoder, ClassifyingEncoder):
            found[LOGITS] = encoder.logits({modality: stacked})
        if _augmented(modality, config):
            views = [prepared[place].views.get(modality) for place in has]
            found |= _view_summaries(encoder, modality, x, units, views)
        tensors |= {name: _spread(own, has, len(prepared)) for name, own in found.items()}
        activations |= {layer: _spread(own, has, len(prepared)) for layer, own in units.items()}
    if missing and not tensors:
        raise VestigeError(f"the model embeds {' and '.join(missing)}, which {len(prepared)} samples do not have")
    for modality in missing:
        nothing = torch.full_like(next(iter(tensors.values())), torch.nan)
        tensors[modality] = nothing
        if _augmented(modality, config):
            tensors[f"{modality}_mean"] = nothing
            tensors |= {f"{modality}_{name}": nothing[:, 0] for name in ("ssl", "ssl_anchor")}
    return tensors, activations


def _augmented(modality: Modality, config: EmbeddingConfig) -> bool:
    return config.captions == "pool" if modality == Modality.TEXT else config.views > 0


def _spread(rows: Tensor, places: Sequence[int], count: int) -> Tensor:
    """Rows at their places among `count`; NaN in the places of samples that lack the modality."""
    if len(places) == count:
        return rows
    return rows.new_full((count, *rows.shape[1:]), torch.nan).index_copy_(0, torch.tensor(places), rows)


def _forward(encoder: Encoder, modality: Modality, batch: Tensor, *, watch: bool) -> tuple[Tensor, dict[str, Tensor]]:
    if watch and isinstance(encoder, UnitEncoder):
        found, units = encoder.encode_with_units({modality: batch})
    else:
        found, units = encoder.encode({modality: batch}), {}
    embedding = found[modality]
    if not torch.isfinite(embedding).all():
        raise VestigeError(f"the model's {modality} embeddings hold NaN or infinity: it is not a usable model")
    return embedding, units


def _view_summaries(
    encoder: Encoder, modality: Modality, x: Tensor, units: dict[str, Tensor], views: Sequence[Tensor | None]
) -> dict[str, Tensor]:
    """Mu and the SSL alignments of one modality; the activations in `units` become means over views, in place.

    Samples are taken together by their number of views; those without keep what they have un-augmented.
    """
    mean, pairs, anchored = x.clone(), x.new_full((len(x),), torch.nan), x.new_full((len(x),), torch.nan)
    counts = [0 if own is None else len(own) for own in views]
    for count in sorted(set(counts) - {0}):
        rows = [row for row, own in enumerate(counts) if own == count]
        stacked = torch.stack([own for own in views if own is not None and len(own) == count])
        # Views go through the model in as many rounds as there are views, each no larger than the plain batch.
        rounds = [_forward(encoder, modality, stacked[:, k], watch=bool(units)) for k in range(count)]
        own = torch.stack([embedding for embedding, _ in rounds], dim=1)
        mean[rows] = own.mean(dim=1)
        anchored[rows] = ssl_alignment(own, anchor=x[rows])
        if count > 1:
            pairs[rows] = ssl_alignment(own)
        for layer in units:
            averaged = torch.stack([seen[layer] for _, seen in rounds]).mean(dim=0)
            units[layer] = units[layer].index_copy(0, torch.tensor(rows), averaged)
    return {f"{modality}_mean": mean, f"{modality}_ssl": pairs, f"{modality}_ssl_anchor": anchored}


def stored(value: Tensor, config: EmbeddingConfig) -> Tensor:
    """Vectors in the storage precision; scalars are few and stay as they are."""
    return (value.to(STORAGE[config.storage]) if value.ndim == 2 else value).contiguous()


def observe(
    units: dict[str, UnitMemory], activations: Mapping[str, Tensor], rows: Sequence[int], samples: Sequence[int]
) -> None:
    """Add some rows of the activations of each layer [B, U] to its units' states, under the samples' numbers."""
    for layer, activation in activations.items():
        state = units.setdefault(layer, UnitMemory(activation.shape[1]))
        own, named = activation[list(rows)], torch.tensor(samples, dtype=torch.long)
        # Samples that lack the modality of this layer have nothing to be remembered by.
        has = ~own.isnan().all(dim=1)
        state.update(own[has], named[has])
