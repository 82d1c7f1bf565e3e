"""What a model is trained to do: from a batch to a loss.

An objective has two halves. `features` is what a model says of each sample by itself, so a batch may go through it in
chunks, and on several devices; `loss` compares the samples of the whole batch. Mitigations are objectives around an
objective: they change what is drawn, what the features are, or the model after a step.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Protocol, cast

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from open_clip import ClipLoss
from open_clip.loss import SigLipLoss
from torch import Tensor, nn
from torch.nn import functional

from vestige.data.examples import Drawn, Examples, Rows
from vestige.data.views import View
from vestige.models.openclip import normalisation
from vestige.models.towers import Towers
from vestige.samples import Modality

# CLIP keeps its temperature above 1/100 (Radford et al., 2021, section 2.5).
LARGEST_LOGIT_SCALE = float(np.log(100))

Features = Mapping[str, Tensor]
"""What a model says of samples: those named after a modality have a row for each sample that has it, others a row for
every sample; in the order of the batch."""


class Objective(Protocol):
    def draw(self, examples: Examples, positions: NDArray[np.int64], view: View) -> tuple[Drawn, ...]:
        """What a step takes of these samples: one view of them, or several."""
        ...

    def features(self, model: nn.Module, views: Sequence[Drawn], device: str) -> Features:
        """What the model says of each sample by itself."""
        ...

    def loss(self, model: nn.Module, features: Features, rows: Rows) -> Tensor:
        """The loss of one whole batch, a scalar, from float32 features."""
        ...

    def after_step(self, model: nn.Module, done: float) -> None:
        """What happens to the model after the optimizer's step; `done` is the share of the training that is over."""
        ...


class Contrastive:
    """CLIP's symmetric cross-entropy over the batch, as OpenCLIP computes it (`open_clip.ClipLoss`)."""

    def __init__(self) -> None:
        self._loss = ClipLoss()

    def draw(self, examples: Examples, positions: NDArray[np.int64], view: View) -> tuple[Drawn, ...]:
        return (examples.draw(positions, view),)

    def features(self, model: nn.Module, views: Sequence[Drawn], device: str) -> Features:
        return _pictures_and_texts(model, views[0], device)

    def loss(self, model: nn.Module, features: Features, rows: Rows) -> Tensor:
        image, text = _unit(features, Modality.IMAGE), _unit(features, Modality.TEXT)
        return self._loss(image, text, cast(open_clip.CLIP, model).logit_scale.exp())

    def after_step(self, model: nn.Module, done: float) -> None:
        clamp_logit_scales(model)


class PairwiseContrastive:
    """The mean of CLIP's loss over the pairs of modalities, each over the samples that have both.

    L = mean over pairs j < k of ClipLoss(x_j, x_k, exp(t_jk)), a logit scale t for each pair (Guzhov et al.,
    "AudioCLIP" (2022), section 3.2, sum the pairs; the mean keeps the learning rate's meaning for any number of them).
    A pair that fewer than two samples of the batch have is left out.
    """

    def __init__(self) -> None:
        self._loss = ClipLoss()

    def draw(self, examples: Examples, positions: NDArray[np.int64], view: View) -> tuple[Drawn, ...]:
        return (examples.draw(positions, view),)

    def features(self, model: nn.Module, views: Sequence[Drawn], device: str) -> Features:
        assert isinstance(model, Towers)
        return {
            str(modality): model.towers[str(modality)](tensor.to(device))
            for modality, tensor in views[0].tensors.items()
            if len(tensor)
        }

    def loss(self, model: nn.Module, features: Features, rows: Rows) -> Tensor:
        assert isinstance(model, Towers)
        losses = []
        for a, b in combinations(model.modalities, 2):
            has_a, has_b = rows.present[a], rows.present[b]
            if int((has_a & has_b).sum()) < 2:
                continue
            x, y = _unit(features, a), _unit(features, b)
            x, y = x[has_b[has_a].to(x.device)], y[has_a[has_b].to(y.device)]
            losses.append(self._loss(x, y, model.logit_scale(a, b).exp()))
        if not losses:
            # No pair in the whole batch: nothing to learn from it, and gradients of zero.
            return torch.stack([parameter.sum() for parameter in model.parameters()]).sum() * 0
        return torch.stack(losses).mean()

    def after_step(self, model: nn.Module, done: float) -> None:
        clamp_logit_scales(model)


