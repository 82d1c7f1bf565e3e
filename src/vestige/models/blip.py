"""BLIP: pictures and texts that are contrasted, and matched by a text encoder that looks at the picture.

Li et al., "BLIP: Bootstrapping Language-Image Pre-training for Unified Vision-Language Understanding and Generation"
(ICML 2022), section 3. The layers are those of transformers (`BlipForImageTextRetrieval`), in the sizes of an OpenCLIP
description, with fresh weights; texts are OpenCLIP's tokens, and one more, which BLIP puts in the place of the first
where the text encoder looks at a picture. BLIP's third objective, writing captions, and the momentum model that
softens the targets of the first, are left out.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from safetensors.torch import save_file
from torch import Tensor, nn

from vestige.data.inputs import Inputs
from vestige.data.labels import Labels
from vestige.errors import VestigeError
from vestige.files import read_json, replacing, write_json
from vestige.models import openclip, towers
from vestige.models.architectures import Architecture
from vestige.models.openclip import WEIGHTS_FILE, Tokenizer
from vestige.models.towers import INITIAL_LOGIT_SCALE, Towers
from vestige.models.towers_encoder import TowersEncoder
from vestige.models.weights import fill, read_weights
from vestige.samples import Modality

if TYPE_CHECKING:
    from transformers import BlipForImageTextRetrieval

BLIP_FILE = "vestige_blip.json"
# Deviation of BERT's fresh weights, and the width it is made for; transformers' own for BLIP is for weights to come.
INITIAL, BERT_WIDTH = 0.02, 768


class Blip(nn.Module):
    """BLIP's two encoders, its projections, and its head that says whether picture and text match.

    Args:
        layers: transformers' model.
        mean, std: pictures are normalised with, [3, 1, 1] each.
        fusing: the token that takes the place of the first where texts are read with a picture.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, layers: "BlipForImageTextRetrieval", mean: Tensor, std: Tensor, fusing: int) -> None:
        super().__init__()
        self.layers, self._fusing = layers, fusing
        self.logit_scale = nn.Parameter(torch.tensor(INITIAL_LOGIT_SCALE))
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def patches(self, pictures: Tensor) -> Tensor:
        """Pictures in [0, 1], [n, 3, s, s], to what the text encoder looks at, [n, L, w]; the first stands for all."""
        return self.layers.vision_model(pixel_values=(pictures - self.mean) / self.std).last_hidden_state

    def picture_embedding(self, patches: Tensor) -> Tensor:
        """[n, d], of any norm."""
        return self.layers.vision_proj(patches[:, 0])

    def text_embedding(self, tokens: Tensor) -> Tensor:
        """Token ids [n, context] to [n, d], of any norm."""
        read = self.layers.text_encoder(input_ids=tokens, attention_mask=read_places(tokens))
        return self.layers.text_proj(read.last_hidden_state[:, 0])

    def match(self, patches: Tensor, tokens: Tensor) -> Tensor:
        """Unnormalised scores of (no match, match) of each picture and the text in its row, [n, 2]."""
        fusing = torch.cat([torch.full_like(tokens[:, :1], self._fusing), tokens[:, 1:]], dim=1)
        read = self.layers.text_encoder(
            input_ids=fusing, attention_mask=read_places(tokens), encoder_hidden_states=patches
        )
        return self.layers.itm_head(read.last_hidden_state[:, 0])


def read_places(tokens: Tensor) -> Tensor:
    """Which places of OpenCLIP's token ids hold text: those up to the end token, the largest id; long [n, context].

    The padding cannot tell: its id, 0, is also that of the exclamation mark.
    """
    places = torch.arange(tokens.shape[1], device=tokens.device)
    return (places <= tokens.argmax(dim=1, keepdim=True)).long()


class BlipPictures(nn.Module):
    """BLIP as a tower of pictures."""

    def __init__(self, blip: Blip) -> None:
        super().__init__()
        self.blip = blip

    def forward(self, pictures: Tensor) -> Tensor:
        return self.blip.picture_embedding(self.blip.patches(pictures))

    def backbone(self, pictures: Tensor) -> Tensor:
        return self.blip.patches(pictures)[:, 0]


class BlipTexts(nn.Module):
    """BLIP as a tower of texts."""

    def __init__(self, blip: Blip) -> None:
        super().__init__()
        self.blip = blip

    def forward(self, tokens: Tensor) -> Tensor:
        return self.blip.text_embedding(tokens)


