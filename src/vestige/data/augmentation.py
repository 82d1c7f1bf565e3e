"""How the views differ that training draws of pictures and films; the defaults are OpenCLIP's."""

from dataclasses import dataclass

from vestige.data.colour import ColourJitter
from vestige.data.views import CROP_SCALE
from vestige.errors import VestigeError


@dataclass(frozen=True)
class AugmentationConfig:
    """How the views that training draws of pictures and films differ from them; the defaults are OpenCLIP's."""

    crop_scale: float = CROP_SCALE[0]
    """Least share of a picture's area that a random crop keeps; 1 for the central square."""
    brightness: float = 0.0
    """Colour jitter, as torchvision defines it: factors from 1 - this to 1 + this."""
    contrast: float = 0.0
    """The same of the contrast."""
    saturation: float = 0.0
    """The same of the saturation."""
    hue: float = 0.0
    """Hues turn by up to this share of the colour circle, at most 0.5."""
    jitter_probability: float = 0.8
    """Share of the pictures whose colours are changed, where one of these four is not 0."""
    grey_probability: float = 0.0
    """Share of the pictures that become grey."""

    def __post_init__(self) -> None:
        if not 0 < self.crop_scale <= 1:
            raise VestigeError(f"augmentation.crop_scale lies above 0 and is at most 1, not {self.crop_scale:g}")
        try:
            self.jitter()
        except ValueError as error:
            raise VestigeError(f"augmentation.{error}") from error

    def jitter(self) -> ColourJitter | None:
        """How colours vary; None if they do not."""
        strengths = (self.brightness, self.contrast, self.saturation, self.hue)
        if not any(strengths) and not self.grey_probability:
            return None
        return ColourJitter(*strengths, self.jitter_probability, self.grey_probability)
