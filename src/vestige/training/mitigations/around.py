"""An objective around another: what mitigations that change one half of it are made of."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from vestige.data.examples import Drawn, Examples, Rows
from vestige.data.views import View
from vestige.training.objectives import Features, Objective


class Around:
    """Does what the inner objective does; a subclass overrides what it changes.

    Args:
        inner: the objective.
    """

    def __init__(self, inner: Objective) -> None:
        self.inner = inner

    def draw(self, examples: Examples, positions: NDArray[np.int64], view: View) -> tuple[Drawn, ...]:
        return self.inner.draw(examples, positions, view)

    def features(self, model: nn.Module, views: Sequence[Drawn], device: str) -> Features:
        return self.inner.features(model, views, device)

    def loss(self, model: nn.Module, features: Features, rows: Rows) -> Tensor:
        return self.inner.loss(model, features, rows)

    def after_step(self, model: nn.Module, done: float) -> None:
        self.inner.after_step(model, done)
