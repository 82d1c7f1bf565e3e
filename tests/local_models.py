"""Tiny untrained models in folders, as Hugging Face libraries write them."""

from pathlib import Path

import torch
import transformers

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *["red", "green", "blue", "a", "square", "disc", "cross", "stripe", "number", "on", "the"],
]


def _tokenizer(folder: Path) -> transformers.BertTokenizerFast:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    return transformers.BertTokenizerFast(vocab=str(folder / "vocab.txt"))


def _small(**more):
    return {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, **more}


def blip(folder: Path) -> Path:
    """A BLIP: one configuration, one processor."""
    torch.manual_seed(0)
    tokenizer = _tokenizer(folder)
    text = _small(
        vocab_size=len(WORDS), encoder_hidden_size=16, bos_token_id=2, sep_token_id=3, eos_token_id=3, pad_token_id=0
    )
    config = transformers.BlipConfig(
        text_config=text, vision_config=_small(image_size=16, patch_size=8), projection_dim=8
    )
    model = transformers.BlipForConditionalGeneration(config)
    pictures = transformers.BlipImageProcessor(size={"height": 16, "width": 16})
    transformers.BlipProcessor(pictures, tokenizer).save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


def encoder_decoder(folder: Path) -> Path:
    """A ViT that is read by a BERT decoder: an image processor and a tokenizer side by side."""
    torch.manual_seed(0)
    tokenizer = _tokenizer(folder)
    encoder = transformers.ViTConfig(**_small(image_size=16, patch_size=8))
    decoder = transformers.BertConfig(**_small(vocab_size=len(WORDS), is_decoder=True, add_cross_attention=True))
    config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 2, 0, 3
    model = transformers.VisionEncoderDecoderModel(config)
    model.generation_config.decoder_start_token_id = 2
    model.generation_config.pad_token_id, model.generation_config.eos_token_id = 0, 3
    model.save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def yolos(folder: Path) -> Path:
    """A detector of three classes."""
    torch.manual_seed(0)
    names = {0: "square", 1: "disc", 2: "cross"}
    config = transformers.YolosConfig(
        **_small(image_size=[16, 16], patch_size=8, num_detection_tokens=4), id2label=names
    )
    model = transformers.YolosForObjectDetection(config)
    # Untrained, its scores would all be the same.
    for layer in model.class_labels_classifier.layers:
        torch.nn.init.normal_(layer.weight)
    model.save_pretrained(folder)
    transformers.YolosImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


def _letters() -> transformers.CLIPTokenizer:
    """CLIP's tokenizer, reading letter by letter."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    # As in CLIP, the signs of begin and end are the last: OWL-ViT takes a text that begins with token 0 for none.
    signs = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {sign: number for number, sign in enumerate(signs)}
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=16)


def owlvit(folder: Path) -> Path:
    """A detector that looks for what it is told."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _letters()
    text = _small(
        vocab_size=len(tokenizer), max_position_embeddings=16, bos_token_id=52, eos_token_id=53, pad_token_id=53
    )
    config = transformers.OwlViTConfig(
        text_config=text, vision_config=_small(image_size=16, patch_size=8), projection_dim=16
    )
    transformers.OwlViTForObjectDetection(config).save_pretrained(folder)
    pictures = transformers.OwlViTImageProcessor(size={"height": 16, "width": 16})
    transformers.OwlViTProcessor(pictures, tokenizer).save_pretrained(folder)
    return folder


def diffusion(folder: Path) -> Path:
    """A Stable Diffusion of a few thousand parameters."""
    import diffusers

    torch.manual_seed(0)
    tokenizer = _letters()
    text = transformers.CLIPTextConfig(
        **_small(vocab_size=len(tokenizer), max_position_embeddings=16, projection_dim=16),
        bos_token_id=52,
        eos_token_id=53,
        pad_token_id=53,
    )
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        sample_size=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=4,
        norm_num_groups=4,
    )
    autoencoder = diffusers.AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
    )
    diffusers.StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=transformers.CLIPTextModel(text),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=diffusers.DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder
