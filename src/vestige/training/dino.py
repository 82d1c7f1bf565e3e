"""DINO's objective: the student's softmax of every crop is to be the teacher's of every other global crop.

Caron et al., "Emerging Properties in Self-Supervised Vision Transformers" (ICCV 2021), eq. 2 to 4, section 3.1:

    L = mean over pairs of a global crop x and another crop x' of - P_t(x) . log P_s(x')
    P_s = softmax(g_s / tau_s),  P_t = softmax((g_t - c) / tau_t)
    c <- m c + (1 - m) mean over the batch of g_t
    teacher <- l teacher + (1 - l) student,  l from its start to 1 along a cosine

Of what the paper's recipe does to pictures, crops and colours are here; flips, blur and solarization are not.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vestige.data.colour import ColourJitter
from vestige.data.examples import Crop, Drawn, Examples, Rows
from vestige.data.views import View
from vestige.models.dino import Branch, Dino
from vestige.paradigms import DinoConfig
from vestige.samples import Modality
from vestige.training.objectives import Features

GLOBAL_CROPS = 2
# The paper's colours: those of BYOL, without blur and solarization.
JITTER = ColourJitter(0.4, 0.4, 0.2, 0.1, probability=0.8, grey_probability=0.2)


class SelfDistillation:
    """DINO's loss, centre and teacher.

    Args:
        config: DINO's settings.
        size: side of a global crop in pixels.
        local_size: side of a local crop.
    """

    def __init__(self, config: DinoConfig, size: int, local_size: int) -> None:
        self._config, self._size, self._local_size = config, size, local_size

    def draw(self, examples: Examples, positions: NDArray[np.int64], view: View) -> tuple[Drawn, ...]:
        """Two global crops, then the local ones, each a view of its own."""
        config = self._config
        count = GLOBAL_CROPS + config.local_crops
        # Views are counted over all crops of all epochs: no two crops of a training are drawn alike.
        views = [View(view.seed, view.epoch * count + number) for number in range(count)]
        crops = [
            Crop(own, (config.global_scale, 1.0), self._size)
            if number < GLOBAL_CROPS
            else Crop(own, (config.local_scale, config.global_scale), self._local_size)
            for number, own in enumerate(views)
        ]
        return examples.crops(positions, crops, JITTER if config.jitter else None)

    def features(self, model: nn.Module, views: Sequence[Drawn], device: str) -> Features:
        """The student's output for every crop, and the teacher's for the global ones, each [B, outputs]."""
        assert isinstance(model, Dino)
        pictures = [drawn.tensors[Modality.IMAGE].to(device) for drawn in views]
        frozen = model.done.item() < self._config.frozen
        found = _outputs(model.student, pictures[:GLOBAL_CROPS], "student", 0, frozen)
        if self._config.local_crops:
            found |= _outputs(model.student, pictures[GLOBAL_CROPS:], "student", GLOBAL_CROPS, frozen)
        with torch.no_grad():
            return found | _outputs(model.teacher, pictures[:GLOBAL_CROPS], "teacher", 0, False)

    def loss(self, model: nn.Module, features: Features, rows: Rows) -> Tensor:
        assert isinstance(model, Dino)
        teacher = [features[f"teacher_{number}"].detach() for number in range(GLOBAL_CROPS)]
        student = [features[f"student_{number}"] for number in range(GLOBAL_CROPS + self._config.local_crops)]
        model.batch_centre = torch.cat(teacher).mean(dim=0)
        temperature = teacher_temperature(self._config, model.done.item())
        targets = [((own - model.centre) / temperature).softmax(dim=-1) for own in teacher]
        guesses = [(own / self._config.student_temperature).log_softmax(dim=-1) for own in student]
        losses = [
            -(target * guess).sum(dim=-1).mean()
            for t, target in enumerate(targets)
            for s, guess in enumerate(guesses)
            if s != t
        ]
        return torch.stack(losses).mean()

    @torch.no_grad()
    def after_step(self, model: nn.Module, done: float) -> None:
        assert isinstance(model, Dino)
        if model.batch_centre is not None:
            model.centre.lerp_(model.batch_centre, 1 - self._config.centre_momentum)
            model.batch_centre = None
        momentum = teacher_momentum(self._config, done)
        for own, learned in zip(model.teacher.parameters(), model.student.parameters(), strict=True):
            own.lerp_(learned, 1 - momentum)
        model.done.fill_(done)


def teacher_temperature(config: DinoConfig, done: float) -> float:
    """tau_t: linear from its start to its end over the warm-up."""
    start, end = config.teacher_temperature, config.teacher_temperature_end
    return end if done >= config.teacher_warmup else start + (end - start) * done / config.teacher_warmup


def teacher_momentum(config: DinoConfig, done: float) -> float:
    """l: from its start to 1 along a cosine."""
    return 1 - (1 - config.teacher_momentum) * (math.cos(math.pi * done) + 1) / 2


def _outputs(branch: Branch, pictures: Sequence[Tensor], name: str, first: int, frozen: bool) -> dict[str, Tensor]:
    """What a branch says of crops of one size, all in one pass."""
    parts = branch(torch.cat(list(pictures)), frozen=frozen).chunk(len(pictures))
    return {f"{name}_{first + number}": part for number, part in enumerate(parts)}