@dataclass(frozen=True)
class BlipBlueprint:
    """BLIP models in the sizes of an OpenCLIP description.

    Attributes:
        description: the architecture.
    """

    description: Architecture

    modalities = (Modality.IMAGE, Modality.TEXT)
    metrics = ("clipmem", "multimem", "sslmem")
    labels = None

    @property
    def inputs(self) -> Inputs:
        return towers.inputs_of(self.description, self.modalities)

    @property
    def tokenizer(self) -> Tokenizer:
        if self.description["text_cfg"].get("hf_tokenizer_name"):
            raise VestigeError("blip reads OpenCLIP's own tokens, and this model names another tokenizer: leave it out")
        return openclip.tokenizer(self.description)

    def for_labels(self, labels: Labels | None) -> "BlipBlueprint":
        return self

    def build(self, seed: int) -> Blip:
        """A model with fresh weights.

        Raises:
            VestigeError: transformers is not installed, or the description has no sizes for BLIP.
        """
        return build_blip(self.description, seed)

    def save(self, model: nn.Module, directory: Path) -> None:
        """Write the whole model: `vestige_blip.json` and safetensors."""
        with replacing(directory) as temporary:
            temporary.mkdir(parents=True)
            write_json(temporary / BLIP_FILE, {"model_cfg": dict(self.description)})
            own = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
            save_file(own, temporary / WEIGHTS_FILE)


def build_blip(description: Architecture, seed: int) -> Blip:
    """BLIP with fresh weights.

    Raises:
        VestigeError: transformers is not installed, or the description has no sizes for BLIP.
    """
    try:
        from transformers import BlipConfig, BlipForImageTextRetrieval
    except ImportError as error:
        raise VestigeError("blip needs transformers: pip install 'vestige[hf]'") from error
    vision, text = _sizes(description)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = BlipConfig(
            text_config=text, vision_config=vision, image_text_hidden_size=description["embed_dim"],
            initializer_range=initial_deviation(text["hidden_size"]),
        )  # fmt: skip
        try:
            layers = BlipForImageTextRetrieval(config)
        except (ValueError, TypeError, RuntimeError, ZeroDivisionError) as error:
            raise VestigeError(f"transformers cannot build such a BLIP: {str(error).splitlines()[0]}") from error
        return Blip(layers, mean, std, fusing=text["vocab_size"] - 1)


def initial_deviation(width: int) -> float:
    """Deviation of fresh weights: BERT's at its width, and larger for narrower layers, which else say little."""
    return INITIAL * math.sqrt(BERT_WIDTH / width)


def _sizes(description: Architecture) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of transformers' vision and text models."""
    vision, text = description["vision_cfg"], description["text_cfg"]
    width, layers = vision.get("width", 768), vision.get("layers", 12)
    if not isinstance(layers, int) or "timm_model_name" in vision or "hf_model_name" in text:
        raise VestigeError("blip is a vision and a text transformer: name such an architecture with --model")
    about_text = {"width": 512, "heads": 8, "layers": 12, "context_length": 77, "vocab_size": 49408, **text}
    return (
        {
            "hidden_size": width,
            "intermediate_size": int(width * vision.get("mlp_ratio", 4.0)),
            "num_hidden_layers": layers,
            "num_attention_heads": width // vision.get("head_width", 64),
            "image_size": vision.get("image_size", 224),
            "patch_size": vision.get("patch_size", 16),
            "initializer_range": initial_deviation(width),
        },
        {
            "hidden_size": about_text["width"],
            "intermediate_size": int(about_text["width"] * about_text.get("mlp_ratio", 4.0)),
            "num_hidden_layers": about_text["layers"],
            "num_attention_heads": about_text["heads"],
            "max_position_embeddings": about_text["context_length"],
            # The last one is the token of the fused pass.
            "vocab_size": about_text["vocab_size"] + 1,
            "bos_token_id": about_text["vocab_size"] - 2,
            "eos_token_id": about_text["vocab_size"] - 1,
            "sep_token_id": about_text["vocab_size"] - 1,
            # OpenCLIP pads with the id of a token of its own, which must keep an embedding.
            "pad_token_id": None,
            "initializer_range": initial_deviation(about_text["width"]),
        },
    )


def load_blip(checkpoint: Path, *, device: str = "cpu") -> TowersEncoder:
    """BLIP's projections as an encoder of pictures and texts.

    Raises:
        VestigeError: not such a folder, or weights of another architecture.
    """
    try:
        description = read_json(checkpoint / BLIP_FILE)["model_cfg"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VestigeError(f"{checkpoint / BLIP_FILE}: not a description of BLIP: {error}") from error
    blip = build_blip(description, 0)
    fill(blip, read_weights(checkpoint / WEIGHTS_FILE), checkpoint)
    own = Towers({Modality.IMAGE: BlipPictures(blip), Modality.TEXT: BlipTexts(blip)})
    return TowersEncoder(own, description, device=device)
