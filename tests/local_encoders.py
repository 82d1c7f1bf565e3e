"""Tiny untrained dual encoders of every family of transformers that is read, with their processors, in folders."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers

from local_models import WORDS, _letters, _small, _tokenizer

SIZE = {"height": 16, "width": 16}
VISION = _small(image_size=16, patch_size=8)
LETTERS = _small(vocab_size=54, max_position_embeddings=16, bos_token_id=52, eos_token_id=53, pad_token_id=53)
BERT = _small(vocab_size=len(WORDS), max_position_embeddings=24, pad_token_id=0)


def _clip_pictures() -> Any:
    return transformers.CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=SIZE)


def _save(folder: Path, *parts: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for part in parts:
        part.save_pretrained(folder)
    return folder


def clip(folder: Path) -> Path:
    torch.manual_seed(0)
    config = transformers.CLIPConfig(text_config=LETTERS, vision_config=VISION, projection_dim=8)
    return _save(folder, transformers.CLIPModel(config), _letters(), _clip_pictures())


def metaclip_2(folder: Path) -> Path:
    torch.manual_seed(0)
    config = transformers.MetaClip2Config(text_config=LETTERS, vision_config=VISION, projection_dim=8)
    return _save(folder, transformers.MetaClip2Model(config), _letters(), _clip_pictures())


def siglip(folder: Path) -> Path:
    torch.manual_seed(0)
    config = transformers.SiglipConfig(text_config={**LETTERS, "projection_size": 16}, vision_config=VISION)
    return _save(folder, transformers.SiglipModel(config), _letters(), transformers.SiglipImageProcessor(size=SIZE))


def siglip2(folder: Path) -> Path:
    torch.manual_seed(0)
    vision = _small(num_patches=16, patch_size=4)
    config = transformers.Siglip2Config(text_config={**LETTERS, "projection_size": 16}, vision_config=vision)
    pictures = transformers.Siglip2ImageProcessor(patch_size=4, max_num_patches=16)
    return _save(folder, transformers.Siglip2Model(config), _letters(), pictures)


def blip(folder: Path) -> Path:
    torch.manual_seed(0)
    config = transformers.BlipConfig(text_config=_blip_text(folder), vision_config=VISION, projection_dim=8)
    model = transformers.BlipModel(config)
    return _save(folder, model, _tokenizer(folder), transformers.BlipImageProcessor(size=SIZE))


def blip_retrieval(folder: Path) -> Path:
    torch.manual_seed(0)
    config = transformers.BlipConfig(text_config=_blip_text(folder), vision_config=VISION, image_text_hidden_size=8)
    model = transformers.BlipForImageTextRetrieval(config)
    return _save(folder, model, _tokenizer(folder), transformers.BlipImageProcessor(size=SIZE))


def _blip_text(folder: Path) -> dict[str, Any]:
    return {**BERT, "encoder_hidden_size": 16, "bos_token_id": 2, "sep_token_id": 3, "eos_token_id": 3}


def align(folder: Path) -> Path:
    torch.manual_seed(0)
    vision = {
        **{"image_size": 32, "hidden_dim": 16, "width_coefficient": 0.1, "depth_coefficient": 0.1, "depth_divisor": 4},
        **{"kernel_sizes": [3, 3], "in_channels": [8, 8], "out_channels": [8, 16], "depthwise_padding": []},
        **{"strides": [1, 2], "num_block_repeats": [1, 1], "expand_ratios": [1, 2]},
    }
    config = transformers.AlignConfig(text_config=BERT, vision_config=vision, projection_dim=4)
    pictures = transformers.EfficientNetImageProcessor(
        size={"height": 32, "width": 32}, crop_size={"height": 32, "width": 32}
    )
    return _save(folder, transformers.AlignModel(config), _tokenizer(folder), pictures)


def altclip(folder: Path) -> Path:
    torch.manual_seed(0)
    config = transformers.AltCLIPConfig(text_config={**BERT, "project_dim": 16}, vision_config=VISION, projection_dim=8)
    return _save(folder, transformers.AltCLIPModel(config), _tokenizer(folder), _clip_pictures())


def chinese_clip(folder: Path) -> Path:
    torch.manual_seed(0)
    config = transformers.ChineseCLIPConfig(text_config=BERT, vision_config=VISION, projection_dim=8)
    pictures = transformers.ChineseCLIPImageProcessor(size=SIZE, crop_size=SIZE)
    return _save(folder, transformers.ChineseCLIPModel(config), _tokenizer(folder), pictures)


def groupvit(folder: Path) -> Path:
    torch.manual_seed(0)
    vision = {
        **_small(image_size=16, patch_size=4, depths=[1, 1], num_group_tokens=[8, 0], num_output_groups=[4, 8]),
        "num_hidden_layers": 2,
    }
    config = transformers.GroupViTConfig(
        text_config=LETTERS, vision_config=vision, projection_dim=8, projection_intermediate_dim=16
    )
    return _save(folder, transformers.GroupViTModel(config), _letters(), _clip_pictures())


def clipseg(folder: Path) -> Path:
    torch.manual_seed(0)
    config = transformers.CLIPSegConfig(text_config=LETTERS, vision_config=VISION, projection_dim=8)
    return _save(folder, transformers.CLIPSegModel(config), _letters(), transformers.ViTImageProcessor(size=SIZE))


def flava(folder: Path) -> Path:
    torch.manual_seed(0)
    config = transformers.FlavaConfig(
        text_config=BERT,
        image_config=VISION,
        multimodal_config=_small(),
        image_codebook_config={"num_groups": 2, "hidden_size": 4, "vocab_size": 16, "num_blocks_per_group": 1},
        projection_dim=8,
        hidden_size=16,
    )
    pictures = transformers.FlavaImageProcessor(size=SIZE, crop_size=SIZE)
    return _save(folder, transformers.FlavaModel(config), _tokenizer(folder), pictures)


def aimv2(folder: Path) -> Path:
    torch.manual_seed(0)
    config = transformers.Aimv2Config(text_config=LETTERS, vision_config=VISION, projection_dim=8)
    return _save(folder, transformers.Aimv2Model(config), _letters(), _clip_pictures())


def vision_text(folder: Path) -> Path:
    torch.manual_seed(0)
    config = transformers.VisionTextDualEncoderConfig.from_vision_text_configs(
        transformers.ViTConfig(**VISION), transformers.BertConfig(**BERT), projection_dim=8
    )
    model = transformers.VisionTextDualEncoderModel(config)
    return _save(folder, model, _tokenizer(folder), transformers.ViTImageProcessor(size=SIZE))


def clap(folder: Path, *, fusion: bool = False) -> Path:
    torch.manual_seed(0)
    audio = {
        **{"num_mel_bins": 16, "spec_size": 64, "hidden_size": 32, "patch_embeds_hidden_size": 8, "patch_size": 4},
        **{"depths": [1, 1], "num_attention_heads": [2, 2], "window_size": 4, "patch_stride": [4, 4]},
        **{"num_hidden_layers": 2, "projection_dim": 8, "enable_fusion": fusion, "fusion_num_hidden_layers": 1},
        **{"hidden_size": 16, "flatten_patch_embeds": True, "aff_block_r": 2},
    }
    config = transformers.ClapConfig(
        text_config={**BERT, "projection_dim": 8, "pad_token_id": 0}, audio_config=audio, projection_dim=8
    )
    sounds = transformers.ClapFeatureExtractor(
        feature_size=16,
        sampling_rate=8000,
        hop_length=80,
        max_length_s=1,
        fft_window_size=256,
        frequency_max=4000,
        truncation="fusion" if fusion else "rand_trunc",
    )
    return _save(folder, transformers.ClapModel(config), _tokenizer(folder), sounds)


def fused_clap(folder: Path) -> Path:
    return clap(folder, fusion=True)


def xclip(folder: Path) -> Path:
    torch.manual_seed(0)
    vision = {
        **VISION,
        **{"num_frames": 4, "mit_hidden_size": 8, "mit_intermediate_size": 16, "mit_num_hidden_layers": 1},
        "mit_num_attention_heads": 2,
    }
    config = transformers.XCLIPConfig(text_config=LETTERS, vision_config=vision, projection_dim=8)
    pictures = transformers.VideoMAEImageProcessor(size={"shortest_edge": 16}, crop_size=SIZE)
    return _save(folder, transformers.XCLIPModel(config), _letters(), pictures)


PICTURE_MODELS: Mapping[str, Callable[[Path], Path]] = {
    own.__name__: own
    for own in (
        *(clip, metaclip_2, siglip, siglip2, blip, blip_retrieval, align, altclip, chinese_clip, groupvit, clipseg),
        *(flava, aimv2, vision_text),
    )
}
SOUND_MODELS: Mapping[str, Callable[[Path], Path]] = {"clap": clap, "fused_clap": fused_clap}


def sentences(folder: Path, **pooling: bool) -> Path:
    """A text model, in sentence-transformers' layout if it says how tokens are pooled."""
    torch.manual_seed(0)
    _save(folder, transformers.BertModel(transformers.BertConfig(**BERT), add_pooling_layer=False), _tokenizer(folder))
    if pooling:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 16, **pooling}))
    return folder
