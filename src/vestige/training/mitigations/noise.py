"""Gaussian noise on embeddings while training (Wang et al., "Captured by Captions", ICLR 2025, section 4.6, Table 8).

    before, absolute    x' = x + sigma e                        e ~ N(0, 1) for each coordinate
    before, relative    x' = x + sigma |x| / sqrt(d) e          |noise| / |x| is about sigma, whatever the norm of x
    after               the same with x / |x| in the place of x

The paper adds "small Gaussian noise to text embeddings before computing cosine similarity": to the encoder's output,
before the cosine normalises it, so `before` and `absolute` are the default. A fixed sigma means different things for
embeddings of different norms, so the noise-to-signal ratio |noise| / |x| is measured. In each case the loss compares
the noisy embeddings by their cosine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from vestige.data.examples import Rows
from vestige.samples import Modality
from vestige.training.mitigations.around import Around
from vestige.training.mitigations.notes import Notes
from vestige.training.objectives import Features, Objective


@dataclass(frozen=True)
class EmbeddingNoise:
    """Gaussian noise on embeddings, for any training loop.

    Attributes:
        sigma: standard deviation of a coordinate (`absolute`), or a multiple of the embedding's root mean square
            (`relative`).
        place: "before" normalisation, or "after" it.
        scale: "absolute" or "relative".
    """

    sigma: float
    place: Literal["before", "after"] = "before"
    scale: Literal["absolute", "relative"] = "absolute"

    def __call__(self, embeddings: Tensor, normals: Tensor | None = None) -> Tensor:
        """Noisy embeddings, [B, d].

        Args:
            embeddings: what the encoder gives, [B, d], of any norm.
            normals: standard normal numbers [B, d]; drawn from torch's generator of the processor when not given, so
                `torch.manual_seed` decides them on every device.
        """
        if normals is None:
            normals = torch.randn(embeddings.shape)
        return self._signal(embeddings) + self._noise(embeddings, normals)

    def ratio(self, embeddings: Tensor, normals: Tensor) -> Tensor:
        """The noise-to-signal ratio |noise| / |x| of every embedding, [B]."""
        noise, signal = self._noise(embeddings, normals), self._signal(embeddings)
        return (noise.norm(dim=-1) / signal.norm(dim=-1)).detach()

    def _signal(self, embeddings: Tensor) -> Tensor:
        return functional.normalize(embeddings, dim=-1) if self.place == "after" else embeddings

    def _noise(self, embeddings: Tensor, normals: Tensor) -> Tensor:
        noise = self.sigma * normals.to(embeddings)
        if self.scale == "absolute":
            return noise
        # Not detached: what is made of x then does not depend on its norm, and no gradient lets the norm grow.
        return noise * self._signal(embeddings).norm(dim=-1, keepdim=True) / embeddings.shape[-1] ** 0.5


class Noisy(Around):
    """An objective whose loss sees noisy embeddings.

    The noise of a sample depends on the seed of the step and on the sample's slot: models that are trained in step see
    the same noise on the samples they share, and chunks and processes change nothing.

    Args:
        inner: the objective.
        noises: by modality.
        notes: is told the noise-to-signal ratio as `<name>/<modality>` and, of how many, `<name>/<modality>/count`.
        chosen: the samples that are noised, bool [N]; all when not given.
        name: what notes are called.
    """

    def __init__(
        self,
        inner: Objective,
        noises: Mapping[Modality, EmbeddingNoise],
        notes: Notes,
        *,
        chosen: Tensor | None = None,
        name: str = "noise",
    ) -> None:
        super().__init__(inner)
        self._noises, self._notes, self._chosen, self._name = noises, notes, chosen, name

    def loss(self, model: nn.Module, features: Features, rows: Rows) -> Tensor:
        noisy = {
            str(modality): self._noised(modality, noise, features[modality], rows)
            for modality, noise in self._noises.items()
            if str(modality) in features
        }
        return self.inner.loss(model, {**features, **noisy}, rows)

    def _noised(self, modality: Modality, noise: EmbeddingNoise, embeddings: Tensor, rows: Rows) -> Tensor:
        # Drawn for all slots of the batch, also those of other models alone and of samples without this modality.
        normals = torch.randn(rows.width, embeddings.shape[-1])[rows.places]
        own = torch.ones(len(rows), dtype=torch.bool) if self._chosen is None else self._chosen[rows.positions]
        has = rows.present.get(modality)
        if has is not None:
            normals, own = normals[has], own[has]
        name, ratios = f"{self._name}/{modality}", noise.ratio(embeddings, normals)
        own = own.to(embeddings.device)
        self._notes.add({name: float(ratios[own].sum()), f"{name}/count": float(own.sum())})
        return torch.where(own[:, None], noise(embeddings, normals), embeddings)
