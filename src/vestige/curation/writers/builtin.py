"""Built-in collections: what stays of them, as a list of keys, a table of captions, and Parquet that can be opened."""

import csv
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL.Image import Image as Picture

from vestige.curation.writers.changes import Changes, Origin, Written
from vestige.progress import progress
from vestige.samples import Media, Modality, Sample

MEDIA = tuple(modality for modality in Modality if modality != Modality.TEXT)
ROWS = 256


def write(origin: Origin, changes: Changes, out: Path) -> Written:
    """`keys.txt` (a key a line), `captions.csv` (key, caption: a row a caption), and `samples.parquet` with all of it.

    Media in the Parquet are the bytes of the collection's files; pictures that a collection holds decoded are PNG.
    """
    out.mkdir()
    kept = [key for key in origin.source.keys() if not changes.drops(key)]
    (out / "keys.txt").write_text("".join(f"{key}\n" for key in kept), encoding="utf-8")
    schema = pa.schema(
        {"key": pa.string(), "group": pa.string(), "captions": pa.list_(pa.string()), "label": pa.string()}
        | {"objects": pa.list_(pa.string())}
        | {str(modality): pa.binary() for modality in MEDIA}
    )
    with (
        (out / "captions.csv").open("w", encoding="utf-8", newline="") as lines,
        pq.ParquetWriter(out / "samples.parquet", schema, compression="zstd") as table,
        progress("writing samples", len(kept)) as advance,
    ):
        captions = csv.writer(lines)
        captions.writerow(("key", "caption"))
        for start in range(0, len(kept), ROWS):
            samples = list(origin.source.samples(kept[start : start + ROWS]))
            rows = [_row(sample, changes.captions.get(sample.key, sample.captions)) for sample in samples]
            texts = ((sample.key, changes.captions.get(sample.key, sample.captions)) for sample in samples)
            captions.writerows((key, text) for key, own in texts for text in own)
            table.write_table(pa.Table.from_pylist(rows, schema=schema))
            advance(len(rows))
    return Written("parquet", "samples.parquet")


def _row(sample: Sample, captions: tuple[str, ...]) -> dict[str, object]:
    return {
        "key": sample.key,
        "group": sample.group,
        "captions": list(captions),
        "label": sample.label,
        "objects": list(sample.objects),
        **{str(modality): _bytes(medium) for modality, medium in sample.media.items()},
    }


def _bytes(medium: Media) -> bytes:
    if isinstance(medium, Picture):
        stream = io.BytesIO()
        medium.save(stream, "PNG")
        return stream.getvalue()
    return medium.read_bytes() if isinstance(medium, Path) else medium
