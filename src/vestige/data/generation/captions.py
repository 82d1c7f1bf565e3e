"""Generated captions on disk, and the source that has them beside its own."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from vestige.data import Source
from vestige.data.adapted import Adapted
from vestige.data.matching import matching
from vestige.errors import VestigeError
from vestige.files import read_table
from vestige.samples import Sample

SCHEMA = pa.schema(
    {
        "key": pa.string(),
        "captions": pa.list_(pa.string()),
        "provenance": pa.string(),
        "reason": pa.string(),
    }
)
"""A row a sample: its new captions, what made them, and why there are fewer than asked for (else null)."""


def with_captions(source: Source, path: Path) -> Source:
    """The source with the captions of a file after each sample's own.

    Captions are the same in training and in evaluation from then on: `Sample.generated` says which of them were made
    by a machine, and by which ("caption 2": provenance; captions count from 1).

    Args:
        source: the samples.
        path: Parquet with the columns `key, captions, provenance`, as `vestige caption` writes it.

    Raises:
        VestigeError: not such a file, a key occurs twice in it, or it has no key of the source.
    """
    entries = read_captions(path)
    matching(str(path), entries, source.keys())

    def change(sample: Sample) -> Sample:
        captions, provenance = entries.get(sample.key, ((), ""))
        new = [caption for caption in captions if caption not in sample.captions]
        first = len(sample.captions) + 1
        made = {f"caption {first + place}": provenance for place in range(len(new))}
        return replace(sample, captions=(*sample.captions, *new), generated={**sample.generated, **made})

    return Adapted(source, change)


def read_captions(path: Path) -> dict[str, tuple[tuple[str, ...], str]]:
    """By key, the captions of a file and what made them.

    Raises:
        VestigeError: not such a file, or a key occurs twice in it.
    """
    if not path.is_file():
        raise VestigeError(f"{path}: {'not a file' if path.exists() else 'no such file of captions'}")
    try:
        table = read_table(path)
        missing = [name for name in SCHEMA.names[:3] if name not in table.column_names]
        if missing:
            found = ", ".join(table.column_names)
            raise VestigeError(f"{path}: captions lie in the columns key, captions, provenance; found {found}")
        columns = [table[name].cast(SCHEMA.field(name).type).to_pylist() for name in SCHEMA.names[:3]]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise VestigeError(f"{path}: not a Parquet table of key, captions (lists of text), provenance") from error
    entries: dict[str, tuple[tuple[str, ...], str]] = {}
    for key, captions, provenance in zip(*columns, strict=True):
        if key is None or key in entries:
            raise VestigeError(f"{path}: {'a row has no key' if key is None else f'the key {key!r} occurs twice'}")
        texts = tuple(dict.fromkeys(text.strip() for text in captions or () if text and text.strip()))
        entries[key] = (texts, provenance or "unknown")
    return entries
