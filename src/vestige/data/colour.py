"""Colour jitter and random grey, as torchvision defines them and OpenCLIP's `--aug-cfg` uses them, drawn by counters.

With x in [0, 1], grey(x) = 0.2989 r + 0.587 g + 0.114 b, and a factor f drawn for each picture:

    brightness  f x                              contrast    f x + (1 - f) mean(grey(x))
    saturation  f x + (1 - f) grey(x)            hue         turned by f of the colour circle

each cut to [0, 1], the four in a random order; with a probability for all four together and another for grey.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vestige.data.views import View, uniforms

GREY = (0.2989, 0.587, 0.114)


@dataclass(frozen=True)
class ColourJitter:
    """How much the colours of training pictures vary.

    Attributes:
        brightness, contrast, saturation: factors are uniform in [max(0, 1 - this), 1 + this].
        hue: turns are uniform in [-this, this] of the circle; at most 0.5.
        probability: share of the pictures whose colours are changed.
        grey_probability: share of the pictures that become grey.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    probability: float = 0.8
    grey_probability: float = 0.0

    def __post_init__(self) -> None:
        most = {"hue": 0.5, "probability": 1.0, "grey_probability": 1.0}
        for name, value in vars(self).items():
            if not 0 <= value <= most.get(name, float("inf")):
                raise ValueError(f"{name}: expected a number from 0 to {most.get(name, 'infinity')}, found {value!r}")

    def apply(self, pictures: Tensor, view: View, hashes: NDArray[np.uint64]) -> Tensor:
        """The pictures in other colours.

        Args:
            pictures: in [0, 1], [B, 3, H, W]; left as they are.
            view: seed and epoch.
            hashes: `key_hashes` of the samples, [B].
        """
        draws = self.draw(view, hashes)
        result = pictures.clone()
        for place in range(4):
            for operation, change in enumerate(OPERATIONS):
                if not self.strengths[operation]:
                    continue
                rows = np.flatnonzero(draws.jittered & (draws.order[:, place] == operation))
                if len(rows):
                    at = torch.from_numpy(rows).to(pictures.device)
                    factors = torch.from_numpy(draws.factors[rows, operation]).to(result)[:, None, None, None]
                    result[at] = change(result[at], factors)
        rows = np.flatnonzero(draws.grey)
        if len(rows):
            at = torch.from_numpy(rows).to(pictures.device)
            result[at] = grey(result[at]).expand(-1, 3, -1, -1)
        return result

    @property
    def strengths(self) -> tuple[float, float, float, float]:
        """Brightness, contrast, saturation, hue."""
        return self.brightness, self.contrast, self.saturation, self.hue

    def draw(self, view: View, hashes: NDArray[np.uint64]) -> "ColourDraws":
        """What `apply` does to each picture."""
        draws = uniforms(view, hashes, 10, stream="colour")
        strengths = np.array(self.strengths)
        low = np.append(np.maximum(0, 1 - strengths[:3]), -self.hue)
        high = np.append(1 + strengths[:3], self.hue)
        return ColourDraws(
            jittered=draws[:, 0] < self.probability,
            grey=draws[:, 1] < self.grey_probability,
            factors=low + (high - low) * draws[:, 2:6],
            order=draws[:, 6:].argsort(axis=1),
        )


@dataclass(frozen=True)
class ColourDraws:
    """What is done to B pictures.

    Attributes:
        jittered: whether the four changes are made, bool [B].
        grey: whether the picture then becomes grey, bool [B].
        factors: of brightness, contrast, saturation and hue, [B, 4].
        order: which of the four (by its place in `factors`) comes first, second, ..., [B, 4].
    """

    jittered: NDArray[np.bool_]
    grey: NDArray[np.bool_]
    factors: NDArray[np.float64]
    order: NDArray[np.int64]


def grey(x: Tensor) -> Tensor:
    """Luma, [B, 1, H, W]."""
    return (x * x.new_tensor(GREY)[:, None, None]).sum(dim=1, keepdim=True)


def brightness(x: Tensor, factor: Tensor) -> Tensor:
    """Towards black, or away from it."""
    return (factor * x).clamp_(0, 1)


def contrast(x: Tensor, factor: Tensor) -> Tensor:
    """Towards the mean luma of the picture, or away from it."""
    return torch.lerp(grey(x).mean(dim=(2, 3), keepdim=True), x, factor).clamp_(0, 1)


def saturation(x: Tensor, factor: Tensor) -> Tensor:
    """Towards grey, or away from it."""
    return torch.lerp(grey(x), x, factor).clamp_(0, 1)


def hue(x: Tensor, turn: Tensor) -> Tensor:
    """Around the colour circle, keeping the largest and smallest of the three colours.

    In HSV, colour n (red 5, green 3, blue 1) is v - (v - min) clip(min(k, 4 - k), 0, 1) with k = (n + 6 h) mod 6.
    """
    value, least = x.amax(dim=1, keepdim=True), x.amin(dim=1, keepdim=True)
    spread = value - least
    red, green, blue = x.split(1, dim=1)
    divisor = torch.where(spread == 0, 1, spread)
    sector = torch.where(
        value == red,
        (green - blue) / divisor,
        torch.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    k = torch.remainder(x.new_tensor([5, 3, 1])[:, None, None] + sector + 6 * turn, 6)
    return (value - spread * torch.minimum(k, 4 - k).clamp_(0, 1)).clamp_(0, 1)


OPERATIONS: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (brightness, contrast, saturation, hue)
