"""`vestige curve`: what taking out samples does to the models of a run."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import pyarrow as pa
import tyro
from rich import box
from rich.console import Console
from rich.table import Table

from vestige.curation.curve import CurveConfig, curve
from vestige.verbs.parsing import parsed


def main(arguments: Sequence[str]) -> None:
    @dataclass(frozen=True)
    class Arguments:
        config: Annotated[CurveConfig, tyro.conf.arg(name="")]
        json: Annotated[bool, tyro.conf.arg(help="print the table as JSON")] = False

    # A run is named without a flag, as for every verb: vestige curve RUN --removed 0,50,100.
    named = ["--run", *arguments] if arguments and not arguments[0].startswith("-") else list(arguments)
    chosen = parsed(Arguments, named, "vestige curve RUN")
    table = curve(chosen.config)
    if chosen.json:
        print(json.dumps(table.to_pylist()))
    else:
        _show(table)
        print(f"all points: {chosen.config.run / 'curve.parquet'}")


def _show(table: pa.Table) -> None:
    """Means over seeds with half their intervals, a row a point; the table has measures that are left out here."""
    means = [row for row in table.to_pylist() if row["seed"] is None]
    measures = [name for name in dict.fromkeys(row["measure"] for row in means) if _is_shown(name)]
    shown = Table("ranking", "removed", *measures, box=box.SIMPLE)
    for place in dict.fromkeys((row["ranking"], row["removed"]) for row in means):
        own = {row["measure"]: row for row in means if (row["ranking"], row["removed"]) == place}
        shown.add_row(place[0], str(place[1]), *(_cell(own[name]) if name in own else "" for name in measures))
    Console().print(shown)


def _is_shown(measure: str) -> bool:
    """Of rates of retrieval those at 1, of classification the accuracy over samples."""
    if measure.startswith(("probe ", "zero-shot ")):
        return " mean class accuracy" not in measure and " top-5 accuracy" not in measure
    return "@" not in measure or "@1 " in measure


def _cell(row: Mapping[str, float | None]) -> str:
    if row["high"] is None or row["value"] is None:
        return f"{row['value']:.3f}"
    return f"{row['value']:.3f} ±{row['high'] - row['value']:.3f}"
