"""What the models are still good for: the table of `vestige evaluate` as rows of figures."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from vestige.report.text import finite

COLUMNS = ("model", "task", "data", "measure", "value", "low", "high", "n", "chance")


def figures(table: pa.Table) -> dict[str, Any]:
    """Rows of figures, a column a model.

    Args:
        table: a row a figure, with the columns `COLUMNS`.

    Returns:
        `models`, their names; `rows`, each with `task, data, measure, chance, n` and `figures`, in the order of the
        models, each with `value, low, high`.

    Raises:
        ValueError: a column is missing.
    """
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise ValueError(f"evaluation: found no column {', '.join(missing)} among {', '.join(table.column_names)}")
    entries = table.select(list(COLUMNS)).to_pylist()
    models = list(dict.fromkeys(entry["model"] for entry in entries))
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for entry in entries:
        named = {name: entry[name] for name in ("task", "data", "measure")}
        row = rows.setdefault(tuple(named.values()), named | {"chance": None, "n": None, "by model": {}})
        row["chance"], row["n"] = finite(entry["chance"]), entry["n"]
        row["by model"][entry["model"]] = {name: finite(entry[name]) for name in ("value", "low", "high")}
    return {"models": models, "rows": [_ordered(row, models) for row in rows.values()]}


def _ordered(row: dict[str, Any], models: Sequence[str]) -> dict[str, Any]:
    nothing = {"value": None, "low": None, "high": None}
    found = row.pop("by model")
    return row | {"figures": [found.get(model, nothing) for model in models]}
