"""The summary of a run or of a table of scores on the terminal."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vestige.printed import printable
from vestige.scorefiles import ScoredFiles

# Captions and paths are text, not markup, and are copied from the terminal: nothing is coloured or wrapped by guess.
output = Console(highlight=False, soft_wrap=True)

SHOWN = 5
CAPTION_WIDTH = 80
SUSPICION = "suspicion"
GAPS = ("ppg", "prg", "aucg")


def show(summary: Mapping[str, Any], scores: pa.Table, *, report: Path | None = None) -> None:
    """Print what was found: the roles, the planted samples, the most memorized captions, retrieval.

    Args:
        summary: `vestige.summary.summarise`.
        scores: the table it is of.
        report: path of the report, named last.
    """
    metric = summary["metric"]
    contrasted = any(found["n"] for found in summary["roles"].values())
    if contrasted:
        output.print(_roles(summary))
    for line in (*_findings(summary), *(f"warning: {warning}" for warning in summary["warnings"])):
        output.print(Text(line))
    if contrasted:
        output.print(_highest("most memorized", metric, scores, ("candidate", "mixed")))
    elif SUSPICION in scores.column_names:
        # One model, or models that saw the same: what such a run can tell is which captions are wrong.
        output.print(_highest("most suspicious", SUSPICION, scores, ("shared",)))
    if report is not None:
        output.print(Text(f"report: {report}"))


def show_scores(scored: ScoredFiles) -> None:
    """Print what scoring found, metric by metric, and where it was written."""
    if "roles" in scored.summary:
        show(scored.summary, scored.table)
    if len(scored.summary.get("means", {})) > 1:
        output.print(_means(scored.summary["means"]))
    for model, layers in scored.summary.get("units", {}).items():
        output.print(_layers(model, layers))
    population = (scored.summary.get("dejavu") or {}).get("population", {})
    for role, found in population.items():
        gaps = ", ".join(f"{name.upper()} {_signed(found[name])} (se {found[f'{name}_se']:.3f})" for name in GAPS)
        output.print(f"dejavu, {found['n']} {role} samples with objects: {gaps}")
    for path in scored.written:
        output.print(Text(f"written: {path}"))


def _means(means: Mapping[str, Mapping[str, Any]]) -> Table:
    """A row a score, the mean of every role with its interval."""
    roles = list(dict.fromkeys(role for found in means.values() for role in found))
    table = Table(title="means and 95% intervals by role", title_justify="left")
    table.add_column("score")
    for role in roles:
        table.add_column(role, justify="right")
    for name, found in means.items():
        cells = [f"{_signed(of['mean'])} {_interval(of['low'], of['high'])}" for of in found.values()]
        table.add_row(name, *(cell.strip() for cell in cells))
    return table


def _layers(model: str, layers: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title=f"UnitMem of {model} by layer", title_justify="left")
    table.add_column("layer")
    for name in ("units", "dead", "outside [0, 1]", "mean"):
        table.add_column(Text(name), justify="right")
    for layer in layers:
        mean = "-" if layer["mean"] is None else f"{layer['mean']:.3f}"
        table.add_row(layer["layer"], str(layer["units"]), str(layer["dead"]), str(layer["outside"]), mean)
    return table


def _roles(summary: Mapping[str, Any]) -> Table:
    models = " minus ".join(summary["models"]) if len(summary["models"]) == 2 else "seen minus not seen"
    table = Table(title=f"{summary['metric']} ({models})", title_justify="left")
    table.add_column("role")
    for name in ("samples", "mean", "95% interval"):
        table.add_column(name, justify="right")
    for role, found in summary["roles"].items():
        table.add_row(role, f"{found['n']:,}", _signed(found["mean"]), _interval(found["low"], found["high"]))
    return table


def _findings(summary: Mapping[str, Any]):
    if (planted := summary["planted"]) is not None:
        clean = _interval(planted["clean_low"], planted["clean_high"])
        yield (
            f"planted faults ({planted['n']}): {_signed(planted['mean'])}"
            f" {_interval(planted['low'], planted['high'])}; the other candidates: {_signed(planted['clean_mean'])}"
            f" {clean}; AUC {planted['auc']:.3f} {_interval(planted['auc_low'], planted['auc_high'], sign='')}"
        )
    if (found := summary["memorized"]) is not None:
        yield f"memorized at a false discovery rate of {found['fdr']:g}: {found['count']} of {found['of']} candidates"
    if (found := summary["retrieval"]) is not None:
        shown_rates = [rate for rate in found["chance"] if rate.endswith(("@1", "@5"))]
        for name, rates in found["models"].items():
            shown = ", ".join(f"{rate} {rates[rate]:.1%} (chance {found['chance'][rate]:.1%})" for rate in shown_rates)
            yield f"retrieval of {name} among {found['n']} held-out pairs: {shown}"


def _highest(title: str, metric: str, scores: pa.Table, roles: Sequence[str]) -> Table:
    """The samples of these roles that score highest."""
    rows = [
        row
        for row in scores.select([metric, "role", "caption", "key", "planted"]).to_pylist()
        if row[metric] is not None and row["role"] in roles
    ]
    table = Table(title=title, title_justify="left")
    for name in (metric, "caption", "key", "planted"):
        table.add_column(name, overflow="fold")
    for row in sorted(rows, key=lambda row: -row[metric])[:SHOWN]:
        caption, key = Text(printable(row["caption"], CAPTION_WIDTH)), Text(printable(row["key"], None))
        table.add_row(_signed(row[metric]), caption, key, "planted" if row["planted"] else "")
    return table


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"


def _interval(low: float | None, high: float | None, *, sign: str = "+") -> str:
    return "" if low is None or high is None else f"[{low:{sign}.3f}, {high:{sign}.3f}]"
