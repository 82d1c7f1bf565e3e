"""What stands behind Déjà Vu's numbers: for the samples with the largest gap, the public pictures each model retrieved.

The caption of a sample is embedded, and its nearest public samples vote for the objects of its picture. A model that
finds the objects of a picture it saw, where one that did not see it finds others, remembers the picture.
"""

from collections.abc import Mapping, Sequence

import pyarrow as pa
import torch

from vestige.alignments import Part
from vestige.data import Source
from vestige.data.media import UnreadableMedia, decode_picture
from vestige.designs import Role
from vestige.embeddings import Embeddings, all_keys, chosen_rows
from vestige.recovery import ObjectRecoveryTest
from vestige.report.pictures import thumbnail
from vestige.samples import Modality, Sample

SAMPLES = 12
"""How many samples are kept."""
NEIGHBOURS = 4
"""How many of the pictures that each model retrieved for them."""
SIDE = 128

SCHEMA = pa.schema(
    {
        "key": pa.string(),
        "model": pa.string(),
        "recall": pa.float64(),
        "precision": pa.float64(),
        "rank": pa.int32(),
        "distance": pa.float64(),
        "found": pa.string(),
        "caption": pa.string(),
        "objects": pa.list_(pa.string()),
        "picture": pa.binary(),
    }
)


def retrieved(
    scores: pa.Table, stores: Mapping[str, Embeddings], test: ObjectRecoveryTest, data: Source, public: Source
) -> pa.Table:
    """The samples that the first model recovers better than the others do, and what each model retrieved for them.

    Args:
        scores: the table of scores, with `dejavu_recall` and `dejavu_precision`.
        stores: the embeddings of the data by model.
        test: the test that gave the scores.
        data, public: the samples and the public samples.

    Returns:
        a row for each retrieved picture: `key` (of the sample), `model`, its `recall` and `precision` on the sample,
        `rank` from 1, `distance`, and of what was `found` its key, `caption`, `objects` and a small WebP `picture`,
        null where it has none. A row of rank 0 without a model is the sample itself. No rows where the first model
        recovers none of the candidates better.
    """
    keys = _largest_gaps(scores)
    if not keys:
        return SCHEMA.empty_table()
    names = all_keys(next(iter(stores.values())))
    place = {key: row for row, key in enumerate(names)}
    rows = [_row(sample, key=sample.key, rank=0) for sample in data.samples(keys)]
    for model, store in stores.items():
        tensors = chosen_rows(store, [place[key] for key in keys])
        recovery, _ = test.recover(Part(model, keys, tensors, {}, torch.full((len(keys),), -1)))
        nearest, distances = test.neighbours(model, tensors[Modality.TEXT])
        for at, key in enumerate(keys):
            found = [test.public_keys[row] for row in nearest[at, :NEIGHBOURS].tolist()]
            rows += [
                _row(
                    sample,
                    key=key,
                    model=model,
                    recall=float(recovery.recall[at]),
                    precision=float(recovery.precision[at]),
                    rank=rank,
                    distance=float(distances[at, rank - 1]),
                )
                for rank, sample in enumerate(public.samples(found), start=1)
            ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _largest_gaps(scores: pa.Table) -> Sequence[str]:
    """Keys of the candidates that the first model recovers better, the largest gap first; precision decides ties."""
    columns = scores.select(["key", "role", "dejavu_recall", "dejavu_precision"]).to_pylist()
    gaps = [
        (-row["dejavu_recall"], -(row["dejavu_precision"] or 0.0), at)
        for at, row in enumerate(columns)
        if row["role"] == Role.CANDIDATE and row["dejavu_recall"] is not None and row["dejavu_recall"] > 0
    ]
    return [columns[at]["key"] for *_, at in sorted(gaps)[:SAMPLES]]


def _row(sample: Sample, **told: object) -> dict[str, object]:
    return {
        "found": sample.key,
        "caption": next(iter(sample.captions), ""),
        "objects": list(sample.objects),
        "picture": _picture(sample),
        **told,
    }


def _picture(sample: Sample) -> bytes | None:
    if Modality.IMAGE not in sample.media:
        return None
    try:
        return thumbnail(decode_picture(sample.media[Modality.IMAGE]), SIDE)[0]
    except UnreadableMedia:
        return None
