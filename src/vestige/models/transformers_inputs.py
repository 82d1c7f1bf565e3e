"""Samples as transformers' processors prepare them: pictures, texts, sounds and films, un-augmented or as views."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vestige.data.views import View
from vestige.errors import VestigeError
from vestige.models import draws
from vestige.models.once import Once
from vestige.samples import Media, Modality

Tensors = Mapping[str, Tensor]
"""What a model reads of one medium, by the name of its argument, without the batch dimension."""


class Reader(Protocol):
    """Prepares one medium, of its sample's key, under one view."""

    def __call__(self, medium: Any, key: str, view: View | None) -> Tensors: ...


@dataclass(frozen=True)
class Layout:
    """How the tensors of one medium lie in one vector; of all media of a model alike.

    Float32 holds every number in them exactly: token ids and sizes are far below 2^24.

    Attributes:
        parts: (name, shape, type) of each.
    """

    parts: tuple[tuple[str, tuple[int, ...], torch.dtype], ...]

    @classmethod
    def of(cls, tensors: Tensors) -> "Layout":
        return cls(tuple((name, tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()))

    def pack(self, tensors: Tensors) -> Tensor:
        return torch.cat([tensors[name].reshape(-1).to(torch.float32) for name, _, _ in self.parts])

    def unpack(self, batch: Tensor) -> dict[str, Tensor]:
        """The tensors of a batch [B, n], [B, ...] each."""
        pieces = batch.split([int(np.prod(shape, dtype=np.int64)) for _, shape, _ in self.parts], dim=1)
        return {
            name: piece.reshape(len(batch), *shape).to(kind)
            for (name, shape, kind), piece in zip(self.parts, pieces, strict=True)
        }


def trimmed(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Texts without the places at the end that are padding in all of them, as a tokenizer pads a batch."""
    mask = inputs.get("attention_mask")
    if mask is None:
        return dict(inputs)
    length = max(int(mask.any(dim=0).nonzero().max()) + 1, 1) if bool(mask.any()) else 1
    return {name: tensor[:, :length] for name, tensor in inputs.items()}


class TextReader:
    """Texts as token ids, all of one length.

    Args:
        tokenizer: of transformers.
        length: tokens; longer texts are cut.
        names: which of its tensors the model takes.
    """

    def __init__(self, tokenizer: Any, length: int, names: Sequence[str]) -> None:
        self._tokenizer, self._length, self._names = tokenizer, length, names

    def __call__(self, medium: str, key: str, view: View | None) -> Tensors:
        found = self._tokenizer(
            [medium], padding="max_length", truncation=True, max_length=self._length, return_tensors="pt"
        )
        return {name: tensor[0] for name, tensor in found.items() if name in self._names}

    def count_cut(self, texts: Sequence[str]) -> int:
        """How many texts have more tokens than are read."""
        cut = 0
        for start in range(0, len(texts), 4096):
            found = self._tokenizer(list(texts[start : start + 4096]), verbose=False)
            cut += sum(len(ids) > self._length for ids in found["input_ids"])
        return cut


class PictureReader:
    """Pictures through an image processor. Views are crops as `RandomResizedCrop` draws them.

    Args:
        processor: of transformers.
        names: which of its tensors the model takes.

    Raises:
        VestigeError: the processor makes tensors of other shapes of other pictures, which no batch can hold.
    """

    def __init__(self, processor: Any, names: Sequence[str]) -> None:
        self._processor, self._names = processor, names
        wide, tall = (Layout.of(self._processed(Image.new("RGB", size, "grey"))) for size in ((64, 40), (40, 64)))
        if wide != tall:
            raise VestigeError(
                f"the image processor keeps the shape of pictures ({_shapes(wide)} and {_shapes(tall)}): set"
                " do_center_crop, or a size of height and width, in its JSON file"
            )
        shape = next((shape for name, shape, _ in wide.parts if name == "pixel_values"), ())
        # The processor would cut a second time, were a crop no square. One that keeps shapes (SigLIP 2) does not cut.
        self._size = (shape[2], shape[1]) if len(shape) == 3 else None

    def __call__(self, medium: Media, key: str, view: View | None) -> Tensors:
        picture = draws.picture(medium, key, view)
        if view is not None and self._size is not None:
            picture = picture.resize(self._size, Image.Resampling.BICUBIC)
        return self._processed(picture)

    def _processed(self, picture: Image.Image) -> Tensors:
        found = self._processor(images=[picture], return_tensors="pt")
        return {name: tensor[0] for name, tensor in found.items() if name in self._names}


def _shapes(layout: Layout) -> str:
    return ", ".join("x".join(map(str, shape)) for _, shape, _ in layout.parts)


class SoundReader:
    """Sounds through a feature extractor, at its rate, of a length that it never has to cut (`draws.window`).

    It would cut at random, from a generator that all threads share.

    Args:
        extractor: of transformers.
        names: which of its tensors the model takes.
    """

    def __init__(self, extractor: Any, names: Sequence[str]) -> None:
        self._extractor, self._names = extractor, names
        self._samples = int(extractor.nb_max_samples)
        self._once = Once()

    def __call__(self, medium: Media, key: str, view: View | None) -> Tensors:
        rate = self._extractor.sampling_rate
        sound = self._once(Modality.AUDIO, medium, lambda own: draws.waveform(own, rate))
        return self.extract(draws.window(sound, key, view, self._samples))

    def extract(self, waveform: np.ndarray) -> Tensors:
        found = self._extractor(waveform, sampling_rate=self._extractor.sampling_rate, return_tensors="pt")
        return {name: tensor[0] for name, tensor in found.items() if name in self._names}


class FilmReader:
    """Evenly spaced frames of films through an image processor; a view draws one frame of each part and one crop.

    Args:
        processor: of transformers, for pictures or for films.
        frames: how many the model reads.
    """

    def __init__(self, processor: Any, frames: int) -> None:
        self._processor, self._frames = processor, frames
        self._once = Once()
        height, width = self._pixels([Image.new("RGB", (64, 40), "grey")]).shape[2:]
        self._size = (int(width), int(height))

    def __call__(self, medium: Media, key: str, view: View | None) -> Tensors:
        kept = self._once(Modality.VIDEO, medium, lambda own: draws.frames(own, self._frames))
        frames = draws.chosen(kept, key, view, self._frames)
        if view is not None:
            frames = [frame.resize(self._size, Image.Resampling.BICUBIC) for frame in frames]
        return {"pixel_values": self._pixels(frames)}

    def _pixels(self, frames: Sequence[Image.Image]) -> Tensor:
        """[F, 3, height, width]; processors made for films have a batch dimension before it."""
        pixels = self._processor(images=list(frames), return_tensors="pt")["pixel_values"]
        return pixels[0] if pixels.ndim == 5 else pixels
