"""Figures of `vestige evaluate` on the terminal: a row a measure, a column a model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from vestige.printed import printable
from vestige.report.terminal import output


def show_figures(rows: Sequence[Mapping[str, Any]], directory: Path) -> None:
    """Print the figures, source by source, and where they were written."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    for data in dict.fromkeys(row["data"] for row in rows):
        table = Table(title=Text(f"{printable(data)} (95% intervals)"), title_justify="left")
        for name in ("task", "measure"):
            table.add_column(name)
        for name in (*models, "chance", "n"):
            table.add_column(Text(name), justify="right")
        own = [row for row in rows if row["data"] == data]
        for task, measure in dict.fromkeys((row["task"], row["measure"]) for row in own):
            by_model = {row["model"]: row for row in own if (row["task"], row["measure"]) == (task, measure)}
            first = next(iter(by_model.values()))
            cells = [_figure(by_model[model]) if model in by_model else "-" for model in models]
            guess = "-" if first["chance"] is None else f"{first['chance']:.2%}"
            table.add_row(task, measure, *cells, guess, f"{first['n']:,}")
        output.print(table)
    output.print(Text(f"written: {directory / 'evaluation.parquet'}, {directory / 'evaluation.json'}"))


def _figure(row: Mapping[str, Any]) -> str:
    if row["low"] is None:
        return f"{row['value']:.1%}"
    return f"{row['value']:.1%} [{row['low']:.1%}, {row['high']:.1%}]"
