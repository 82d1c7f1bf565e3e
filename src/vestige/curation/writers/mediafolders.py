"""`imagefolder:DIR`, `audiofolder:DIR`, `videofolder:DIR`: the same tree, and metadata without the rows that go."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vestige.curation.writers.changes import Changes, Origin, Written, no_captions_here, put
from vestige.curation.writers.folder import linked
from vestige.curation.writers.parquet import copy_groups, recaptioned
from vestige.curation.writers.rows import Dialect, Recaptioner, copy_rows, header_of
from vestige.data.formats.facts import Unusable, parse_object
from vestige.data.formats.filenames import walk_files
from vestige.data.formats.mediafolders import METADATA, MediaFolder, key_of
from vestige.progress import progress


def write(origin: Origin, changes: Changes, out: Path) -> Written:
    """Links to the media that stay, or copies of them; a row that stays keeps its bytes in csv and JSON lines."""
    source, path = cast(MediaFolder, origin.source), origin.place
    if changes.captions and source.captions is None:
        raise no_captions_here(origin, "no metadata file has a column of captions")
    captions = Recaptioner(changes)
    dropped, used = set[Path](), set[Path]()
    for key in source.keys():
        (dropped if changes.drops(key) else used).update(source.files(key))
    files = walk_files(path, follow=origin.options.get("links") == "follow", skipped=[])
    with progress("writing files", len(files)) as advance:
        for name, file in files.items():
            new = out / file.relative_to(path)
            if name.rpartition("/")[2] in METADATA:
                new.parent.mkdir(parents=True, exist_ok=True)
                _METADATA[file.suffix](file, new, name.rpartition("/")[0], changes, captions, source.captions or "")
            elif file in used or not (changes.keep or file in dropped):
                # A file that two samples share stays with the one that stays.
                put(file, new, copy=changes.copy)
            advance()
    return Written(origin.form, options=linked(origin, changes))


def _csv(file: Path, new: Path, folder: str, changes: Changes, captions: Recaptioner, column: str) -> None:
    dialect = Dialect()
    header = header_of(file, dialect)

    def change(fields: Sequence[str]) -> Sequence[str] | None:
        # Rows of another width tell of no sample.
        row = dict(zip(header, fields, strict=True)) if len(fields) == len(header) else {}
        key = key_of(row, folder)
        if changes.drops(key):
            return None
        return captions.row(key, fields, header.index(column)) if key in changes.captions and key else fields

    copy_rows(file, new, dialect, change)


def _json_lines(file: Path, new: Path, folder: str, changes: Changes, captions: Recaptioner, column: str) -> None:
    with file.open("rb") as lines, new.open("wb") as out:
        for line in lines:
            try:
                row = cast(dict[str, Any], parse_object(line, "the line"))
                key = key_of(row, folder)
            except Unusable:
                row, key = {}, None
            if changes.drops(key):
                continue
            if key in changes.captions and key:
                texts = changes.captions[key] if isinstance(row.get(column), list) else captions.next(key)
                if texts is None:
                    continue
                row[column] = texts
                line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
            out.write(line)


def _parquet(file: Path, new: Path, folder: str, changes: Changes, captions: Recaptioner, column: str) -> None:
    def kept(group: pa.Table, first: int) -> tuple[NDArray[np.bool_], pa.Table]:
        names = [name for name in group.column_names if name == "file_name" or name.endswith("_file_name")]
        rows: list[Mapping[str, object]] = group.select(names).to_pylist()
        keys = [key_of(row, folder) for row in rows]
        several = not pa.types.is_string(group.schema.field(column).type) if column else False
        texts = {
            row: changes.captions[key] if several else tuple(filter(None, [captions.next(key)]))
            for row, key in enumerate(keys)
            if key is not None and key in changes.captions
        }
        stay = [not changes.drops(key) and texts.get(row) != () for row, key in enumerate(keys)]
        return np.array(stay, np.bool_), recaptioned(group, (column,), texts)

    copy_groups(file, new, kept)


_METADATA = {".csv": _csv, ".jsonl": _json_lines, ".parquet": _parquet}
