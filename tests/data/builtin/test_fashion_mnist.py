"""Fashion-MNIST: IDX files."""

import gzip
import struct

import numpy as np
import pytest

from vestige.data import open_source
from vestige.data.builtin.fetch import fetch
from vestige.errors import VestigeError
from vestige.samples import Modality

FOLDER = "usr/share/datasets/fashion-mnist"


def idx(values: np.ndarray) -> bytes:
    head = bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape)
    return gzip.compress(head + values.astype(np.uint8).tobytes())


def put(registry, **changed):
    rng = np.random.default_rng(0)
    files = {}
    for name, count in (("train", 5), ("t10k", 3)):
        files[f"{name}-images-idx3"] = idx(rng.integers(0, 256, (count, 4, 6)))
        files[f"{name}-labels-idx1"] = idx(np.arange(count) + (9 - 4 if name == "train" else 0))
    files |= changed
    registry.deb("dataset-fashion-mnist", {f"{FOLDER}/{name}-ubyte.gz": data for name, data in files.items()})
    fetch("fashion-mnist")
    return np.random.default_rng(0).integers(0, 256, (5, 4, 6)).astype(np.uint8)


def test_pictures_and_classes(registry):
    pictures = put(registry)
    source = open_source("fashion-mnist")
    assert list(source.keys()) == [f"train-0000{row}" for row in range(5)]
    last = next(source.samples(["train-00004"]))
    assert last.label == "Ankle boot"
    assert last.captions[0] == "a photo of an ankle boot"
    assert last.generated.keys() == {"caption 1", "caption 2", "caption 3"}
    assert np.array_equal(np.asarray(last.media[Modality.IMAGE]), pictures[4])
    order = ["train-00003", "train-00001"]
    assert [sample.key for sample in source.samples(order)] == order


def test_splits(registry):
    put(registry)
    assert list(open_source("fashion-mnist", split="test").keys()) == ["t10k-00000", "t10k-00001", "t10k-00002"]
    assert len(open_source("fashion-mnist", split="all")) == 8
    with pytest.raises(VestigeError, match="split is one of train, test, all, not 'val'"):
        open_source("fashion-mnist", split="val")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"train-labels-idx1": b"not gzip"}, "cannot be read"),
        ({"train-labels-idx1": gzip.compress(b"\0\0\x0d\1\0\0\0\0")}, "not an IDX file"),
        ({"train-labels-idx1": gzip.compress(b"\0\0\x08\1\0\0\0\5ab")}, "not an IDX file"),
        ({"train-labels-idx1": idx(np.array([1, 2, 3, 4, 77]))}, "found the class 77"),
        ({"train-images-idx3": idx(np.zeros((4, 4, 6)))}, "holds 4 pictures for 5 labels"),
    ],
)
def test_damaged_files(registry, changed, said):
    put(registry, **changed)
    with pytest.raises(VestigeError, match=said):
        next(open_source("fashion-mnist").samples(["train-00000"]))


def test_the_real_pictures(real):
    source = real("fashion-mnist", split="all")
    assert len(source) == 70_000
    first = next(source.samples(["train-00000"]))
    assert first.label == "Ankle boot"
    assert first.media[Modality.IMAGE].size == (28, 28)
    labels = [sample.label for sample in real("fashion-mnist", split="test").samples(source.keys()[60_000:])]
    assert {labels.count(label) for label in set(labels)} == {1000}
