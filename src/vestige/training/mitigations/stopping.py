"""Stopping early, by a rule on held-out samples that is the same for all models that are trained in step.

With `patience` p, training stops after epoch t when no epoch after t - p was better than the best until then:

    t - argbest_(u <= t) v(u) >= p,    v the mean over the models of the held-out loss, or of minus the retrieval rate
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """How long training goes on without getting better; advanced by `seen`, never changed.

    Attributes:
        epochs: without a better value after which training stops.
        best: the lowest value.
        best_epoch: when that was, counted from 1; 0 for never.
        last_epoch: the last epoch that was seen.
    """

    epochs: int
    best: float = float("inf")
    best_epoch: int = 0
    last_epoch: int = 0

    def seen(self, epoch: int, value: float) -> "Patience":
        """After another epoch; equal is not better, and NaN never is."""
        if value < self.best:
            return Patience(self.epochs, value, epoch, epoch)
        return Patience(self.epochs, self.best, self.best_epoch, epoch)

    @property
    def over(self) -> bool:
        """Whether it is time to stop."""
        return self.last_epoch - self.best_epoch >= self.epochs
