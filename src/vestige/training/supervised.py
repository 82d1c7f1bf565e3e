"""What classifiers learn: the cross-entropy of the label, or of every class for samples with any number of them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vestige.data.examples import Drawn, Examples, Rows
from vestige.data.labels import Labels
from vestige.data.views import View
from vestige.samples import Modality
from vestige.training.objectives import Features


class Classification:
    """The mean over samples of -log softmax(z)_y; or over samples and classes of the binary cross-entropy.

    Args:
        labels: of all samples, by their position in the data.
    """

    def __init__(self, labels: Labels) -> None:
        self._labels = labels

    def draw(self, examples: Examples, positions: NDArray[np.int64], view: View) -> tuple[Drawn, ...]:
        return (examples.draw(positions, view),)

    def features(self, model: nn.Module, views: Sequence[Drawn], device: str) -> Features:
        return {"logits": model(views[0].tensors[Modality.IMAGE].to(device))}

    def loss(self, model: nn.Module, features: Features, rows: Rows) -> Tensor:
        logits = features["logits"]
        targets = self._labels.targets[rows.positions].to(logits.device)
        if self._labels.several:
            return functional.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype))
        return functional.cross_entropy(logits, targets)

    def after_step(self, model: nn.Module, done: float) -> None:
        """Nothing: the optimizer's step is all."""
