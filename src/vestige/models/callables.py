"""Any two callables as an encoder of images and texts."""

import hashlib
from collections.abc import Callable, Mapping

import torch
from PIL import Image
from torch import Tensor, nn

from vestige.data.media import decode_picture
from vestige.data.views import View, random_box
from vestige.samples import Modality, Sample


class CallableEncoder:
    """An encoder made of functions: those of an OpenCLIP model, of a wrapped service, of anything.

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
        self._towers: dict[Modality, Callable[[Tensor], Tensor]] = {} if image is None else {Modality.IMAGE: image}
        self._towers[Modality.TEXT] = text
        self.modalities = tuple(self._towers)
        self._preprocess, self._tokenize = preprocess, tokenize
        # A function has no weights to hash: without a name, no two encoders are taken for the same.
        self.fingerprint = hashlib.blake2b((name or f"callable {id(self)}").encode(), digest_size=16).hexdigest()
        self.preprocessing = f"{id(preprocess)} {id(tokenize)}"

    def prepare(self, sample: Sample, view: View | None) -> dict[Modality, Tensor]:
        prepared: dict[Modality, Tensor] = {}
        if self._preprocess is not None and Modality.IMAGE in sample.media:
            picture = decode_picture(sample.media[Modality.IMAGE])
            if view is not None:
                # The crop keeps its pixels; what size the model wants is known to `preprocess` alone.
                left, top, right, bottom = random_box(view, sample.key, *picture.size)
                picture = picture.crop((left, top, right, bottom))
            prepared[Modality.IMAGE] = self._preprocess(picture)
        if sample.captions:
            prepared[Modality.TEXT] = self._tokenize([sample.captions[0]])[0]
        return prepared

    @torch.inference_mode()
    def encode(self, batch: Mapping[Modality, Tensor]) -> dict[Modality, Tensor]:
        return {
            modality: nn.functional.normalize(torch.as_tensor(self._towers[modality](tensor)).float(), dim=-1).cpu()
            for modality, tensor in batch.items()
        }
