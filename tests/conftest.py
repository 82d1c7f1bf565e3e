"""Small real collections and models, made anew for each test that asks."""

import os

# One thread: the models of tests are too small for two, and threads that wait for each other take most of the time.
# Set before torch is imported, and inherited by the processes that tests start, so that all compute the same bits.
os.environ["OMP_NUM_THREADS"] = "1"

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from drawings import draw


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
