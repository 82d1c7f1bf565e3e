"""Features before the projection: projected, they are the embedding."""

import json

import pytest
import torch
from torch import nn

from vestige.errors import VestigeError
from vestige.models import openclip
from vestige.models.architectures import architecture
from vestige.models.backbone import before_projection
from vestige.models.blueprint import Blueprint
from vestige.models.openclip import OpenCLIPEncoder
from vestige.models.towers_encoder import TowersEncoder
from vestige.samples import Modality


def unit(tensor):
    return nn.functional.normalize(tensor, dim=-1)


@torch.inference_mode()
def test_a_transformer(small_model):
    description = architecture(str(small_model))
    encoder = OpenCLIPEncoder(openclip.build(description, seed=0), description)
    pictures = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    before = encoder.encode({Modality.IMAGE: pictures})[Modality.IMAGE]
    features = encoder.encode_backbone({Modality.IMAGE: pictures})[Modality.IMAGE]
    assert features.shape == (3, 32)
    assert torch.allclose(unit(features @ encoder.model.visual.proj), before, atol=1e-6)
    # The model is as it was.
    assert torch.equal(encoder.encode({Modality.IMAGE: pictures})[Modality.IMAGE], before)
    assert encoder.encode_backbone({Modality.TEXT: torch.zeros(1, 12, dtype=torch.long)}) == {}


@torch.inference_mode()
def test_towers(small_model):
    sound = {"rate": 8000, "mels": 16, "frames": 16, "window": 400, "hop": 400, "patch_size": 8}
    description = json.loads(small_model.read_text()) | {"audio_cfg": sound, "video_cfg": {"frames": 2}}
    model = Blueprint(description, tuple(Modality)).build(0)
    encoder = TowersEncoder(model, description)
    generator = torch.Generator().manual_seed(0)
    batch = {
        Modality.IMAGE: torch.rand(3, 3, 16, 16, generator=generator),
        Modality.AUDIO: torch.randn(3, 16, 16, generator=generator),
        Modality.VIDEO: torch.rand(3, 2, 3, 16, 16, generator=generator),
    }
    found, embedded = encoder.encode_backbone(batch), encoder.encode(batch)
    towers = model.towers
    projections = {
        Modality.IMAGE: towers["image"].visual.proj,
        Modality.AUDIO: towers["audio"].transformer.proj,
        # The mean of projected frames is the projected mean.
        Modality.VIDEO: towers["video"].frame.visual.proj,
    }
    for modality, projection in projections.items():
        assert torch.allclose(unit(found[modality] @ projection), embedded[modality], atol=1e-6), modality


@pytest.mark.parametrize(
    ("vision", "width"),
    [
        ({"timm_model_name": "resnet10t", "timm_pool": "", "timm_proj": "linear", "image_size": 32}, 512),
        ({"layers": [1, 1, 1, 1], "width": 8, "head_width": 16, "image_size": 32}, 256),
    ],
)
@torch.inference_mode()
def test_convolutions(small_model, vision, width):
    description = architecture(str(small_model)) | {"vision_cfg": vision}
    encoder = OpenCLIPEncoder(openclip.build(description, seed=0), description)
    pictures = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    features = encoder.encode_backbone({Modality.IMAGE: pictures})[Modality.IMAGE]
    assert features.shape == (2, width)
    if "timm_model_name" in vision:
        head = encoder.model.visual.head.proj
        embedded = encoder.encode({Modality.IMAGE: pictures})[Modality.IMAGE]
        assert torch.allclose(unit(head(features)), embedded, atol=1e-5)


def test_an_unknown_tower_is_refused():
    with pytest.raises(VestigeError, match="Linear: Vestige does not know the layer before the projection"):
        before_projection(nn.Linear(2, 2), lambda: torch.zeros(1))
