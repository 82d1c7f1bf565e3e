"""Any callables as an encoder: those of an OpenCLIP model, of a wrapped service, of anything."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from vestige.data.views import View
from vestige.models import Encoder, draws
from vestige.models.once import Once
from vestige.models.units import one_row_each, watched_units
from vestige.samples import Modality, Sample


@dataclass(frozen=True)
class Callables:
    """How one modality is embedded.

    Attributes:
        prepare: what is read of a sample to the tensor of one: of a PIL picture (RGB), of a text, of a mono waveform
            (float32 NumPy array), of a list of frames (PIL pictures).
        embed: prepared tensors [B, ...] to embeddings [B, d], of any norm.
        rate: samples a second that sounds are brought to.
        seconds: length of sound that is read at most; `prepare` brings shorter ones to the length it wants.
        frames: how many frames of a film are read.
    """

    prepare: Callable[[Any], Tensor]
    embed: Callable[[Tensor], Tensor]
    rate: int = 16_000
    seconds: float = 10.0
    frames: int = 8


class CallableEncoder:
    """An encoder of pictures and texts made of functions; `CallableEncoder.of` makes one of any modalities.

    Args:
        image: pictures [B, ...], as `preprocess` made them, to embeddings [B, d], of any norm; None for an encoder of
            texts alone (the reference of a one-model test).
        text: texts [B, ...], as `tokenize` made them, to embeddings [B, d], of any norm.
        preprocess: a PIL picture (RGB) to the tensor of one picture; None without `image`.
        tokenize: a list of texts to a tensor [B, ...].
        name: what the embeddings are filed under when they are kept; give each model its own.

    Raises:
        ValueError: `image` without `preprocess`, or the other way round.
    """

    def __init__(
        self,
        image: Callable[[Tensor], Tensor] | None,
        text: Callable[[Tensor], Tensor],
        preprocess: Callable[[Image.Image], Tensor] | None,
        tokenize: Callable[[list[str]], Tensor],
        *,
        name: str | None = None,
    ) -> None:
        if (image is None) != (preprocess is None):
            raise ValueError("image and preprocess: give both, or neither")
        towers: dict[Modality, Callables] = {}
        if image is not None and preprocess is not None:
            towers[Modality.IMAGE] = Callables(preprocess, image)
        towers[Modality.TEXT] = Callables(lambda caption: tokenize([caption])[0], text)
        self._set(towers, f"{id(preprocess)} {id(tokenize)}", name)

    @classmethod
    def of(cls, towers: Mapping[Modality, Callables], *, name: str | None = None) -> "CallableEncoder":
        """An encoder of any modalities, in one space.

        Args:
            towers: how each is embedded.
            name: what the embeddings are filed under when they are kept; give each model its own.

        Raises:
            ValueError: no modality.
        """
        if not towers:
            raise ValueError("towers: give one modality or more")
        made = cls.__new__(cls)
        read = [f"{m} {id(own.prepare)} {own.rate} {own.seconds} {own.frames}" for m, own in sorted(towers.items())]
        made._set(towers, " ".join(read), name)
        return made

    def _set(self, towers: Mapping[Modality, Callables], preprocessing: str, name: str | None) -> None:
        self._towers = {Modality(modality): own for modality, own in towers.items()}
        self.modalities = tuple(modality for modality in Modality if modality in self._towers)
        # A function has no weights to hash: without a name, no two encoders are taken for the same.
        self.fingerprint = hashlib.blake2b((name or f"callable {id(self)}").encode(), digest_size=16).hexdigest()
        self.preprocessing = preprocessing
        self._once = Once()

    def prepare(self, sample: Sample, view: View | None) -> dict[Modality, Tensor]:
        prepared: dict[Modality, Tensor] = {}
        for modality in self.modalities:
            own = self._towers[modality]
            if modality == Modality.TEXT:
                if sample.captions:
                    prepared[modality] = own.prepare(sample.captions[0])
            elif modality in sample.media:
                prepared[modality] = own.prepare(self._read(modality, own, sample, view))
        return prepared

    def _read(self, modality: Modality, own: Callables, sample: Sample, view: View | None) -> Any:
        medium = sample.media[modality]
        match modality:
            case Modality.AUDIO:
                sound = self._once(modality, medium, lambda found: draws.waveform(found, own.rate))
                return draws.window(sound, sample.key, view, round(own.seconds * own.rate))
            case Modality.VIDEO:
                kept = self._once(modality, medium, lambda found: draws.frames(found, own.frames))
                return draws.chosen(kept, sample.key, view, own.frames)
            case _:
                # The crop keeps its pixels; what size the model wants is known to `prepare` alone.
                return draws.picture(medium, sample.key, view)

    @torch.inference_mode()
    def encode(self, batch: Mapping[Modality, Tensor]) -> dict[Modality, Tensor]:
        return {
            modality: nn.functional.normalize(
                torch.as_tensor(self._towers[modality].embed(tensor)).float(), dim=-1
            ).cpu()
            for modality, tensor in batch.items()
        }


class WatchedEncoder:
    """An encoder whose units are watched in the model behind it.

    Args:
        encoder: the encoder.
        model: what computes its embeddings; every layer of it that ends in a non-linearity is watched.
    """

    def __init__(self, encoder: Encoder, model: nn.Module) -> None:
        self._encoder, self._model = encoder, model
        self.modalities, self.fingerprint = encoder.modalities, encoder.fingerprint
        self.preprocessing = encoder.preprocessing

    def prepare(self, sample: Sample, view: View | None) -> dict[Modality, Tensor]:
        return self._encoder.prepare(sample, view)

    def encode(self, batch: Mapping[Modality, Tensor]) -> dict[Modality, Tensor]:
        return self._encoder.encode(batch)

    def encode_with_units(self, batch: Mapping[Modality, Tensor]) -> tuple[dict[Modality, Tensor], dict[str, Tensor]]:
        seen: dict[str, Tensor] = {}
        with watched_units(self._model, seen):
            found = self.encode(batch)
        return found, one_row_each(seen, len(next(iter(batch.values()))))
