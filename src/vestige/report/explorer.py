"""A run as one Parquet that embedding explorers open: scores, captions, embeddings and small pictures, a row a sample.

Pictures are structs of `bytes` and `path`, as Hugging Face's data sets hold them; embeddings are lists of floats.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from vestige.embeddings import EmbeddingStore, all_keys, chosen_rows
from vestige.files import replacing
from vestige.finished import FinishedRun
from vestige.progress import progress
from vestige.report.pictures import thumbnail

SIDE = 192
BATCH = 500
PICTURE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
EMBEDDING = pa.list_(pa.float32())


def write_explorer_table(run: FinishedRun, out: Path) -> None:
    """Write the table of scores with `picture` and, for every model and modality, `<modality>_<model>`.

    Samples that were not embedded have null there, and those without a picture a null picture.
    """
    stores = {name: EmbeddingStore(run.directory / "embeddings" / name) for name in run.summary["models"]}
    schema = run.scores.schema.append(pa.field("picture", PICTURE))
    for name, store in stores.items():
        for modality in store.modalities:
            schema = schema.append(pa.field(f"{modality}_{name}", EMBEDDING))
    with (
        replacing(out) as temporary,
        pq.ParquetWriter(temporary, schema.remove_metadata(), compression="zstd") as file,
        progress("writing samples", len(run.scores)) as advance,
    ):
        for batch in _batches(run, stores):
            file.write_table(batch.cast(schema.remove_metadata()))
            advance(len(batch))


def _batches(run: FinishedRun, stores: Mapping[str, EmbeddingStore]) -> Iterator[pa.Table]:
    picture = run.pictures()
    places = {name: {key: row for row, key in enumerate(all_keys(store))} for name, store in stores.items()}
    for start in range(0, len(run.scores), BATCH):
        part = run.scores.slice(start, BATCH)
        keys = part["key"].to_pylist()
        small = [None if (found := picture(key)) is None else thumbnail(found, SIDE)[0] for key in keys]
        held = [None if data is None else {"bytes": data, "path": None} for data in small]
        part = part.append_column("picture", pa.array(held, PICTURE))
        for name, store in stores.items():
            there = [places[name].get(key) for key in keys]
            tensors = chosen_rows(store, [place for place in there if place is not None])
            for modality in store.modalities:
                found = iter(tensors[modality].float().tolist() if modality in tensors else ())
                column = [None if place is None else next(found) for place in there]
                part = part.append_column(f"{modality}_{name}", pa.array(column, EMBEDDING))
        yield part
