"""`parquet:FILES`: the same files, schema and row groups without the rows of samples that go."""

from collections.abc import Callable, Mapping
from os.path import commonpath
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vestige.curation.writers.changes import Changes, Origin, Written, no_captions_here
from vestige.curation.writers.tables import LOOKED_AT, moved
from vestige.data.formats.parquet import ParquetTable
from vestige.progress import progress

Kept = Callable[[pa.Table, int], tuple[NDArray[np.bool_], pa.Table]]
"""From a row group and the number of its first row to the rows that stay, and the group, changed or not."""


def write(origin: Origin, changes: Changes, out: Path) -> Written:
    """Row group by row group; keys that are numbers of rows change with them."""
    source = cast(ParquetTable, origin.source)
    files, columns = source.files, source.columns
    if changes.captions and not columns.captions:
        raise no_captions_here(origin, "no column holds captions")
    alone = origin.place.is_file()
    folder = Path(commonpath([path.absolute().parent for path in files]))
    paths = list[str]()

    def kept(path: Path) -> Kept:
        def of_group(group: pa.Table, first: int) -> tuple[NDArray[np.bool_], pa.Table]:
            keys: list[str] = columns.keys(group, f"{path.stem}:", first).to_pylist()
            stay = np.array([not changes.drops(key) for key in keys], np.bool_)
            new = {row: changes.captions[key] for row, key in enumerate(keys) if key in changes.captions}
            for column in columns.media.values() if len(paths) < LOOKED_AT else ():
                values = group[column].slice(0, LOOKED_AT).to_pylist()
                paths.extend(value for value in values if isinstance(value, str))
            return stay, recaptioned(group, columns.captions, new)

        return of_group

    with progress("writing Parquet files", len(files)) as advance:
        for path in files:
            new = out if alone else out / path.absolute().relative_to(folder)
            new.parent.mkdir(parents=True, exist_ok=True)
            copy_groups(path, new, kept(path))
            advance()
    renumbered = "" if columns.key else "without a key column a key is the file's name and the row's number"
    notes = moved(paths, files[0].parent, out.parent if alone else out)
    return Written("parquet", options=origin.options, renumbered=renumbered, notes=notes)


def copy_groups(path: Path, out: Path, kept: Kept) -> None:
    """Write a Parquet file anew, a row group at a time, with its schema, metadata and compression."""
    with pq.ParquetFile(path) as file:
        metadata, first = file.metadata, 0
        # Of every column; the signature of the library knows of one for all.
        codecs: Any = "snappy"
        if metadata.num_row_groups:
            group = metadata.row_group(0)
            described = (group.column(place) for place in range(group.num_columns))
            codecs = {column.path_in_schema: _codec(column.compression) for column in described}
        with pq.ParquetWriter(out, file.schema_arrow, compression=codecs) as writer:
            for number in range(file.num_row_groups):
                table = file.read_row_group(number)
                rows, changed = kept(table, first)
                first += len(table)
                if rows.any():
                    part = changed if rows.all() else changed.filter(pa.array(rows))
                    writer.write_table(part, row_group_size=max(len(part), 1))


def recaptioned(table: pa.Table, columns: tuple[str, ...], captions: Mapping[int, tuple[str, ...]]) -> pa.Table:
    """The table with new captions in some rows: a list takes all, the j-th of several columns of text the j-th."""
    if not captions:
        return table
    for place, column in enumerate(columns):
        field = table.schema.field(column)
        values: list[Any] = table[column].to_pylist()
        for row, texts in captions.items():
            several = pa.types.is_list(field.type) or pa.types.is_large_list(field.type)
            own = texts if place == 0 else ()
            values[row] = list(own) if several else next(iter(texts[place : place + 1]), None)
        table = table.set_column(table.schema.get_field_index(column), field, pa.array(values, field.type))
    return table


def _codec(name: str) -> str:
    return "none" if name == "UNCOMPRESSED" else name.lower()
