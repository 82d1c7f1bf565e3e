"""OpenCLIP's preparation of pictures and texts, the same results for less work.

OpenCLIP puts every picture through torchvision and every text through ftfy and HTML entities. For the common
preprocessing (shortest side to a square, its middle cut out) the same steps are taken here on Pillow and NumPy
directly; texts that these repairs provably leave alone skip them. Whatever is not covered goes OpenCLIP's own way.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import cast

import numpy as np
import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import Tensor

REMEMBERED = 4096
"""Texts whose tokens are remembered: more than a batch has."""
SHORT = 1000
"""Characters of the longest that are: what is remembered stays small whatever captions hold."""
RESAMPLING = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def picture_transform(config: PreprocessCfg) -> Callable[[Image.Image], Tensor]:
    """An RGB picture to the tensor that the model reads, [3, height, width]; bit for bit what OpenCLIP makes of it."""
    size = config.size if isinstance(config.size, int) else config.size[0]
    square = isinstance(config.size, int) or set(config.size) == {size}
    if not square or config.resize_mode != "shortest" or config.interpolation not in RESAMPLING:
        return cast(Callable[[Image.Image], Tensor], image_transform_v2(config, is_train=False))
    resampling = RESAMPLING[config.interpolation]
    mean, std = (torch.tensor(values, dtype=torch.float32).view(3, 1) for values in (config.mean, config.std))
    # A byte has 256 values: each is scaled and normalised once, and looked up.
    table = torch.arange(256).expand(3, 256).to(torch.float32).div(255).sub_(mean).div_(std).numpy()

    def transform(picture: Image.Image) -> Tensor:
        width, height = picture.size
        short, long = min(width, height), max(width, height)
        if short != size:
            whole = int(size * long / short)
            width, height = (size, whole) if width <= height else (whole, size)
            picture = picture.resize((width, height), resampling)
        if width != height:
            left, top = round((width - size) / 2.0), round((height - size) / 2.0)
            picture = picture.crop((left, top, left + size, top + size))
        pixels, prepared = np.asarray(picture), np.empty((3, size, size), dtype=np.float32)
        for channel in range(3):
            # Bytes are within the table: "clip" spares a check, and a copy.
            table[channel].take(pixels[:, :, channel], out=prepared[channel], mode="clip")
        return torch.from_numpy(prepared)

    return transform


def skip_repairs(tokenizer: open_clip.SimpleTokenizer) -> open_clip.SimpleTokenizer:
    """The tokenizer, in place, such that it does not look for broken encodings and entities where there are none."""
    clean = tokenizer.clean_fn

    def quick(x: str) -> str:
        return " ".join(x.split()).lower() if needs_no_repair(x) else clean(x)

    if clean is open_clip.tokenizer.get_clean_fn("lower"):
        tokenizer.clean_fn = quick
    return tokenizer


def remember_texts(tokenizer: open_clip.SimpleTokenizer) -> open_clip.SimpleTokenizer:
    """The tokenizer, in place, such that it remembers what it made of the last short texts.

    A text is prepared, and its tokens are counted beside those that are cut: it is taken apart once for both.
    """
    encode = tokenizer.encode
    remembered = lru_cache(REMEMBERED)(encode)
    tokenizer.encode = lambda text: list(remembered(text)) if len(text) <= SHORT else encode(text)
    return tokenizer


def needs_no_repair(text: str) -> bool:
    """Printable ASCII without the sign that begins an entity: nothing for ftfy or `html.unescape` to change."""
    return text.isascii() and text.isprintable() and "&" not in text
