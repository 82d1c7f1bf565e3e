"""DINO: a picture tower that learns without captions, a student from the running mean of itself, its teacher.

    P_s(x) = softmax(g_s(x) / tau_s),    P_t(x) = softmax((g_t(x) - c) / tau_t)

Caron et al., "Emerging Properties in Self-Supervised Vision Transformers" (ICCV 2021), eq. 1 and section 3.1. g is a
tower and a projection on top; the tower is the picture tower of CLIP (`vestige.models.towers`), so their layers compare
one to one. Local crops are smaller pictures: the positions of the tower are interpolated for them, as in the paper.
"""

import copy
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from vestige.data.inputs import Inputs, PictureInput
from vestige.data.labels import Labels
from vestige.errors import VestigeError
from vestige.models import towers
from vestige.models.architectures import Architecture
from vestige.models.towers import PictureTower, Towers
from vestige.models.towers_encoder import save_towers
from vestige.paradigms import DinoConfig
from vestige.samples import Modality

POSITIONS = "visual.positional_embedding"
# Sides of the paper's local and global crops, in pixels.
LOCAL, GLOBAL = 96, 224


class Projection(nn.Module):
    """Three layers, unit norm, and a weight-normed layer without bias whose gains are fixed to 1 (section 3.2)."""

    def __init__(self, width: int, config: DinoConfig) -> None:
        super().__init__()
        hidden, bottleneck = config.hidden, config.bottleneck
        self.layers = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, bottleneck)
        )
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        self.prototypes = nn.Parameter(torch.empty(config.outputs, bottleneck))
        nn.init.kaiming_uniform_(self.prototypes, a=math.sqrt(5))

    def forward(self, embedding: Tensor, *, frozen: bool = False) -> Tensor:
        """[n, width] to [n, outputs]; `frozen` keeps the last layer from learning."""
        directions = self.prototypes.detach() if frozen else self.prototypes
        unit = functional.normalize(self.layers(embedding), dim=-1)
        return functional.linear(unit, functional.normalize(directions, dim=-1))


class Branch(nn.Module):
    """A tower and the projection on top: the student, or the teacher."""

    def __init__(self, tower: PictureTower, projection: Projection) -> None:
        super().__init__()
        self.tower, self.projection = tower, projection

    def forward(self, pictures: Tensor, *, frozen: bool = False) -> Tensor:
        """Pictures in [0, 1], [n, 3, s, s], to [n, outputs]."""
        return self.projection(tower_at(self.tower, pictures), frozen=frozen)


class Dino(nn.Module):
    """A student, its teacher, and what is carried from step to step.

    Attributes:
        centre: running mean of the teacher's outputs, [outputs].
        done: share of the training that is over.
        batch_centre: mean of the teacher's outputs over the last batch, until the centre has taken it up.
    """

    centre: Tensor
    done: Tensor

    def __init__(self, student: Branch, config: DinoConfig) -> None:
        super().__init__()
        self.student, self.teacher = student, copy.deepcopy(student).requires_grad_(False)
        self.register_buffer("centre", torch.zeros(config.outputs))
        self.register_buffer("done", torch.tensor(0.0, dtype=torch.float64))
        self.batch_centre: Tensor | None = None


def tower_at(tower: PictureTower, pictures: Tensor) -> Tensor:
    """The embeddings of pictures of any size that the patches divide, [n, d]."""
    visual = tower.visual
    assert isinstance(visual, VisionTransformer)
    patch = visual.conv1.kernel_size[0]
    own, here = math.isqrt(len(visual.positional_embedding) - 1), pictures.shape[-1] // patch
    if own == here:
        return tower(pictures)
    moved = resized_positions(visual.positional_embedding, own, here)
    return functional_call(tower, {POSITIONS: moved}, (pictures,))


def resized_positions(positions: Tensor, own: int, here: int) -> Tensor:
    """Embeddings of the positions in a grid of own x own patches, and one of the class, for here x here patches."""
    grid = positions[1:].unflatten(0, (own, own)).permute(2, 0, 1)[None]
    resized = functional.interpolate(grid, size=(here, here), mode="bicubic", align_corners=False)
    return torch.cat([positions[:1], resized[0].flatten(1).mT])


@dataclass(frozen=True)
class DinoBlueprint:
    """DINO models of pictures.

    Attributes:
        description: the architecture; its text tower is not built.
        config: DINO's own settings.
    """

    description: Architecture
    config: DinoConfig

    modalities = (Modality.IMAGE,)
    metrics = ("sslmem",)
    labels = None
    tokenizer = None

    @property
    def inputs(self) -> Inputs:
        return towers.inputs_of(self.description, self.modalities)

    @property
    def local_size(self) -> int:
        """Side of a local crop in pixels: as much smaller than a global one as in the paper, in whole patches."""
        read, patch = self.inputs[Modality.IMAGE], self.description["vision_cfg"].get("patch_size", 16)
        assert isinstance(read, PictureInput)
        return patch * max(1, round(read.size * LOCAL / GLOBAL / patch))

    def for_labels(self, labels: Labels | None) -> "DinoBlueprint":
        return self

    def build(self, seed: int) -> Dino:
        """A model with fresh weights, student and teacher alike.

        Raises:
            VestigeError: pictures do not go through OpenCLIP's vision transformer.
        """
        tower = towers.picture_tower(self.description, seed)
        if not isinstance(tower.visual, VisionTransformer):
            raise VestigeError(
                f"dino trains OpenCLIP's vision transformers, and this model's picture tower is a"
                f" {type(tower.visual).__name__}: name another with --model"
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return Dino(Branch(tower, Projection(self.description["embed_dim"], self.config)), self.config)

    def save(self, model: nn.Module, directory: Path) -> None:
        """Write the teacher's tower, which the paper evaluates, as towers of pictures alone."""
        assert isinstance(model, Dino)
        save_towers(Towers({Modality.IMAGE: model.teacher.tower}), self.description, directory)
