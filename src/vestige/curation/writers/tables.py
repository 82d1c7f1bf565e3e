"""`csv:FILE`: the same table without the rows of samples that go."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from vestige.curation.writers.changes import Changes, Origin, Written
from vestige.curation.writers.rows import Dialect, Recaptioner, copy_rows
from vestige.data.formats.tables import CaptionTable

# Rows whose pictures are looked for from the new place.
LOOKED_AT = 64


def write(origin: Origin, changes: Changes, out: Path) -> Written:
    """Header, dialect and order stay; rows that stay keep their bytes."""
    table, path = cast(CaptionTable, origin.source), origin.place
    columns = table.columns
    captions, pictures = Recaptioner(changes), list[str]()

    def change(fields: Sequence[str]) -> Sequence[str] | None:
        key = fields[columns.key].strip() if fields else None
        if changes.drops(key):
            return None
        if fields and len(pictures) < LOOKED_AT:
            pictures.append(fields[columns.picture].strip())
        return captions.row(key, fields, columns.caption) if key in changes.captions and key else fields

    copy_rows(path, out, Dialect(columns.separator, columns.encoding), change)
    return Written("csv", options=origin.options, notes=moved(pictures, path.parent, out.parent))


def moved(paths: Sequence[str], old: Path, new: Path) -> tuple[str, ...]:
    """A note, where paths lead from the old table's folder and from nowhere else."""
    lost = [path for path in paths if (old / path).exists() and not (new / path).exists() and not Path(path).exists()]
    if not lost:
        return ()
    return (f"its paths ({lost[0]}, ...) lead from {old}: move the table there, or name paths from where you stand",)
