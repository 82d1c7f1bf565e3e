"""Pictures for training: boxes of pictures as batches of tensors, from canvases or from the encoded files."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from vestige.data import Source
from vestige.data.media import decode_picture
from vestige.data.views import resample
from vestige.samples import Modality, Sample


class Pictures(Protocol):
    """A fixed list of N pictures of known sizes."""

    sizes: NDArray[np.int64]

    def crops(self, positions: NDArray[np.int64], boxes: NDArray[np.float64], size: int) -> Tensor:
        """Boxes (left, top, right, bottom in pixels, [B, 4]) of pictures, resized: float32 [B, 3, size, size]."""
        ...


class CanvasPictures:
    """Pictures kept as canvases; cutting and resizing is two matrix products a batch.

    Args:
        canvases: uint8 [rows, 3, R, R], whole pictures squeezed to squares.
        rows: row of every picture, [N].
        sizes: (width, height) of every original, [N, 2].
    """

    def __init__(self, canvases: NDArray[np.uint8], rows: NDArray[np.int64], sizes: NDArray[np.int64]) -> None:
        self._canvases, self._rows, self.sizes = canvases, rows, sizes

    def crops(self, positions: NDArray[np.int64], boxes: NDArray[np.float64], size: int) -> Tensor:
        side = self._canvases.shape[-1]
        scaled = boxes * (side / self.sizes[positions])[:, [0, 1, 0, 1]]
        canvases = torch.from_numpy(self._canvases[self._rows[positions]])
        return resample(canvases, torch.from_numpy(scaled), size)


class FilePictures:
    """Pictures decoded anew each time, for collections whose canvases would not fit.

    Args:
        source: where the pictures lie.
        keys: key of every picture, N of them.
        sizes: (width, height) of every picture, [N, 2].
    """

    def __init__(self, source: Source, keys: Sequence[str], sizes: NDArray[np.int64]) -> None:
        self._source, self._keys, self.sizes = source, keys, sizes
        self._pool = ThreadPoolExecutor(cpu_count())

    def crops(self, positions: NDArray[np.int64], boxes: NDArray[np.float64], size: int) -> Tensor:
        samples = self._source.samples([self._keys[position] for position in map(int, positions)])

        def crop(sample: Sample, box: NDArray[np.float64]) -> NDArray[np.uint8]:
            picture = decode_picture(sample.media[Modality.IMAGE])
            left, top, right, bottom = box.tolist()
            # Cut, then resized, as torchvision does: resizing with a box would read pixels beside the box.
            cut = picture.crop((left, top, right, bottom))
            return np.asarray(cut.resize((size, size), Image.Resampling.BICUBIC))

        pixels = np.stack(list(self._pool.map(crop, samples, boxes)))
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).to(torch.float32).div_(255)
