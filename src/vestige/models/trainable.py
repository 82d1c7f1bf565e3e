"""What can be trained: the side of a model that data and the training loop see, whatever it learns."""

from pathlib import Path
from typing import Protocol

from torch import nn

from vestige.data.inputs import Inputs
from vestige.data.labels import LabelKind, Labels
from vestige.models.architectures import Architecture
from vestige.models.openclip import Tokenizer
from vestige.samples import Modality


class Trainable(Protocol):
    """Models that can be trained, and how they are kept."""

    @property
    def description(self) -> Architecture:
        """The architecture (`vestige.models.architectures`)."""
        ...

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """What the models embed."""
        ...

    @property
    def metrics(self) -> tuple[str, ...]:
        """What the models can be scored by; the first when nothing else is asked for."""
        ...

    @property
    def labels(self) -> LabelKind | None:
        """The labels that the models learn; None where they learn none."""
        ...

    @property
    def inputs(self) -> Inputs:
        """What the models read of each medium."""
        ...

    @property
    def tokenizer(self) -> Tokenizer | None:
        """Texts to token ids; None for models without texts."""
        ...

    def for_labels(self, labels: Labels | None) -> "Trainable":
        """The same for samples with these labels."""
        ...

    def build(self, seed: int) -> nn.Module:
        """A model with fresh weights; the same seed gives the same weights."""
        ...

    def save(self, model: nn.Module, directory: Path) -> None:
        """Write a model so that `vestige.models.blueprint.load_encoder` reads it."""
        ...
