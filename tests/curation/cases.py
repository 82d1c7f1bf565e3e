"""Tables of scores that nobody had to train for."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from vestige.data import Source
from vestige.samples import Modality, Sample


def scores(keys: Sequence[str], values: Sequence[float | None] | None = None, **columns: Sequence[object]) -> pa.Table:
    """A table of scores; without values the samples are memorized the more the later they stand."""
    own = list(range(len(keys))) if values is None else list(values)
    table = {"key": pa.array(keys, pa.string()), "group": pa.array(keys, pa.string())}
    table |= {"memorization": pa.array(own, pa.float64())}
    return pa.table(table | {name: pa.array(list(column)) for name, column in columns.items()})


def written_scores(path: Path, keys: Sequence[str], **columns: Sequence[object]) -> Path:
    pq.write_table(scores(keys, None, **columns), path)
    return path


def contents(source: Source) -> Mapping[str, tuple[object, ...]]:
    """All that samples hold, by key, media as their bytes."""
    return {sample.key: facts(sample) for sample in source.samples(source.keys())}


def facts(sample: Sample) -> tuple[object, ...]:
    media = {modality: _bytes(sample.media[modality]) for modality in Modality if modality in sample.media}
    return sample.group, sample.captions, sample.label, sample.objects, media


def _bytes(medium: object) -> object:
    return medium.read_bytes() if isinstance(medium, Path) else medium
