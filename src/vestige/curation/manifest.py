"""What went and why: a row for every sample of the data, written as it is made."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from vestige.files import replacing

ROWS = 65_536


class Row(NamedTuple):
    """What became of a sample.

    Attributes:
        key: of the sample.
        action: removed, recaptioned or kept.
        reason: why it was chosen; None where it was not.
        score, q_value: as it was ranked; None where it was not.
        rank: its place in the ranking, from 1.
    """

    key: str
    action: str
    reason: str | None
    score: float | None
    q_value: float | None
    rank: int | None


_SCHEMA = pa.schema(
    {
        "key": pa.string(),
        "action": pa.string(),
        "reason": pa.string(),
        "score": pa.float64(),
        "q_value": pa.float64(),
        "rank": pa.int64(),
    }
)


def write_manifest(path: Path, rows: Iterable[Row]) -> Counter[str]:
    """Write the rows as csv, or as Parquet if the name ends so; how many have each action."""
    actions: Counter[str] = Counter()
    with replacing(path) as temporary:
        if path.suffix == ".parquet":
            with pq.ParquetWriter(temporary, _SCHEMA, compression="zstd") as table:
                for part in _parts(rows, actions):
                    columns = dict(zip(_SCHEMA.names, zip(*part, strict=True), strict=True))
                    table.write_table(pa.table({name: list(own) for name, own in columns.items()}, schema=_SCHEMA))
        else:
            with temporary.open("w", encoding="utf-8", newline="") as lines:
                table = csv.writer(lines)
                table.writerow(_SCHEMA.names)
                for part in _parts(rows, actions):
                    table.writerows(part)
    return actions


def _parts(rows: Iterable[Row], actions: Counter[str]) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while part := list(islice(iterator, ROWS)):
        actions.update(row.action for row in part)
        yield part
