"""What is left of utility when the samples at the top of a ranking are taken out and the model is trained again."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import altair as alt
import torch

from vestige.files import read_table
from vestige.metrics import mean_interval
from vestige.report.charts import lines
from vestige.report.section import Section

CURVE = "curve.parquet"
COLUMNS = ["ranking", "removed", "seed", "measure", "value", "low", "high"]


def utility_when_removed(directory: Path) -> list[Section]:
    """A chart for each measure of `curve.parquet`, with a line for each ranking."""
    if not (directory / CURVE).exists():
        return []
    # Rows without a seed are means of the others, which are taken here.
    whole = read_table(directory / CURVE, COLUMNS).to_pylist()
    rows = [row for row in whole if row["value"] is not None and row["seed"] is not None]
    measures = dict.fromkeys(row["measure"] for row in rows)
    return [_section(measure, [row for row in rows if row["measure"] == measure]) for measure in measures]


def _section(measure: str, rows: Sequence[dict[str, Any]]) -> Section:
    points = sorted({(row["ranking"], row["removed"]) for row in rows})
    found = [
        {"ranking": ranking, "removed": removed}
        | _over_seeds([row for row in rows if (row["ranking"], row["removed"]) == (ranking, removed)])
        for ranking, removed in points
    ]
    seeds = len({row["seed"] for row in rows})
    band = f"over {seeds} seeds (Student's t)" if seeds > 1 else "over the samples that are tested; there is one seed"
    return Section(
        title=f"Utility when samples are removed: {measure}",
        note=(
            f"{measure} of a model that was trained again without the samples at the top of a ranking, against how many"
            f" were removed. The band is the 95% interval {band}. A ranking that finds what the model does not need"
            " stays above random removal."
        ),
        specification=lines(
            found,
            across=alt.X("removed:Q", axis=alt.Axis(title="samples removed", format="~s")),
            up=alt.Y("value:Q", scale=alt.Scale(zero=False), axis=alt.Axis(title=measure)),
            series="ranking",
            legend="removed by",
        ),
    )


def _over_seeds(rows: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """The mean over seeds with its interval; of one seed, what it says of itself."""
    if len(rows) == 1:
        return {name: rows[0][name] for name in ("value", "low", "high")}
    found = mean_interval(torch.tensor([row["value"] for row in rows], dtype=torch.float64))
    return {"value": fmean(row["value"] for row in rows), "low": found.low, "high": found.high}
