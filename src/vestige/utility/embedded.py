"""Embeddings of a source, a store for every model and modality: made once, kept, read by the keys that are wanted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vestige.data import Source
from vestige.data.decoded import DecodedSource
from vestige.data.inputs import Inputs
from vestige.data.memory import SampleList
from vestige.data.subset import Subset
from vestige.data.views import View
from vestige.embeddings import EmbeddingConfig, EmbeddingStore, all_keys, chosen_rows, embed
from vestige.errors import VestigeError
from vestige.files import digest
from vestige.models import BackboneEncoder, CanvasEncoder, Encoder
from vestige.progress import say
from vestige.samples import Modality, Sample
from vestige.utility.facts import Facts


@dataclass(frozen=True)
class Part:
    """Samples that are evaluated on, or that a probe is trained on.

    Attributes:
        source: the samples.
        facts: of some of them, or all: no others are used.
    """

    source: Source
    facts: Facts


@dataclass(frozen=True)
class Embedder:
    """Where embeddings are kept, and how they are made.

    Attributes:
        directory: of one source.
        config: batch size, device.
    """

    directory: Path
    config: EmbeddingConfig

    def media(
        self, encoders: Mapping[str, Encoder], part: Part, modality: Modality, *, backbone: bool = False
    ) -> dict[str, EmbeddingStore]:
        """One medium, un-augmented, of the samples that have it: embeddings, or the features before the projection."""
        facts = part.facts
        keys = [key for key, has in zip(facts.keys, facts.modalities, strict=True) if modality in has]
        source = Subset(part.source, keys)
        if isinstance(part.source, DecodedSource):
            # What was decoded stays decoded.
            source = DecodedSource(source, part.source.examples)
        sides = {name: _Side(encoder, modality, backbone=backbone) for name, encoder in encoders.items()}
        name = f"{modality}-backbone" if backbone else str(modality)
        return self._embed(sides, source, f"{name}-{digest(*keys)}", f"embedding {name}")

    def texts(self, encoders: Mapping[str, Encoder], texts: Mapping[str, str], what: str) -> dict[str, EmbeddingStore]:
        """Texts by key."""
        source = SampleList(Sample(key, key, captions=(text,)) for key, text in texts.items())
        sides = {name: _Side(encoder, Modality.TEXT) for name, encoder in encoders.items()}
        return self._embed(sides, source, f"{what}-{digest(*texts, *texts.values())}", f"embedding {what}")

    def _embed(
        self, encoders: Mapping[str, Encoder], source: Source, name: str, label: str
    ) -> dict[str, EmbeddingStore]:
        stores = embed(encoders, source, self.directory / name, self.config, seed=0, label=label)
        skipped = next(iter(stores.values())).skipped
        if len(skipped) == len(source):
            key, reason = skipped[0]
            raise VestigeError(f"none of {len(source)} samples can be read, the first is {key!r}: {reason}")
        if skipped:
            key, reason = skipped[0]
            say(f"{len(skipped)} of {len(source)} samples cannot be read and are left out, the first {key!r}: {reason}")
        return stores


def places_of(store: EmbeddingStore) -> dict[str, int]:
    """The row of every key that could be embedded."""
    return {key: row for row, key in enumerate(all_keys(store))}


def tensor_of(store: EmbeddingStore, keys: Sequence[str], modality: Modality) -> Tensor:
    """The embeddings of these keys, float32 [n, d]."""
    place = places_of(store)
    return chosen_rows(store, [place[key] for key in keys])[str(modality)].float()


class _Side:
    """One modality of an encoder as an encoder: its embeddings, or the features before the projection."""

    def __init__(self, encoder: Encoder, modality: Modality, *, backbone: bool = False) -> None:
        self._encoder, self._modality, self._backbone = encoder, modality, backbone
        self.modalities = (modality,)
        self.fingerprint = digest(encoder.fingerprint, modality, "backbone" if backbone else "")
        self.preprocessing = encoder.preprocessing
        # All that the encoder reads: what was decoded for it serves this side too.
        self.inputs: Inputs = encoder.inputs if isinstance(encoder, CanvasEncoder) else {}

    def prepare(self, sample: Sample, view: View | None) -> dict[Modality, Tensor]:
        media = {modality: own for modality, own in sample.media.items() if modality == self._modality}
        captions = sample.captions if self._modality == Modality.TEXT else ()
        return self._encoder.prepare(Sample(sample.key, sample.group, media, captions), view)

    def from_canvases(self, modality: Modality, drawn: Tensor) -> Tensor:
        assert isinstance(self._encoder, CanvasEncoder)
        return self._encoder.from_canvases(modality, drawn)

    @torch.inference_mode()
    def encode(self, batch: Mapping[Modality, Tensor]) -> dict[Modality, Tensor]:
        if self._backbone:
            assert isinstance(self._encoder, BackboneEncoder)
            return self._encoder.encode_backbone(batch)
        return self._encoder.encode(batch)
