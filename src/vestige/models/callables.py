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
        image: pictures [B, ...], as `preprocess` made them, to embeddings [B, d], of any norm.
        text: texts [B, ...], as `tokenize` made them, to embeddings [B, d], of any norm.
        preprocess: a PIL picture (RGB) to the tensor of one picture.
        tokenize: a list of texts to a tensor [B, ...].
        name: what the embeddings are filed under when they are kept; give each model its own.
    """

    modalities = (Modality.IMAGE, Modality.TEXT)

    def __init__(
        self,
        image: Callable[[Tensor], Tensor],
        text: Callable[[Tensor], Tensor],
        preprocess: Callable[[Image.Image], Tensor],
        tokenize: Callable[[list[str]], Tensor],
        *,
        name: str | None = None,
    ) -> None:
        self._towers = {Modality.IMAGE: image, Modality.TEXT: text}
        self._preprocess, self._tokenize = preprocess, tokenize
        # A function has no weights to hash: without a name, no two encoders are taken for the same.
        self.fingerprint = hashlib.blake2b((name or f"callable {id(self)}").encode(), digest_size=16).hexdigest()
        self.preprocessing = f"{id(preprocess)} {id(tokenize)}"

    def prepare(self, sample: Sample, view: View | None) -> dict[Modality, Tensor]:
        prepared: dict[Modality, Tensor] = {}
        if Modality.IMAGE in sample.media:
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
