"""Captions of pictures by an image-to-text model that lies on disk, sampled with a seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from PIL import Image

from vestige.data.generation import Written, accepted
from vestige.data.generation.local import SAFE, fingerprint, model_folder, reading
from vestige.data.media import UnreadableMedia, decode_picture
from vestige.errors import VestigeError
from vestige.files import digest
from vestige.samples import Modality, Sample


@dataclass(frozen=True)
class DescribeConfig:
    """Captions of pictures by an image-to-text model."""

    model: Path | None = None
    """Folder of a model that transformers reads as image to text: BLIP, ViT-GPT2, a vision-language model."""
    prompt: str = ""
    """How the caption begins (BLIP: "a picture of"), or what a model that chats is asked."""
    batch_size: int = 16
    """Pictures at once."""
    max_tokens: int = 40
    """Longest caption."""
    temperature: float = 1.0
    """How freely it is sampled."""
    top_p: float = 0.9
    """Words are drawn from the likeliest that have this share of the probability."""
    device: str = "cpu"
    """Where the model runs."""


class Describer:
    """New captions from a picture's content: a function of the model, the seed and the batch's keys.

    Args:
        config: model and settings.
        seed: of the sampling.
    """

    def __init__(self, config: DescribeConfig, seed: int = 0) -> None:
        if config.model is None:
            raise VestigeError("describe: name the folder of an image-to-text model with --describe.model")
        if config.batch_size < 1 or config.max_tokens < 1 or config.temperature <= 0 or not 0 < config.top_p <= 1:
            raise VestigeError(
                "describe: batch_size and max_tokens are at least 1, temperature is above 0, top_p in (0, 1]"
            )
        folder = model_folder(config.model, "describe.model", "config.json")
        transformers = library("describe")
        with reading(folder, "describe.model"):
            self._model = transformers.AutoModelForImageTextToText.from_pretrained(folder, **SAFE)
            self._model = self._model.to(config.device).eval()
            self._reader = _reader(transformers, folder)
        self._config, self._seed, self._fingerprint = config, seed, fingerprint(folder)

    @property
    def provenance(self) -> str:
        config = self._config
        name = f"{config.model.name if config.model else ''} {self._fingerprint}"
        asked = f", prompt {config.prompt!r}" if config.prompt else ""
        return (
            f"described by {name} (temperature {config.temperature:g}, top_p {config.top_p:g}, at most"
            f" {config.max_tokens} tokens, seed {self._seed}{asked})"
        )

    def write(self, samples: Sequence[Sample], count: int) -> Sequence[Written]:
        written: list[Written] = []
        for start in range(0, len(samples), self._config.batch_size):
            written += self._batch(samples[start : start + self._config.batch_size], count)
        return written

    def _batch(self, samples: Sequence[Sample], count: int) -> list[Written]:
        pictures, reasons = readable_pictures(samples)
        described = iter(self._described([sample.key for sample in samples], pictures, count) if pictures else ())
        written: list[Written] = []
        for sample, reason in zip(samples, reasons, strict=True):
            if reason is not None:
                written.append(Written(reason=reason))
                continue
            captions = accepted(next(described), sample.captions, count)
            short = f"the model wrote {len(captions)} of {count} different captions"
            written.append(Written(captions, None if len(captions) == count else short))
        return written

    def _described(self, keys: Sequence[str], pictures: Sequence[Image.Image], count: int) -> list[list[str]]:
        inputs, before = self._reader.read(pictures, self._config.prompt)
        inputs = {name: tensor.to(self._config.device) for name, tensor in inputs.items()}
        with torch.random.fork_rng(), torch.inference_mode():
            torch.manual_seed(int(digest(str(self._seed), *keys), 16) >> 1)
            tokens = self._model.generate(
                **inputs,
                do_sample=True,
                temperature=self._config.temperature,
                top_p=self._config.top_p,
                top_k=0,
                max_new_tokens=self._config.max_tokens,
                num_return_sequences=count,
            )
        texts = self._reader.words(tokens[:, before:])
        return [texts[start : start + count] for start in range(0, len(texts), count)]


def library(what: str) -> ModuleType:
    """Transformers, or the line that says how to have it."""
    try:
        import transformers
    except ImportError as error:
        raise VestigeError(f"{what}: models from disk need transformers: pip install 'vestige[hf]'") from error
    return transformers


def readable_pictures(samples: Sequence[Sample]) -> tuple[list[Image.Image], list[str | None]]:
    """The pictures that can be decoded, and for every sample why its picture cannot be, or None."""
    pictures: list[Image.Image] = []
    reasons: list[str | None] = []
    for sample in samples:
        try:
            if Modality.IMAGE not in sample.media:
                raise UnreadableMedia("the sample has no picture")
            pictures.append(decode_picture(sample.media[Modality.IMAGE]))
            reasons.append(None)
        except UnreadableMedia as error:
            reasons.append(str(error))
    return pictures, reasons


class _Processor:
    """A processor for pictures and text together: BLIP's, or one of a model that chats."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor

    def read(self, pictures: Sequence[Image.Image], prompt: str) -> tuple[dict[str, torch.Tensor], int]:
        """Inputs for `generate`, and how many tokens of its output repeat the question."""
        if self._processor.chat_template is None:
            text = {"text": [prompt] * len(pictures), "padding": True} if prompt else {}
            return dict(self._processor(images=list(pictures), return_tensors="pt", **text)), 0
        asked = {"type": "text", "text": prompt or "Describe this picture in one short sentence."}
        content = [{"role": "user", "content": [{"type": "image"}, asked]}]
        question = self._processor.apply_chat_template(content, add_generation_prompt=True)
        images = [[picture] for picture in pictures]
        inputs = self._processor(
            images=images, text=[question] * len(images), padding=True, padding_side="left", return_tensors="pt"
        )
        return dict(inputs), inputs["input_ids"].shape[1]

    def words(self, tokens: torch.Tensor) -> list[str]:
        return self._processor.batch_decode(tokens, skip_special_tokens=True)


class _Parts:
    """An image processor and a tokenizer, for an encoder and a decoder that were put together (ViT-GPT2)."""

    def __init__(self, pictures: Any, tokenizer: Any) -> None:
        self._pictures, self._tokenizer = pictures, tokenizer

    def read(self, pictures: Sequence[Image.Image], prompt: str) -> tuple[dict[str, torch.Tensor], int]:
        inputs = dict(self._pictures(images=list(pictures), return_tensors="pt"))
        if prompt:
            tokens = self._tokenizer(prompt, add_special_tokens=False, return_tensors="pt")["input_ids"]
            inputs["decoder_input_ids"] = tokens.repeat(len(pictures), 1)
        return inputs, 0

    def words(self, tokens: torch.Tensor) -> list[str]:
        return self._tokenizer.batch_decode(tokens, skip_special_tokens=True)


def _reader(transformers: ModuleType, folder: Path) -> _Processor | _Parts:
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        processor = transformers.AutoProcessor.from_pretrained(folder, **local)
    except (ValueError, OSError, KeyError):
        processor = None
    if isinstance(processor, transformers.ProcessorMixin):
        return _Processor(processor)
    return _Parts(
        transformers.AutoImageProcessor.from_pretrained(folder, **local),
        transformers.AutoTokenizer.from_pretrained(folder, **local),
    )
