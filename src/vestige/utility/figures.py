"""A figure: one number that says what a model is good for, with all that is needed to read it."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import pyarrow as pa

from vestige.utility.shares import Share

SCHEMA = pa.schema(
    {
        "model": pa.string(),
        "task": pa.string(),
        "data": pa.string(),
        "measure": pa.string(),
        "value": pa.float64(),
        "low": pa.float64(),
        "high": pa.float64(),
        "n": pa.int64(),
        "chance": pa.float64(),
        "seeds": pa.int64(),
    }
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of one model.

    Attributes:
        task: probe, zero-shot or retrieval.
        data: name of the source.
        measure: what the value is: "accuracy projector", "T@1 image->text".
        value: in [0, 1].
        low, high: 95% interval; None where it is unknown.
        n: samples, or queries, the value is a mean over.
        chance: what guessing gives; None where that is unknown.
        seeds: how many trainings of the probe the value is a mean over; 1 where nothing is drawn.
    """

    task: str
    data: str
    measure: str
    value: float
    low: float | None
    high: float | None
    n: int
    chance: float | None
    seeds: int

    @classmethod
    def of(cls, task: str, data: str, measure: str, share: Share, chance: float | None, *, seeds: int = 1) -> Self:
        """From a share with its interval."""
        low, high = (end if math.isfinite(end) else None for end in (share.low, share.high))
        return cls(task, data, measure, share.value, low, high, share.n, chance, seeds)


def rows_of(figures: Mapping[str, Iterable[Figure]]) -> list[dict[str, Any]]:
    """Figures by model as rows of `SCHEMA`."""
    return [{"model": model, **asdict(figure)} for model, own in figures.items() for figure in own]
