"""What turns samples into embeddings."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from vestige.data.inputs import Inputs
from vestige.data.labels import LabelKind
from vestige.data.views import View
from vestige.samples import Modality, Sample

__all__ = ["BackboneEncoder", "CanvasEncoder", "ClassifyingEncoder", "Encoder", "TextCutter", "UnitEncoder"]


@runtime_checkable
class Encoder(Protocol):
    """What the metrics need from a model, and no more."""

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """The modalities it embeds, in one shared space."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes with the weights and with the preprocessing: what embeddings by this encoder are filed under."""
        ...

    @property
    def preprocessing(self) -> str:
        """Changes with the preprocessing alone: encoders that share it are given the same prepared tensors."""
        ...

    def prepare(self, sample: Sample, view: View | None) -> dict[Modality, Tensor]:
        """One sample as tensors, without the batch dimension; un-augmented when `view` is None.

        Raises:
            vestige.data.media.UnreadableMedia: the sample's media cannot be decoded.
        """
        ...

    def encode(self, batch: Mapping[Modality, Tensor]) -> dict[Modality, Tensor]:
        """Embeddings of a batch of prepared tensors, {modality: [B, d]}, unit norm, float32."""
        ...


@runtime_checkable
class CanvasEncoder(Encoder, Protocol):
    """An encoder that can be fed with views cut from canvases: media that were decoded once, for all models."""

    @property
    def inputs(self) -> Inputs:
        """What it reads of each medium; empty if canvases do not serve it."""
        ...

    def from_canvases(self, modality: Modality, drawn: Tensor) -> Tensor:
        """What `encode` takes, of a batch as `vestige.data.examples.Drawn.tensors` holds it."""
        ...


@runtime_checkable
class UnitEncoder(Encoder, Protocol):
    """An encoder whose inner units can be watched."""

    def encode_with_units(self, batch: Mapping[Modality, Tensor]) -> tuple[dict[Modality, Tensor], dict[str, Tensor]]:
        """What `encode` gives, and by layer the activations of its units, [B, U].

        A unit is a channel after the non-linearity, averaged over tokens or space.
        """
        ...


@runtime_checkable
class TextCutter(Encoder, Protocol):
    """An encoder that reads texts up to a length."""

    def count_cut(self, texts: Sequence[str]) -> int:
        """How many texts have more tokens than it reads."""
        ...


@runtime_checkable
class BackboneEncoder(Encoder, Protocol):
    """An encoder whose features before the projection into the shared space can be had."""

    def encode_backbone(self, batch: Mapping[Modality, Tensor]) -> dict[Modality, Tensor]:
        """Features of a batch of prepared media, {modality: [B, b]}, of any norm, float32; b differs by modality."""
        ...


@runtime_checkable
class ClassifyingEncoder(Encoder, Protocol):
    """An encoder that also tells classes apart."""

    @property
    def labels(self) -> LabelKind:
        """What it learned: the one label of a sample, or its objects."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        ...

    def logits(self, batch: Mapping[Modality, Tensor]) -> Tensor:
        """Unnormalised scores of the classes, float32 [B, C], of a batch of prepared tensors."""
        ...
