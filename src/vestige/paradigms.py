"""Paradigms: what the models of a run are trained to do, and the settings that belong to one of them alone."""

from dataclasses import dataclass
from typing import Literal

from vestige.data.labels import LabelKind
from vestige.errors import VestigeError

Paradigm = Literal["contrastive", "dino", "supervised", "blip"]


@dataclass(frozen=True)
class DinoConfig:
    """DINO (Caron et al., 2021), sized for small models; what the paper has is given where it differs."""

    global_scale: float = 0.4
    """Least share of the area that each of the two global crops keeps."""
    local_crops: int = 6
    """Local crops of each picture; the student alone sees them (the paper: 8 or 10)."""
    local_scale: float = 0.05
    """Least share of the area that a local crop keeps; the largest is that of the global ones."""
    jitter: bool = True
    """Vary the colours as the paper does (0.4, 0.4, 0.2, 0.1 in 0.8 of the crops, grey in 0.2) where `augmentation`
    says nothing of colours."""
    outputs: int = 2048
    """Dimensions of the projection that is matched (the paper: 65,536)."""
    hidden: int = 512
    """Width of the two hidden layers of the projection (the paper: 2,048)."""
    bottleneck: int = 128
    """Width before the last, weight-normed layer (the paper: 256)."""
    student_temperature: float = 0.1
    """Temperature of the student's softmax."""
    teacher_temperature: float = 0.04
    """Temperature of the teacher's softmax, at the beginning and without warm-up throughout."""
    teacher_temperature_end: float = 0.07
    """The same after its warm-up, which is linear."""
    teacher_warmup: float = 0.3
    """Share of the training over which the teacher's temperature rises."""
    teacher_momentum: float = 0.9
    """Momentum of the teacher at the beginning; it rises to 1 along a cosine (the paper: 0.996 over 125,000 steps, with
    which the teacher of a training of some hundred steps stays what it was)."""
    centre_momentum: float = 0.9
    """Momentum of the centre of the teacher's outputs."""
    frozen: float = 0.01
    """Share of the training, at its beginning, in which the last layer is not trained (the paper: 1 of 100 epochs)."""

    def __post_init__(self) -> None:
        for name in ("outputs", "hidden", "bottleneck", "student_temperature", "teacher_temperature"):
            if getattr(self, name) <= 0:
                raise VestigeError(f"dino.{name} must be greater than 0, not {getattr(self, name)}")
        for name in ("teacher_warmup", "teacher_momentum", "centre_momentum", "frozen"):
            if not 0 <= getattr(self, name) <= 1:
                raise VestigeError(f"dino.{name} lies between 0 and 1, not {getattr(self, name)}")
        if self.local_crops < 0:
            raise VestigeError(f"dino.local_crops must be at least 0, not {self.local_crops}")
        if self.teacher_temperature_end < self.teacher_temperature:
            raise VestigeError(
                f"dino.teacher_temperature_end = {self.teacher_temperature_end} lies below dino.teacher_temperature ="
                f" {self.teacher_temperature}, and the temperature rises: raise it"
            )
        if not 0 < self.local_scale <= self.global_scale <= 1:
            raise VestigeError(
                f"dino: 0 < local_scale <= global_scale <= 1, found {self.local_scale} and {self.global_scale}"
            )


@dataclass(frozen=True)
class SupervisedConfig:
    """Classifiers."""

    labels: LabelKind = "label"
    """What is learned: label, the one class of a sample; objects, any number of them."""
