"""`urbansound8k:DIR`: the table without the sounds that go; those that stay are linked to."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from vestige.curation.writers.changes import Changes, Origin, Written, no_captions_here, put
from vestige.curation.writers.rows import Dialect, copy_rows, header_of
from vestige.progress import progress
from vestige.samples import Modality


def write(origin: Origin, changes: Changes, out: Path) -> Written:
    """`metadata/UrbanSound8K.csv` and `audio/foldN/` again; rows that stay keep their bytes."""
    if changes.captions:
        raise no_captions_here(origin, "a caption is the name of the class")
    path, dialect = origin.place, Dialect()
    table = Path("metadata", "UrbanSound8K.csv")
    column = header_of(path / table, dialect).index("slice_file_name")

    def change(fields: Sequence[str]) -> Sequence[str] | None:
        key = PurePosixPath(fields[column].strip()).stem if len(fields) > column else None
        return None if changes.drops(key) else fields

    (out / table).parent.mkdir(parents=True)
    copy_rows(path / table, out / table, dialect, change)
    kept = [key for key in origin.source.keys() if not changes.drops(key)]
    with progress("writing sounds", len(kept)) as advance:
        for sample in origin.source.samples(kept):
            sound = sample.media[Modality.AUDIO]
            assert isinstance(sound, Path)
            put(sound, out / sound.relative_to(path), copy=changes.copy)
            advance()
    return Written("urbansound8k", options=origin.options)
