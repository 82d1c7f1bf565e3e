"""Examples: samples as the tensors a model reads, drawn from their canvases by (seed, epoch, key)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vestige.data.augmentation import AugmentationConfig
from vestige.data.canvases import Canvases
from vestige.data.colour import ColourJitter
from vestige.data.inputs import FilmInput, Input, Inputs, PictureInput, SoundInput
from vestige.data.media_views import cut_sounds, frame_choice, sound_windows
from vestige.data.views import CROP_SCALE, View, central_squares, chosen_captions, key_hashes, random_crops, resample
from vestige.samples import Modality

Tokenize = Callable[[list[str]], Tensor]


@dataclass(frozen=True)
class Rows:
    """Which samples the rows of a batch are.

    Attributes:
        positions: position of every sample in the data, long [B].
        present: by modality, which of the samples have it, bool [B].
        slots: place of every sample among the slots of the batch, long [B]; the same for all models that share it.
            In order, without gaps, when not given.
        slot_count: how many slots the batch has; as many as samples when not given.
    """

    positions: Tensor
    present: Mapping[Modality, Tensor]
    slots: Tensor | None = None
    slot_count: int | None = None

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def places(self) -> Tensor:
        return torch.arange(len(self)) if self.slots is None else self.slots

    @property
    def width(self) -> int:
        return len(self) if self.slot_count is None else self.slot_count


@dataclass(frozen=True)
class Drawn:
    """Some samples as tensors.

    Attributes:
        positions: position of every sample in the data, long [B].
        tensors: by modality, a row for every sample that has it: pictures float32 [n, 3, s, s] and films
            [n, F, 3, s, s] in [0, 1], sounds [n, mels, T] in log power, texts int64 [n, context].
        present: by modality, which of the samples have it, bool [B].
    """

    positions: Tensor
    tensors: Mapping[Modality, Tensor]
    present: Mapping[Modality, Tensor]

    def rows(self, chosen: Tensor) -> "Drawn":
        """These samples alone; `chosen` is long [b]. Nothing is copied if they are all of them, in order."""
        if torch.equal(chosen, torch.arange(len(self.positions))):
            return self
        tensors = {}
        for modality, own in self.present.items():
            place = own.cumsum(0) - 1
            tensors[modality] = self.tensors[modality][place[chosen[own[chosen]]]]
        present = {modality: own[chosen] for modality, own in self.present.items()}
        return Drawn(self.positions[chosen], tensors, present)


@dataclass(frozen=True)
class Crop:
    """One crop of a picture.

    Attributes:
        view: of what is drawn.
        scale: least and largest share of the area that it keeps.
        size: its side in pixels, whatever the model reads.
    """

    view: View
    scale: tuple[float, float]
    size: int


class Examples:
    """N samples, from which views are drawn.

    Args:
        keys: key of every sample.
        inputs: what the model reads of each medium.
        canvases: of each of these media.
        sizes: by medium, the size of every original as its canvas kind gives it, [N, 2]; 0 where a sample lacks it.
        captions: the captions of every sample; none for a sample without text.
        tokenize: texts to token ids [n, context]; None for a model without texts.
        policy: which caption an epoch shows (`vestige.data.views.CAPTION_POLICIES`).
        augmentation: how the views of `draw` differ from the pictures and films.
    """

    def __init__(
        self,
        keys: Sequence[str],
        inputs: Inputs,
        canvases: Mapping[Modality, Canvases],
        sizes: Mapping[Modality, NDArray[np.int64]],
        captions: Sequence[Sequence[str]],
        tokenize: Tokenize | None,
        *,
        policy: str = "first",
        augmentation: AugmentationConfig | None = None,
    ) -> None:
        self.keys, self.inputs = keys, inputs
        self.hashes = key_hashes(keys)
        self._canvases, self._sizes, self.policy = canvases, sizes, policy
        self._augmentation = augmentation or AugmentationConfig()
        self.present = {modality: sizes[modality][:, 0] > 0 for modality in inputs}
        self._tokens: Tensor | None = None
        if tokenize is not None:
            self.counts = np.array([len(texts) for texts in captions], dtype=np.int64)
            self._first = np.cumsum(self.counts) - self.counts
            # Tokens are few bytes; texts are tokenised once, not once an epoch.
            self._tokens = tokenize([text for texts in captions for text in texts])
            self.present[Modality.TEXT] = self.counts > 0
        self.present = {modality: self.present[modality] for modality in Modality if modality in self.present}

    def draw(self, positions: NDArray[np.int64], view: View | None) -> Drawn:
        """Samples as training sees them under one view; un-augmented, with the first caption, when it is None."""
        crops = (self._augmentation.crop_scale, max(CROP_SCALE))
        tensors = {modality: self.media(modality, positions, view, crops) for modality in self.inputs}
        if view is not None and (jitter := self._augmentation.jitter()) is not None:
            for modality in tensors.keys() & {Modality.IMAGE, Modality.VIDEO}:
                own = self.hashes[positions[self.present[modality][positions]]]
                tensors[modality] = _recoloured(tensors[modality], jitter, view, own)
        if self._tokens is not None:
            own = positions[self.present[Modality.TEXT][positions]]
            choice = np.zeros(len(own), dtype=np.int64)
            if view is not None:
                choice = chosen_captions(self.policy, view, self.hashes[own], self.counts[own])
            tensors[Modality.TEXT] = self.tokens(own, choice)
        rows = self.rows(positions)
        return Drawn(rows.positions, {modality: tensors[modality] for modality in rows.present}, rows.present)

    def crops(
        self, positions: NDArray[np.int64], crops: Sequence[Crop], jitter: ColourJitter | None
    ) -> tuple[Drawn, ...]:
        """Several crops of the pictures of those samples that have one, in colours of their own.

        Args:
            positions: the samples.
            crops: what is cut out of each picture.
            jitter: how colours vary, where the augmentation of these examples does not say.
        """
        rows = self.rows(positions)
        own = positions[self.present[Modality.IMAGE][positions]]
        canvases = self._canvases[Modality.IMAGE].take(own)
        sizes, hashes, present = self._sizes[Modality.IMAGE][own], self.hashes[own], rows.present[Modality.IMAGE]
        colours = self._augmentation.jitter() or jitter
        drawn = []
        for crop in crops:
            pictures = cut_views(PictureInput(crop.size), canvases, sizes, hashes, crop.view, crop.scale)
            if colours is not None:
                pictures = colours.apply(pictures, crop.view, hashes)
            drawn.append(Drawn(rows.positions, {Modality.IMAGE: pictures}, {Modality.IMAGE: present}))
        return tuple(drawn)

    def rows(self, positions: NDArray[np.int64]) -> Rows:
        """Which of these samples have what."""
        present = {modality: torch.from_numpy(own[positions]) for modality, own in self.present.items()}
        return Rows(torch.from_numpy(positions), present)

    def tokens(self, positions: NDArray[np.int64], choice: NDArray[np.int64]) -> Tensor:
        """Token ids of one caption of each of these samples, [n, context]."""
        assert self._tokens is not None
        return self._tokens[torch.from_numpy(self._first[positions] + choice)]

    def media(
        self,
        modality: Modality,
        positions: NDArray[np.int64],
        view: View | None,
        crops: tuple[float, float] = CROP_SCALE,
    ) -> Tensor:
        """One medium of those among these samples that have it; `crops` is the share of the area a view keeps."""
        own = positions[self.present[modality][positions]]
        canvases = self._canvases[modality].take(own)
        return cut_views(self.inputs[modality], canvases, self._sizes[modality][own], self.hashes[own], view, crops)


def _recoloured(tensor: Tensor, jitter: ColourJitter, view: View, hashes: NDArray[np.uint64]) -> Tensor:
    if tensor.ndim == 4:
        return jitter.apply(tensor, view, hashes)
    # All frames of a film are in the same light.
    frames = jitter.apply(tensor.flatten(0, 1), view, np.repeat(hashes, tensor.shape[1]))
    return frames.unflatten(0, tensor.shape[:2])


def cut_views(
    read: Input,
    canvases: Sequence[NDArray[Any]],
    sizes: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    view: View | None,
    crops: tuple[float, float] = CROP_SCALE,
) -> Tensor:
    """What a model reads of n media of one modality.

    Args:
        read: the model's input.
        canvases: of the n media, all of one shape.
        sizes: of the originals, [n, 2].
        hashes: of the samples' keys, [n].
        view: None for what is not augmented.
        crops: least and largest share of the area that a crop keeps.

    Returns:
        As `Drawn.tensors`.
    """
    if not len(canvases):
        return torch.zeros(0, *_shape(read))
    match read:
        case PictureInput(size):
            return resample(canvases, _boxes(view, hashes, sizes, canvases[0].shape[-1], crops), size)
        case SoundInput(frames=frames):
            lengths = sizes[:, 0]
            starts, gains = sound_windows(view, hashes, lengths, frames)
            return cut_sounds(torch.from_numpy(np.stack(canvases)), lengths, starts, gains, frames)
        case FilmInput(frames, size):
            choice = frame_choice(view, hashes, len(canvases[0]), frames)
            chosen = [film[frame] for film, own in zip(canvases, choice, strict=True) for frame in own]
            # One box for all frames of a film: a camera does not jump.
            boxes = _boxes(view, hashes, sizes, canvases[0].shape[-1], crops).repeat_interleave(frames, dim=0)
            return resample(chosen, boxes, size).unflatten(0, (len(canvases), frames))


def _boxes(
    view: View | None, hashes: NDArray[np.uint64], sizes: NDArray[np.int64], side: int, crops: tuple[float, float]
) -> Tensor:
    """Boxes in pixels of the canvas, [n, 4]."""
    boxes = central_squares(sizes) if view is None else random_crops(view, hashes, sizes, crops)
    return torch.from_numpy(boxes * (side / sizes)[:, [0, 1, 0, 1]])


def _shape(read: Input) -> tuple[int, ...]:
    match read:
        case PictureInput(size):
            return (3, size, size)
        case SoundInput(frames=frames, mels=mels):
            return (mels, frames)
        case FilmInput(frames, size):
            return (frames, 3, size, size)
