"""`Towers` as an encoder: saved, loaded, and fed with samples or with canvases."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from vestige.data.canvases import canvas_of
from vestige.data.examples import cut_views
from vestige.data.inputs import Inputs
from vestige.data.views import View, key_hashes
from vestige.errors import VestigeError
from vestige.files import digest, read_json, replacing, write_json
from vestige.models import openclip, towers
from vestige.models.architectures import Architecture
from vestige.models.backbone import before_projection
from vestige.models.once import Once
from vestige.models.openclip import WEIGHTS_FILE
from vestige.models.towers import FilmTower, PictureTower, ProjectingTower, SoundTower, Towers
from vestige.models.units import watched_units
from vestige.models.weights import fill, read_weights, weights_digest
from vestige.samples import Modality, Sample

TOWERS_FILE = "vestige_towers.json"
# Where `FilmTower` has the layers that see single frames.
FRAMES = f"towers.{Modality.VIDEO}.frame."


def save_towers(model: Towers, description: Architecture, directory: Path) -> None:
    """Write a model: `vestige_towers.json` (description and modalities) and safetensors."""
    with replacing(directory) as temporary:
        temporary.mkdir(parents=True)
        about = {"model_cfg": towers.complete(description), "modalities": [str(m) for m in model.modalities]}
        write_json(temporary / TOWERS_FILE, about)
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, temporary / WEIGHTS_FILE)


class TowersEncoder:
    """`Towers` as an encoder of their modalities.

    Args:
        model: the model; it is put into evaluation mode.
        description: its architecture.
        device: where it computes.
    """

    def __init__(self, model: Towers, description: Architecture, *, device: str = "cpu") -> None:
        self.model = model.to(device).eval()
        self._device = device
        self.modalities = model.modalities
        self.inputs: Inputs = towers.inputs_of(description, model.modalities)
        self._tokenize = openclip.tokenizer(description) if Modality.TEXT in model.modalities else None
        about = {"text": description["text_cfg"], "inputs": {str(m): repr(own) for m, own in self.inputs.items()}}
        self.preprocessing = digest(json.dumps(about, sort_keys=True, default=str))
        self.fingerprint = digest(weights_digest(model), self.preprocessing)
        self._once = Once()

    @classmethod
    def load(cls, checkpoint: Path, *, device: str = "cpu") -> "TowersEncoder":
        """Load what `save_towers` wrote.

        Raises:
            VestigeError: not such a folder, or weights of another architecture.
        """
        try:
            about = read_json(checkpoint / TOWERS_FILE)
            description, names = about["model_cfg"], about["modalities"]
            modalities = [Modality(name) for name in names]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise VestigeError(f"{checkpoint / TOWERS_FILE}: not a description of towers: {error}") from error
        model = towers.build(description, modalities, seed=0)
        fill(model, read_weights(checkpoint / WEIGHTS_FILE), checkpoint)
        return cls(model, description, device=device)

    def prepare(self, sample: Sample, view: View | None) -> dict[Modality, Tensor]:
        prepared: dict[Modality, Tensor] = {}
        for modality, read in self.inputs.items():
            if modality in sample.media:
                canvas, size = self._once(modality, sample.media[modality], canvas_of(read).make)
                sizes = np.array([size], dtype=np.int64)
                prepared[modality] = cut_views(read, [canvas], sizes, key_hashes([sample.key]), view)[0]
        if self._tokenize is not None and sample.captions:
            prepared[Modality.TEXT] = self._tokenize([sample.captions[0]])[0]
        return prepared

    def from_canvases(self, modality: Modality, drawn: Tensor) -> Tensor:
        return drawn

    def encode_with_units(self, batch: Mapping[Modality, Tensor]) -> tuple[dict[Modality, Tensor], dict[str, Tensor]]:
        seen: dict[str, Tensor] = {}
        with watched_units(self.model, seen):
            found = self.encode(batch)
        # A film goes through its tower frame by frame: a unit of the film is the mean over its frames.
        for layer in [layer for layer in seen if layer.startswith(FRAMES)]:
            seen[layer] = seen[layer].unflatten(0, (len(batch[Modality.VIDEO]), -1)).mean(1)
        return found, seen

    @torch.inference_mode()
    def encode(self, batch: Mapping[Modality, Tensor]) -> dict[Modality, Tensor]:
        found = self.model({modality: tensor.to(self._device) for modality, tensor in batch.items()})
        return {modality: embedding.cpu() for modality, embedding in found.items()}

    @torch.inference_mode()
    def encode_backbone(self, batch: Mapping[Modality, Tensor]) -> dict[Modality, Tensor]:
        return {
            modality: _backbone(self.model.towers[str(modality)], tensor.to(self._device)).float().cpu()
            for modality, tensor in batch.items()
            if modality != Modality.TEXT
        }


def _backbone(tower: nn.Module, batch: Tensor) -> Tensor:
    """Features before the projection, [B, b]; those of a film are the mean over its frames."""
    if isinstance(tower, FilmTower):
        return _backbone(tower.frame, batch.flatten(0, 1)).unflatten(0, batch.shape[:2]).mean(1)
    if isinstance(tower, SoundTower):
        return before_projection(tower.transformer, lambda: tower(batch))
    if isinstance(tower, ProjectingTower):
        return tower.backbone(batch)
    assert isinstance(tower, PictureTower)
    return before_projection(tower.visual, lambda: tower(batch))
