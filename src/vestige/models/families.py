"""The models of transformers that embed two modalities into one space, and how each is asked for its embeddings.

Each is a class with `get_<modality>_features`. What differs is whether texts are padded to a fixed length (SigLIP
reads its last place, whatever stands there), and which of the model's outputs is the embedding. BLIP's checkpoints for
retrieval are of a class of their own, whose two projections are read as its authors read them. X-CLIP's texts are taken
before they are mixed with a film: mixed, a text would have another embedding for every film.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from vestige.samples import Modality

PICTURES = (Modality.IMAGE, Modality.TEXT)
BLIP_RETRIEVAL = "BlipForImageTextRetrieval"


@dataclass(frozen=True)
class Family:
    """Models of one `model_type`.

    Attributes:
        name: as its authors call it.
        modalities: what it embeds.
        padded: texts are always as long as the model reads, as it was trained.
        context: tokens of a text where the tokenizer does not say; None for the positions the model has.
    """

    name: str
    modalities: tuple[Modality, ...] = PICTURES
    padded: bool = False
    context: int | None = None


FAMILIES: Mapping[str, Family] = {
    "clip": Family("CLIP"),
    "siglip": Family("SigLIP", padded=True, context=64),
    "siglip2": Family("SigLIP 2", padded=True, context=64),
    "blip": Family("BLIP"),
    "align": Family("ALIGN", context=64),
    "altclip": Family("AltCLIP"),
    "chinese_clip": Family("Chinese-CLIP"),
    "groupvit": Family("GroupViT"),
    "clipseg": Family("CLIPSeg"),
    "flava": Family("FLAVA", context=77),
    "metaclip_2": Family("MetaCLIP 2"),
    "aimv2": Family("AIMv2"),
    "vision-text-dual-encoder": Family("VisionTextDualEncoder"),
    "clap": Family("CLAP", (Modality.TEXT, Modality.AUDIO)),
    "xclip": Family("X-CLIP", (Modality.TEXT, Modality.VIDEO)),
}
"""By `model_type` of `config.json`."""


def class_name(architectures: Sequence[str]) -> str:
    """The class of transformers that such weights are of."""
    return BLIP_RETRIEVAL if BLIP_RETRIEVAL in architectures else "AutoModel"


def accepted(model: Any, modality: Modality) -> tuple[str, ...]:
    """Names of the tensors that the model takes of a modality."""
    if type(model).__name__ == BLIP_RETRIEVAL:
        return ("pixel_values",) if modality == Modality.IMAGE else ("input_ids", "attention_mask")
    return tuple(inspect.signature(getattr(model, f"get_{modality}_features")).parameters)


def features(model: Any, modality: Modality, inputs: Mapping[str, Tensor]) -> Tensor:
    """Embeddings of a batch of one modality, [B, d], of any norm."""
    if type(model).__name__ == BLIP_RETRIEVAL:
        tower = model.vision_model if modality == Modality.IMAGE else model.text_encoder
        project = model.vision_proj if modality == Modality.IMAGE else model.text_proj
        return project(tower(**inputs).last_hidden_state[:, 0])
    found = getattr(model, f"get_{modality}_features")(**inputs)
    # A tensor before transformers 5. FLAVA projects every token; its contrastive loss compares the first ones.
    found = found if isinstance(found, Tensor) else found.pooler_output
    return found[:, 0] if found.ndim == 3 else found
