"""What a model is trained to do: from a batch to a loss."""

from itertools import combinations
from typing import Protocol

import torch
from open_clip import ClipLoss
from torch import Tensor, nn

from vestige.data.examples import Drawn
from vestige.models.openclip import normalisation
from vestige.models.towers import Towers
from vestige.samples import Modality


class Objective(Protocol):
    def __call__(self, model: nn.Module, batch: Drawn, device: str) -> Tensor:
        """The loss of one batch, a scalar."""
        ...


class Contrastive:
    """CLIP's symmetric cross-entropy over the batch, as OpenCLIP computes it (`open_clip.ClipLoss`)."""

    def __init__(self) -> None:
        self._loss = ClipLoss()

    def __call__(self, model: nn.Module, batch: Drawn, device: str) -> Tensor:
        mean, std = normalisation(model)
        images = batch.tensors[Modality.IMAGE].sub(mean).div_(std).to(device)
        image, text, scale = model(images, batch.tensors[Modality.TEXT].to(device))[:3]
        return self._loss(image, text, scale)


class PairwiseContrastive:
    """The mean of CLIP's loss over the pairs of modalities, each over the samples that have both.

    L = mean over pairs j < k of ClipLoss(x_j, x_k, exp(t_jk)), a logit scale t for each pair (Guzhov et al.,
    "AudioCLIP" (2022), section 3.2, sum the pairs; the mean keeps the learning rate's meaning for any number of them).
    A pair that fewer than two samples of the batch have is left out.
    """

    def __init__(self) -> None:
        self._loss = ClipLoss()

    def __call__(self, model: nn.Module, batch: Drawn, device: str) -> Tensor:
        assert isinstance(model, Towers)
        embeddings = model({modality: tensor.to(device) for modality, tensor in batch.tensors.items() if len(tensor)})
        losses = []
        for a, b in combinations(model.modalities, 2):
            has_a, has_b = batch.present[a], batch.present[b]
            if int((has_a & has_b).sum()) < 2:
                continue
            x, y = embeddings[a][has_b[has_a].to(device)], embeddings[b][has_a[has_b].to(device)]
            losses.append(self._loss(x, y, model.logit_scale(a, b).exp()))
        if not losses:
            # No pair in the whole batch: nothing to learn from it, and gradients of zero.
            return torch.stack([parameter.sum() for parameter in model.parameters()]).sum() * 0
        return torch.stack(losses).mean()
