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
