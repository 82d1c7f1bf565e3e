"""What the models of a design see, batch by batch: one reading and one draw of views for all of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vestige.ahead import ahead
from vestige.data.pictures import Pictures
from vestige.data.views import View, chosen_captions, key_hashes, random_crops
from vestige.models.openclip import Tokenizer


@dataclass(frozen=True)
class Batch:
    """One step of all models of a block.

    Attributes:
        images: the views of every sample that some model sees, float32 [U, 3, size, size] in [0, 1].
        tokens: token ids of their captions, int64 [U, context].
        positions: position of every one of these samples in the data, [U].
        members: for every model, which rows of `images` and `tokens` it sees.
    """

    images: Tensor
    tokens: Tensor
    positions: NDArray[np.int64]
    members: tuple[Tensor, ...]


class Pairs:
    """N pictures with their captions, from which views are drawn by (seed, epoch, key).

    Args:
        keys: key of every sample.
        pictures: the pictures, in the order of the keys.
        captions: the captions of every sample, at least one each.
        tokenize: texts to token ids [n, context].
        policy: which caption an epoch shows (`vestige.data.views.CAPTION_POLICIES`).
        size: side of the views in pixels.
    """

    def __init__(
        self,
        keys: Sequence[str],
        pictures: Pictures,
        captions: Sequence[Sequence[str]],
        tokenize: Tokenizer,
        *,
        policy: str,
        size: int,
    ) -> None:
        self.keys = keys
        self._hashes = key_hashes(keys)
        self._pictures, self._policy, self._size = pictures, policy, size
        self._counts = np.array([len(texts) for texts in captions], dtype=np.int64)
        self._first = np.cumsum(self._counts) - self._counts
        # Tokens are few bytes; texts are tokenised once, not once an epoch.
        self._tokens = tokenize([text for texts in captions for text in texts])

    def draw(self, positions: NDArray[np.int64], view: View) -> tuple[Tensor, Tensor]:
        """Views of samples: (images [n, 3, size, size], tokens [n, context])."""
        hashes = self._hashes[positions]
        boxes = random_crops(view, hashes, self._pictures.sizes[positions])
        choice = chosen_captions(self._policy, view, hashes, self._counts[positions])
        tokens = self._tokens[torch.from_numpy(self._first[positions] + choice)]
        return self._pictures.crops(positions, boxes, self._size), tokens


def epoch_batches(slots: NDArray[np.int64], pairs: Pairs, view: View, size: int) -> Iterator[Batch]:
    """One epoch: every slot once, in an order drawn from the seed and the epoch alone.

    The batches are as equal in size as they can be (no short last one). The next one is prepared while the models
    work on this one.

    Args:
        slots: the sample in every slot of every model of a block, [M, S]; -1 for none.
        pairs: the samples.
        view: seed and epoch.
        size: largest number of slots in a batch.
    """
    order = np.random.Generator(np.random.Philox(key=[view.seed, view.epoch])).permutation(slots.shape[1])
    parts = np.array_split(order, batch_count(slots, size))

    def prepare(part: NDArray[np.int64]) -> Batch:
        taken = slots[:, part]
        positions = np.unique(taken[taken >= 0])
        images, tokens = pairs.draw(positions, view)
        members = tuple(torch.from_numpy(np.searchsorted(positions, row[row >= 0])) for row in taken)
        return Batch(images, tokens, positions, members)

    return ahead(prepare, parts)


def batch_count(slots: NDArray[np.int64], size: int) -> int:
    """Batches an epoch."""
    return -(-slots.shape[1] // size)
