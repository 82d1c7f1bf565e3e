"""Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017; MIT): 28x28 grey pictures of clothes in IDX files.

IDX: two zero bytes, a byte for the type (8: unsigned bytes), the number of dimensions D, D sizes of four bytes (most
significant first), then the values.
"""

import gzip
import math
import zlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vestige.data.builtin.cache import require
from vestige.data.builtin.packages import FASHION_MNIST
from vestige.data.options import one_of
from vestige.errors import VestigeError
from vestige.samples import Modality, Sample

CLASSES = (
    ("T-shirt/top", "a T-shirt or top"),
    ("Trouser", "a pair of trousers"),
    ("Pullover", "a pullover"),
    ("Dress", "a dress"),
    ("Coat", "a coat"),
    ("Sandal", "a sandal"),
    ("Shirt", "a shirt"),
    ("Sneaker", "a sneaker"),
    ("Bag", "a bag"),
    ("Ankle boot", "an ankle boot"),
)
"""The publisher's name of every class, and how it reads in a sentence."""

TEMPLATES = ("a photo of {}", "a small grey picture of {}", "{} on a black background")
SPLITS = {"train": ("train",), "test": ("t10k",), "all": ("train", "t10k")}


class FashionMnist:
    """Pictures with their class, which templates turn into captions; the key is the publisher's file and the row.

    Every picture is its own group: the publisher does not say which show the same article. Byte-identical pictures
    are joined when the samples are read.

    Args:
        split: "train" (60,000), "test" (10,000) or "all".
    """

    def __init__(self, split: str = "train") -> None:
        one_of("fashion-mnist", "split", split, SPLITS)
        folder = require(FASHION_MNIST, "fashion-mnist") / FASHION_MNIST.parts[0]
        self._parts = {name: _Part(folder, name) for name in SPLITS[split]}
        self._keys = tuple(f"{name}-{row:05d}" for name, part in self._parts.items() for row in range(len(part.labels)))

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> Sequence[str]:
        return self._keys

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        generated = {f"caption {number}": "a template" for number in range(1, len(TEMPLATES) + 1)}
        for key in keys:
            name, _, row = key.partition("-")
            part = self._parts[name]
            label, phrase = CLASSES[part.labels[int(row)]]
            captions = tuple(template.format(phrase) for template in TEMPLATES)
            picture = Image.fromarray(part.pictures[int(row)])
            yield Sample(key, key, {Modality.IMAGE: picture}, captions, label, generated=generated)


class _Part:
    """The pictures and labels of one split; pictures are unpacked when first asked for."""

    def __init__(self, folder: Path, name: str) -> None:
        self._pictures = folder / f"{name}-images-idx3-ubyte.gz"
        path = folder / f"{name}-labels-idx1-ubyte.gz"
        self.labels = read_idx(path, dimensions=1)
        if len(self.labels) and self.labels.max() >= len(CLASSES):
            raise VestigeError(f"{path}: found the class {self.labels.max()}, expected 0 to {len(CLASSES) - 1}")

    @cached_property
    def pictures(self) -> NDArray[np.uint8]:
        pictures = read_idx(self._pictures, dimensions=3)
        if len(pictures) != len(self.labels):
            raise VestigeError(f"{self._pictures}: holds {len(pictures):,} pictures for {len(self.labels):,} labels")
        return pictures


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The values of a gzipped IDX file of unsigned bytes.

    Raises:
        VestigeError: missing, damaged, or of another type or shape.
    """
    try:
        data = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise VestigeError(f"{path}: cannot be read ({error}): remove its folder and fetch it again") from error
    start = 4 + 4 * dimensions
    shape = tuple(int.from_bytes(data[at : at + 4], "big") for at in range(4, start, 4))
    if data[:4] != bytes((0, 0, 8, dimensions)) or len(data) != start + math.prod(shape):
        raise VestigeError(
            f"{path}: not an IDX file of unsigned bytes in {dimensions} dimensions that is whole: remove its folder and"
            " fetch it again"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
