"""Writers of cleaned sets, one a format: the same format again, without the samples that go.

A writer never touches what it reads. What it does not have to change it copies byte for byte; files that stay as they
are (media) are linked to, or copied where that is asked for.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from vestige.curation.writers import (
    builtin,
    captions_tsv,
    coco,
    datacomp,
    folder,
    huggingface,
    mediafolders,
    msrvtt,
    parquet,
    tables,
    urbansound8k,
    webdataset,
)
from vestige.curation.writers.changes import Changes, Origin, Written

__all__ = ["WRITERS", "Changes", "Origin", "Written", "writer_of"]

Writer = Callable[[Origin, Changes, Path], Written]

WRITERS: Mapping[str, Writer] = {
    "audiofolder": mediafolders.write,
    "coco": coco.write,
    "csv": tables.write,
    "datacomp": datacomp.write,
    "folder": folder.write,
    "hf": huggingface.write,
    "imagefolder": mediafolders.write,
    "msrvtt": msrvtt.write,
    "parquet": parquet.write,
    "tsv": captions_tsv.write,
    "urbansound8k": urbansound8k.write,
    "videofolder": mediafolders.write,
    "webdataset": webdataset.write,
}
"""By name of the format; the built-in collections share one writer."""


def writer_of(form: str) -> Writer:
    """The writer of a format, or of a built-in collection."""
    return WRITERS.get(form, builtin.write)
