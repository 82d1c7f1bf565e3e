"""How memorization and the training loss went from epoch to epoch."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt

from vestige.files import read_table
from vestige.report.charts import lines
from vestige.report.section import Section

EPOCHS, LOGS = "epochs.parquet", "tensorboard"
COLUMNS = ["epoch", "role", "metric", "mean", "low", "high"]
# More points than a screen has room for are thinned.
MOST_POINTS = 500


def memorization_by_epoch(directory: Path) -> list[Section]:
    """A chart for each score of `epochs.parquet`, a line a role, and for each rate of retrieval, a line a model."""
    if not (directory / EPOCHS).exists():
        return []
    rows = [row for row in read_table(directory / EPOCHS, COLUMNS).to_pylist() if row["mean"] is not None]
    metrics = dict.fromkeys(row["metric"] for row in rows)
    scores = [metric for metric in metrics if "@" not in metric]
    rates = dict.fromkeys(metric.rpartition(" ")[2] for metric in metrics if "@" in metric)
    return [
        *(_memorization(metric, [row for row in rows if row["metric"] == metric]) for metric in scores),
        *(_retrieval(rate, [row for row in rows if row["metric"].rpartition(" ")[2] == rate]) for rate in rates),
    ]


def _retrieval(rate: str, rows: Sequence[dict[str, Any]]) -> Section:
    of_models = [row | {"model": row["metric"].rpartition(" ")[0]} for row in rows]
    return Section(
        title=f"Retrieval over the epochs: {rate}",
        note=f"{rate} of each model on the held-out samples after each epoch that was scored, with its 95% interval.",
        specification=lines(
            sorted(of_models, key=lambda row: (row["model"], row["epoch"])),
            across=alt.X("epoch:Q", axis=alt.Axis(title="epoch", tickMinStep=1)),
            up=alt.Y("mean:Q", axis=alt.Axis(title=rate)),
            series="model",
            legend="model",
        ),
    )


def _memorization(metric: str, rows: Sequence[dict[str, Any]]) -> Section:
    return Section(
        title=f"Memorization over the epochs: {metric}",
        note=(
            f"Mean {metric} of each role after each epoch that was scored, with its 95% interval over samples. Where"
            " candidates part from external samples, memorization begins."
        ),
        specification=lines(
            sorted(rows, key=lambda row: (row["role"], row["epoch"])),
            across=alt.X("epoch:Q", axis=alt.Axis(title="epoch", tickMinStep=1)),
            up=alt.Y("mean:Q", axis=alt.Axis(title=f"mean {metric}")),
            series="role",
            legend="role",
        ),
    )


def training_loss(directory: Path) -> list[Section]:
    """The loss that training logged for TensorBoard, with a line for each model."""
    rows = [
        {"model": folder.name, "step": step, "loss": loss, "low": None, "high": None}
        for folder in sorted((directory / LOGS).glob("*/"))
        for step, loss in _thinned(_scalars(folder, "loss"))
    ]
    if not rows:
        return []
    return [
        Section(
            title="Training loss",
            note="Mean loss of each epoch, as training logged it. It is of the samples trained on, augmented.",
            specification=lines(
                rows,
                across=alt.X("step:Q", axis=alt.Axis(title="training step", format="~s")),
                up=alt.Y("loss:Q", axis=alt.Axis(title="loss"), scale=alt.Scale(zero=False)),
                series="model",
                legend="model",
            ),
        )
    ]


def _scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    """(step, value) of what was logged under a tag; what a killed run logged twice counts once."""
    # Imported here: a report without logs needs none of it.
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    # 0 keeps all scalars; the default keeps a random part.
    log = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    log.Reload()
    if tag not in log.Tags()["scalars"]:
        return []
    found = {event.step: event.value for event in log.Scalars(tag)}
    return sorted((step, value) for step, value in found.items() if math.isfinite(value))


def _thinned(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """At most `MOST_POINTS` of them, evenly spaced, the last one always."""
    every = math.ceil(len(points) / MOST_POINTS)
    return points[::-1][:: max(every, 1)][::-1]
