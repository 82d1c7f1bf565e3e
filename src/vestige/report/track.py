"""A common scale: small drawings side by side are compared only if they share one."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

# Part of the length kept free at either end, for what is drawn around a value.
MARGIN = 3.0


@dataclass(frozen=True)
class Track:
    """A horizontal scale.

    Attributes:
        low, high: the values at its ends.
    """

    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Self:
        """The scale that just holds these values; None is left out."""
        known = [value for value in values if value is not None]
        return cls(min(known, default=0.0), max(known, default=0.0))

    def place(self, value: float) -> float:
        """Where a value lies, in percent of the length; the middle where there is but one value."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(MARGIN + (100 - 2 * MARGIN) * share, 2)
