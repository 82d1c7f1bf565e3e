"""Classifiers: a picture tower as CLIP has it, and one linear layer on top."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from vestige.data.inputs import Inputs
from vestige.data.labels import LabelKind, Labels
from vestige.data.views import View
from vestige.errors import VestigeError
from vestige.files import digest, read_json, replacing, write_json
from vestige.models import towers
from vestige.models.architectures import Architecture
from vestige.models.towers import PictureTower, Towers
from vestige.models.towers_encoder import TowersEncoder, save_towers
from vestige.models.weights import fill, read_weights, weights_digest
from vestige.samples import Modality, Sample

CLASSIFIER_FILE = "vestige_classifier.json"
HEAD_FILE = "vestige_classifier.safetensors"


class Classifier(nn.Module):
    """A picture tower and its linear head."""

    def __init__(self, tower: PictureTower, head: nn.Linear) -> None:
        super().__init__()
        self.tower, self.head = tower, head

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures in [0, 1], [n, 3, s, s], to unnormalised scores of the classes, [n, C]."""
        return self.head(self.tower(pictures))


@dataclass(frozen=True)
class SupervisedBlueprint:
    """Classifiers of pictures.

    Attributes:
        description: the architecture; its text tower is not built.
        labels: what they learn.
        classes: names of the classes, once the samples are known.
    """

    description: Architecture
    labels: LabelKind
    classes: tuple[str, ...] = ()

    modalities = (Modality.IMAGE,)
    metrics = ("labelmem", "sslmem")
    tokenizer = None

    @property
    def inputs(self) -> Inputs:
        return towers.inputs_of(self.description, self.modalities)

    def for_labels(self, labels: Labels | None) -> "SupervisedBlueprint":
        assert labels is not None
        return replace(self, classes=labels.classes)

    def build(self, seed: int) -> Classifier:
        tower = towers.picture_tower(self.description, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return Classifier(tower, nn.Linear(self.description["embed_dim"], len(self.classes)))

    def save(self, model: nn.Module, directory: Path) -> None:
        """Write the tower, as towers of pictures alone, and the head beside it."""
        assert isinstance(model, Classifier)
        with replacing(directory) as temporary:
            save_towers(Towers({Modality.IMAGE: model.tower}), self.description, temporary)
            write_json(temporary / CLASSIFIER_FILE, {"labels": self.labels, "classes": list(self.classes)})
            save_file(dict(model.head.state_dict()), temporary / HEAD_FILE)


class ClassifierEncoder:
    """A classifier as an encoder of pictures: its tower's embeddings, and what its head makes of them.

    Args:
        towers: the tower.
        head: of the classes, on what the tower gives before it is brought to unit norm.
        labels: what was learned.
        classes: their names.
        device: where it computes.
    """

    def __init__(
        self,
        towers: TowersEncoder,
        head: nn.Linear,
        labels: LabelKind,
        classes: tuple[str, ...],
        *,
        device: str = "cpu",
    ) -> None:
        self._towers, self._head, self._device = towers, head.to(device).eval(), device
        self.labels, self.classes = labels, classes
        self.modalities, self.inputs, self.preprocessing = towers.modalities, towers.inputs, towers.preprocessing
        self.fingerprint = digest(towers.fingerprint, weights_digest(head), *classes)

    @classmethod
    def load(cls, checkpoint: Path, *, device: str = "cpu") -> "ClassifierEncoder":
        """Load what `SupervisedBlueprint.save` wrote.

        Raises:
            VestigeError: not such a folder, or weights that do not fit it.
        """
        try:
            about = read_json(checkpoint / CLASSIFIER_FILE)
            labels, classes = about["labels"], tuple(str(name) for name in about["classes"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise VestigeError(f"{checkpoint / CLASSIFIER_FILE}: not a description of a classifier: {error}") from error
        own = TowersEncoder.load(checkpoint, device=device)
        weights = read_weights(checkpoint / HEAD_FILE)
        head = nn.Linear(weights["weight"].shape[-1] if "weight" in weights else 1, len(classes))
        fill(head, weights, checkpoint / HEAD_FILE)
        return cls(own, head, labels, classes, device=device)

    def prepare(self, sample: Sample, view: View | None) -> dict[Modality, Tensor]:
        return self._towers.prepare(sample, view)

    def from_canvases(self, modality: Modality, drawn: Tensor) -> Tensor:
        return self._towers.from_canvases(modality, drawn)

    def encode(self, batch: Mapping[Modality, Tensor]) -> dict[Modality, Tensor]:
        return self._towers.encode(batch)

    def encode_backbone(self, batch: Mapping[Modality, Tensor]) -> dict[Modality, Tensor]:
        return self._towers.encode_backbone(batch)

    def encode_with_units(self, batch: Mapping[Modality, Tensor]) -> tuple[dict[Modality, Tensor], dict[str, Tensor]]:
        return self._towers.encode_with_units(batch)

    @torch.inference_mode()
    def logits(self, batch: Mapping[Modality, Tensor]) -> Tensor:
        tower = self._towers.model.towers[str(Modality.IMAGE)]
        return self._head(tower(batch[Modality.IMAGE].to(self._device))).float().cpu()
