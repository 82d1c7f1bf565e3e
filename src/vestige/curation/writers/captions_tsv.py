"""`tsv:FILE`: CC3M's and YFCC100M's tables without the rows of samples that go."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from vestige.curation.writers.changes import Changes, Origin, Written
from vestige.curation.writers.rows import Dialect, Recaptioner, copy_rows
from vestige.data.formats.captions_tsv import CaptionTsv


def write(origin: Origin, changes: Changes, out: Path) -> Written:
    """Rows go; but where pictures are named after the number of their row, the row stays without its caption.

    Else all pictures behind it would belong to the row before theirs. A row without a caption is no sample.
    """
    table = cast(CaptionTsv, origin.source)
    layout, captions, row = table.layout, Recaptioner(changes), -1

    def change(fields: Sequence[str]) -> Sequence[str] | None:
        nonlocal row
        if not fields:
            return None if changes.drops(None) else fields
        row += 1
        key = table.key_of(row, fields)
        if changes.drops(key):
            return _emptied(fields, layout.captions) if table.naming == "number" else None
        if key not in changes.captions:
            return fields
        found = captions.row(key, fields, layout.captions[0])
        # YFCC's other text would be a caption beside the new one.
        return found and [*_emptied(found, layout.captions[1:])]

    dialect = Dialect("\t", quoted=False, headed=table.headed)
    copy_rows(table.path, out, dialect, change)
    # Pictures are looked for below the table's folder, which is another now.
    options = {**origin.options, "pictures": str(table.pictures.resolve()), "naming": table.naming}
    counted = layout.photo is None and table.naming != "number"
    return Written(
        "tsv",
        options=options,
        renumbered="a key is the number of a row, and rows have gone" if counted else "",
        notes=("rows of samples that went stay, without a caption: pictures are named after the number of their row",)
        if table.naming == "number" and not changes.captions
        else (),
    )


def _emptied(fields: Sequence[str], columns: Sequence[int]) -> list[str]:
    return ["" if place in columns else field for place, field in enumerate(fields)]
