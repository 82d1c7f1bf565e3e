"""What the models of a finished run are good for, as one list: its own retrieval, and what `vestige evaluate` added."""

from dataclasses import dataclass

from vestige.files import read_table
from vestige.finished import FinishedRun

EVALUATION = "evaluation.parquet"


@dataclass(frozen=True)
class Figure:
    """One measure of one model.

    Attributes:
        model: whose.
        task: retrieval, probe, zero-shot, ...
        data: on what.
        measure: as `T@1` or `accuracy`; higher is better.
        value: what was measured.
        low, high: its 95% interval, or None.
        n: over how many samples, or None.
        chance: what guessing gives, or None.
    """

    model: str
    task: str
    data: str
    measure: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    chance: float | None = None

    @property
    def subject(self) -> tuple[str, str, str, str]:
        """What makes two figures of two runs comparable."""
        return self.model, self.task, self.data, self.measure


def usefulness(run: FinishedRun) -> list[Figure]:
    """The figures of a run; empty where it has none."""
    return [*_held_out(run), *_evaluated(run)]


def _held_out(run: FinishedRun) -> list[Figure]:
    found = run.summary.get("retrieval")
    if not found:
        return []
    return [
        Figure(model, "retrieval", "held-out pairs", rate, value, n=found["n"], chance=found["chance"].get(rate))
        for model, rates in found["models"].items()
        for rate, value in rates.items()
    ]


def _evaluated(run: FinishedRun) -> list[Figure]:
    path = run.directory / EVALUATION
    if not path.exists():
        return []
    rows = read_table(path, ["model", "task", "data", "measure", "value", "low", "high", "n", "chance"]).to_pylist()
    return [Figure(**row) for row in rows if row["value"] is not None]
