"""What a model is trained to do: from a batch to a loss."""

from typing import Protocol

from open_clip import ClipLoss
from torch import Tensor, nn


class Objective(Protocol):
    def __call__(self, model: nn.Module, images: Tensor, tokens: Tensor) -> Tensor:
        """The loss of one batch: normalised images [B, 3, s, s] and token ids [B, context] to a scalar."""
        ...


class Contrastive:
    """CLIP's symmetric cross-entropy over the batch, as OpenCLIP computes it (`open_clip.ClipLoss`)."""

    def __init__(self) -> None:
        self._loss = ClipLoss()

    def __call__(self, model: nn.Module, images: Tensor, tokens: Tensor) -> Tensor:
        image, text, scale = model(images, tokens)[:3]
        return self._loss(image, text, scale)
