"""The table of scores as CSV that a spreadsheet may open: texts of the data are text there, never formulas.

A spreadsheet runs a cell that begins with = + - or @ (CWE-1236), whatever quotes the file has around it. Such texts,
and those that begin with an apostrophe already, get an apostrophe in front: a spreadsheet shows the text and does not
run it, and a program that takes one leading apostrophe off every text has the original back. Numbers are never changed.
Where every byte counts, `scores.parquet` has the texts as they are.
"""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from vestige.files import replacing

# Also as full-width signs, and after what a spreadsheet skips: tab, carriage return, line feed.
STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n", "'")
BATCH = 10_000


def write_csv(table: pa.Table, out: Path) -> None:
    """Write a table as UTF-8 with a header; null is an empty cell, truth is `true` or `false`."""
    with replacing(out) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(map(safe, table.column_names))
        for batch in table.to_batches(max_chunksize=BATCH):
            lines.writerows(_rows(batch))


def safe(value: Any) -> Any:
    """A cell; a text that a spreadsheet would take for a formula is led by an apostrophe."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.lstrip(" ").startswith(STARTS):
        return f"'{value}"
    return value


def _rows(batch: pa.RecordBatch) -> Iterable[list[Any]]:
    columns = [column.to_pylist() for column in batch.columns]
    return ([safe(value) for value in row] for row in zip(*columns, strict=True))
