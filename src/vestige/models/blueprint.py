"""From a configuration to models: the one place that knows which kind of model serves, and which one lies there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from vestige.config import RunConfig
from vestige.data.inputs import Inputs
from vestige.data.labels import Labels
from vestige.errors import VestigeError
from vestige.models import CanvasEncoder, openclip, towers
from vestige.models.architectures import Architecture, architecture
from vestige.models.blip import BLIP_FILE, BlipBlueprint, load_blip
from vestige.models.dino import DinoBlueprint
from vestige.models.openclip import OpenCLIPEncoder
from vestige.models.openclip_names import located
from vestige.models.supervised import CLASSIFIER_FILE, ClassifierEncoder, SupervisedBlueprint
from vestige.models.towers_encoder import TOWERS_FILE, TowersEncoder, save_towers
from vestige.models.trainable import Trainable
from vestige.models.transformers_encoder import TransformersEncoder, model_type
from vestige.samples import Modality


@dataclass(frozen=True)
class Blueprint:
    """Contrastive models of two modalities or more.

    Attributes:
        description: the architecture (`vestige.models.architectures`).
        modalities: what the models embed, two or more. Pictures and texts alone make an OpenCLIP model.
    """

    description: Architecture
    modalities: tuple[Modality, ...]

    labels = None

    def __post_init__(self) -> None:
        if len(self.modalities) < 2:
            found = ", ".join(self.modalities) or "none"
            raise VestigeError(f"a contrastive model needs two modalities or more, found {found}")

    @property
    def plain(self) -> bool:
        """Whether OpenCLIP's own model serves: pictures and texts, nothing else."""
        return set(self.modalities) == {Modality.IMAGE, Modality.TEXT}

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("clipmem", "multimem", "sslmem") if self.plain else ("multimem", "clipmem", "sslmem")

    @property
    def inputs(self) -> Inputs:
        return towers.inputs_of(self.description, self.modalities)

    @property
    def tokenizer(self) -> openclip.Tokenizer | None:
        return openclip.tokenizer(self.description) if Modality.TEXT in self.modalities else None

    def for_labels(self, labels: Labels | None) -> "Blueprint":
        return self

    def build(self, seed: int) -> nn.Module:
        """A model with fresh weights; the same seed gives the same weights."""
        if self.plain:
            return openclip.build(self.description, seed=seed)
        return towers.build(self.description, self.modalities, seed=seed)

    def save(self, model: nn.Module, directory: Path) -> None:
        """Write a model so that `load_encoder` reads it, and OpenCLIP too where it is OpenCLIP's."""
        if isinstance(model, towers.Towers):
            save_towers(model, self.description, directory)
        else:
            openclip.save(model, self.description, directory)


def blueprint_of(config: RunConfig, found: Callable[[], tuple[Modality, ...]]) -> Trainable:
    """What the models of a run are built from.

    Args:
        config: of the run.
        found: the modalities of its samples; asked for where neither the configuration nor the paradigm says.

    Raises:
        VestigeError: an architecture that does not exist or cannot be trained, or modalities that do not fit.
    """
    description = architecture(config.model)
    wanted = modalities_named(config.modalities)
    match config.paradigm:
        case "contrastive":
            return Blueprint(description, wanted or found())
        case "dino":
            blueprint: Trainable = DinoBlueprint(description, config.dino)
        case "supervised":
            blueprint = SupervisedBlueprint(description, config.supervised.labels)
        case "blip":
            blueprint = BlipBlueprint(description)
    if wanted and wanted != blueprint.modalities:
        raise VestigeError(
            f"modalities: {config.paradigm} models embed {' and '.join(blueprint.modalities)}, not"
            f" {' and '.join(wanted)}: leave modalities out"
        )
    return blueprint


def load_encoder(checkpoint: Path | str, model: str | None = None, *, device: str = "cpu") -> CanvasEncoder:
    """The encoder that lies there: of a kind that a run writes, a dual encoder of transformers, else OpenCLIP's.

    Args:
        checkpoint: a file or folder, or a name (`vestige.models.openclip_names`).
        model: the architecture of an OpenCLIP checkpoint that does not say.
        device: where it computes.

    Raises:
        VestigeError: nothing there that can be read as such a model.
    """
    path = located(checkpoint, model).path
    if (path / CLASSIFIER_FILE).is_file():
        return ClassifierEncoder.load(path, device=device)
    if (path / BLIP_FILE).is_file():
        return load_blip(path, device=device)
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
