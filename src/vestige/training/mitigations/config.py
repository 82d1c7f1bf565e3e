"""Which mitigations a run applies: the settings. None, unless one is asked for."""

from dataclasses import dataclass
from typing import Literal

from vestige.errors import VestigeError
from vestige.samples import Modality


@dataclass(frozen=True)
class MitigationConfig:
    """What makes the models memorize less.

    Captions, crops, weight decay and early stopping are settings of training and augmentation.
    """

    text_noise: float = 0.0
    """Deviation of Gaussian noise on every coordinate of the texts' embeddings (CLIPMem: 0.15)."""
    image_noise: float = 0.0
    """The same on those of pictures."""
    audio_noise: float = 0.0
    """The same on those of sounds."""
    video_noise: float = 0.0
    """The same on those of films."""
    noise_place: Literal["before", "after"] = "before"
    """Whether noise is added before embeddings are normalised, or to unit embeddings."""
    noise_scale: Literal["absolute", "relative"] = "absolute"
    """Whether a deviation is that of a coordinate, or a multiple of the embedding's own root mean square."""
    text_mask: float = 0.0
    """Share of the tokens of a text that an epoch hides (Déjà Vu: 0.3, 0.5)."""
    logit_scale: float | None = None
    """Inverse temperature, fixed (Déjà Vu: 25, 100, 200); learned, up to 100, when not given."""
    regroup_every: int | None = None
    """Score the training samples after every so many epochs, and put the most memorized into batches of their own
    (MultiMem: 10)."""
    regroup_share: float = 0.05
    """Share of the scored samples that is put together."""
    regroup_by: Literal["contrast", "alignment"] = "contrast"
    """contrast: alignment under the model minus that under the model of its pair that does not see the sample;
    alignment: the worst aligned samples of a model, for which no second model is needed."""
    regroup_noise: float = 0.1
    """Deviation of the noise on all embeddings of these samples."""
    regroup_captions: bool = True
    """Whether these samples show a random one of their captions in each epoch."""

    def __post_init__(self) -> None:
        for name in (*(f"{modality}_noise" for modality in Modality), "regroup_noise"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise VestigeError(
                    f"mitigations.{name} is a standard deviation of 0 or more, not {getattr(self, name)}"
                )
        if not 0 <= self.text_mask < 1:
            raise VestigeError(f"mitigations.text_mask is a share from 0 to below 1, not {self.text_mask}")
        if self.logit_scale is not None and not 0 < self.logit_scale < float("inf"):
            raise VestigeError(f"mitigations.logit_scale is greater than 0 (25, 100, 200), not {self.logit_scale}")
        if self.regroup_every is not None and self.regroup_every < 1:
            raise VestigeError(f"mitigations.regroup_every is 1 epoch or more, not {self.regroup_every}")
        if not 0 < self.regroup_share < 1:
            raise VestigeError(f"mitigations.regroup_share lies between 0 and 1, not {self.regroup_share}")

    def noises(self) -> dict[Modality, float]:
        """The deviation of every modality that is noised."""
        return {m: sigma for m in Modality if (sigma := getattr(self, f"{m}_noise"))}
