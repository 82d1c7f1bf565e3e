"""From a description and modalities to models: the one place that knows which kind of model serves which data."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from vestige.data.inputs import Inputs
from vestige.errors import VestigeError
from vestige.models import CanvasEncoder, openclip, towers
from vestige.models.architectures import Architecture
from vestige.models.openclip import OpenCLIPEncoder
from vestige.models.openclip_names import located
from vestige.models.towers_encoder import TOWERS_FILE, TowersEncoder, save_towers
from vestige.models.transformers_encoder import TransformersEncoder, model_type
from vestige.models.weights import fill, read_weights
from vestige.samples import Modality


@dataclass(frozen=True)
class Blueprint:
    """Models that can be trained.

    Attributes:
        description: the architecture (`vestige.models.architectures`).
        modalities: what the models embed, two or more. Pictures and texts alone make an OpenCLIP model.
    """

    description: Architecture
    modalities: tuple[Modality, ...]

    def __post_init__(self) -> None:
        if len(self.modalities) < 2:
            found = ", ".join(self.modalities) or "none"
            raise VestigeError(f"a contrastive model needs two modalities or more, found {found}")

    @property
    def plain(self) -> bool:
        """Whether OpenCLIP's own model serves: pictures and texts, nothing else."""
        return set(self.modalities) == {Modality.IMAGE, Modality.TEXT}

    @property
    def inputs(self) -> Inputs:
        return towers.inputs_of(self.description, self.modalities)

    @property
    def tokenizer(self) -> openclip.Tokenizer | None:
        return openclip.tokenizer(self.description) if Modality.TEXT in self.modalities else None

    def build(self, seed: int) -> nn.Module:
        """A model with fresh weights; the same seed gives the same weights."""
        if self.plain:
            return openclip.build(self.description, seed=seed)
        return towers.build(self.description, self.modalities, seed=seed)

    def begin(self, model: nn.Module, folder: Path) -> None:
        """Give a model the weights of one of this blueprint that `save` wrote.

        Raises:
            VestigeError: no such model, or one of another architecture.
        """
        fill(model, read_weights(folder / openclip.WEIGHTS_FILE), folder)

    def save(self, model: nn.Module, directory: Path) -> None:
        """Write a model so that `load_encoder` reads it, and OpenCLIP too where it is OpenCLIP's."""
        if isinstance(model, towers.Towers):
            save_towers(model, self.description, directory)
        else:
            openclip.save(model, self.description, directory)


def load_encoder(checkpoint: Path | str, model: str | None = None, *, device: str = "cpu") -> CanvasEncoder:
    """The encoder that lies there: `Towers` as a run writes them, a dual encoder of transformers, else OpenCLIP's.

    Args:
        checkpoint: a file or folder, or a name (`vestige.models.openclip_names`).
        model: the architecture of an OpenCLIP checkpoint that does not say.
        device: where it computes.

    Raises:
        VestigeError: nothing there that can be read as such a model.
    """
    path = located(checkpoint, model).path
    if (path / TOWERS_FILE).is_file():
        return TowersEncoder.load(path, device=device)
    # Folders of the Hub may hold one model in both layouts; OpenCLIP's says more of the preprocessing.
    if model is None and not (path / openclip.CONFIG_FILE).is_file() and model_type(path) is not None:
        return TransformersEncoder.load(path, device=device)
    return OpenCLIPEncoder.load(checkpoint, model, device=device)


def modalities_named(names: Sequence[str]) -> tuple[Modality, ...]:
    """Modalities by name, in their own order.

    Raises:
        VestigeError: no such modality.
    """
    unknown = [name for name in names if name not in tuple(Modality)]
    if unknown:
        raise VestigeError(f"modalities: unknown {', '.join(unknown)}; known are {', '.join(Modality)}")
    return tuple(modality for modality in Modality if modality in names)
