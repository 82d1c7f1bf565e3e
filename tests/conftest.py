"""Small real collections and models, made anew for each test that asks."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
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


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a folder of pictures with captions (`folder:`) and gives its path."""

    def make(count: int, name: str = "pictures", first: int = 0) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for number in range(first, first + count):
            picture, caption = draw(number)
            picture.save(folder / f"{number:04d}.png")
            (folder / f"{number:04d}.txt").write_text(caption + "\n", encoding="utf-8")
        return folder

    return make


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OpenCLIP architecture that trains in a moment."""
    path = tmp_path_factory.mktemp("models") / "pico.json"
    text = {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    vision = {"image_size": 16, "patch_size": 8, "width": 32, "head_width": 16, "layers": 1}
    path.write_text(json.dumps({"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}))
    return path
