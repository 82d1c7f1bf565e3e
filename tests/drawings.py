"""Pictures that tests draw themselves."""

import numpy as np
from PIL import Image

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange")
SHAPES = ("square", "disc", "cross", "stripe")


def draw(number: int, side: int = 24) -> tuple[Image.Image, str]:
    """A picture of a coloured shape, slightly different for every number, and its caption."""
    colour, shape = COLOURS[number % len(COLOURS)], SHAPES[number // len(COLOURS) % len(SHAPES)]
    y, x = np.mgrid[:side, :side] / side - 0.5
    inside = {
        "square": (abs(x) < 0.3) & (abs(y) < 0.3),
        "disc": x**2 + y**2 < 0.1,
        "cross": (abs(x) < 0.1) | (abs(y) < 0.1),
        "stripe": abs(x + y) < 0.2,
    }[shape]
    pixels = np.full((side, side, 3), 255, dtype=np.uint8)
    pixels[inside] = np.asarray(Image.new("RGB", (1, 1), colour))[0, 0]
    pixels[0, 0] = (number % 256, number // 256, 7)
    return Image.fromarray(pixels), f"a {colour} {shape} number {number}"