class Sigmoid:
    """SigLIP's loss: every pair of the batch is one yes-or-no question (Zhai et al., 2023; `SigLipLoss`).

    L = -1/n * sum over i, k of log sigmoid(z_ik (t x_i . y_k + b)), z = 1 for a pair, else -1; t and b are learned.
    """

    def __init__(self) -> None:
        self._loss = SigLipLoss()

    def draw(self, examples: Examples, positions: NDArray[np.int64], view: View) -> tuple[Drawn, ...]:
        return (examples.draw(positions, view),)

    def features(self, model: nn.Module, views: Sequence[Drawn], device: str) -> Features:
        return _pictures_and_texts(model, views[0], device)

    def loss(self, model: nn.Module, features: Features, rows: Rows) -> Tensor:
        image, text = _unit(features, Modality.IMAGE), _unit(features, Modality.TEXT)
        own = cast(open_clip.CLIP, model)
        return self._loss(image, text, own.logit_scale.exp(), own.logit_bias)

    def after_step(self, model: nn.Module, done: float) -> None:
        """SigLIP's scale is not bounded."""


class Captioning:
    """CoCa: CLIP's loss, and the cross-entropy of writing the caption (Yu et al., 2022, eq. 4; `open_clip.CoCaLoss`).

    L = ClipLoss + weight * mean over tokens of -log p(token | picture, tokens before it).
    """

    WEIGHT = 2.0

    def __init__(self, padding: int = 0) -> None:
        self._loss, self._padding = ClipLoss(), padding

    def draw(self, examples: Examples, positions: NDArray[np.int64], view: View) -> tuple[Drawn, ...]:
        return (examples.draw(positions, view),)

    def features(self, model: nn.Module, views: Sequence[Drawn], device: str) -> Features:
        images, tokens = _inputs(model, views[0], device)
        found = model(images, tokens)
        # CoCa's own embeddings have unit norm already.
        losses = functional.cross_entropy(
            found["logits"].float().transpose(1, 2), found["labels"], ignore_index=self._padding, reduction="none"
        )
        return {
            str(Modality.IMAGE): found["image_features"],
            str(Modality.TEXT): found["text_features"],
            "caption_loss": losses.sum(dim=1),
            "caption_tokens": (found["labels"] != self._padding).sum(dim=1).float(),
        }

    def loss(self, model: nn.Module, features: Features, rows: Rows) -> Tensor:
        image, text = _unit(features, Modality.IMAGE), _unit(features, Modality.TEXT)
        contrast = self._loss(image, text, cast(open_clip.CLIP, model).logit_scale.exp())
        return contrast + self.WEIGHT * features["caption_loss"].sum() / features["caption_tokens"].sum()

    def after_step(self, model: nn.Module, done: float) -> None:
        clamp_logit_scales(model)


def logit_scales(model: nn.Module) -> dict[str, Tensor]:
    """The logarithms of the inverse temperatures by name: one of every CLIP, one a pair of modalities of `Towers`."""
    return {name: own for name, own in model.named_parameters() if name.startswith("logit_scale")}


@torch.no_grad()
def clamp_logit_scales(model: nn.Module) -> None:
    """Keep the inverse temperatures that are learned between 1 and 100, as CLIP does."""
    for scale in logit_scales(model).values():
        if scale.requires_grad:
            scale.clamp_(0, LARGEST_LOGIT_SCALE)


def _inputs(model: nn.Module, drawn: Drawn, device: str) -> tuple[Tensor, Tensor]:
    mean, std = normalisation(model)
    images = drawn.tensors[Modality.IMAGE].sub(mean).div_(std).to(device)
    return images, drawn.tensors[Modality.TEXT].to(device)


def _pictures_and_texts(model: nn.Module, drawn: Drawn, device: str) -> Features:
    images, tokens = _inputs(model, drawn, device)
    own = cast(open_clip.CLIP, model)
    return {str(Modality.IMAGE): own.encode_image(images), str(Modality.TEXT): own.encode_text(tokens)}


def _unit(features: Features, modality: Modality) -> Tensor:
    return functional.normalize(features[modality], dim=-1)
