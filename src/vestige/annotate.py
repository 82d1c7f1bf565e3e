"""Objects in the pictures of a collection, found by a detector, for Deja Vu."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from vestige.data import open_source
from vestige.data.generation.describing import readable_pictures
from vestige.detectors import Detector, open_detector
from vestige.errors import VestigeError
from vestige.files import digest
from vestige.samples import Sample
from vestige.shards import table_in_shards

SCHEMA = pa.schema(
    {
        "key": pa.string(),
        "labels": pa.list_(pa.string()),
        "scores": pa.list_(pa.float32()),
        "boxes": pa.list_(pa.list_(pa.float32())),
        "provenance": pa.string(),
        "reason": pa.string(),
    }
)
"""A row a sample: what was found, best first, where (left, top, right, bottom in pixels), and why nothing could be."""


@dataclass(frozen=True)
class AnnotateConfig:
    """Find the objects in every picture of a collection and write them into one file."""

    data: str
    """The samples: twemoji, csv:FILE, folder:DIR."""
    detector: Path
    """A checkpoint of a torchvision architecture (.safetensors, .pt), or a folder of a transformers detector."""
    out: Path = Path("objects.parquet")
    """The file."""
    threshold: float = 0.5
    """Least score of an object that is written down."""
    labels: Path | None = None
    """Names, one a line: a checkpoint's classes, what a zero-shot detector looks for, or what to keep of another's."""
    architecture: str | None = None
    """Of a torchvision checkpoint, for example fasterrcnn_resnet50_fpn_v2."""
    batch_size: int = 8
    """Pictures at once."""
    shard: int = 256
    """Samples that are written down together; what is lost by a kill."""
    options: dict[str, str] = field(default_factory=dict)
    """Options of data, for example image_column path."""
    device: str = "cpu"
    """Where the detector runs."""


@dataclass(frozen=True)
class AnnotateResult:
    """What was written.

    Attributes:
        out: the file.
        samples: samples of the data.
        objects: objects found in all of them.
        skipped: (key, reason) of the samples whose picture cannot be read.
        provenance: what found them.
    """

    out: Path
    samples: int
    objects: int
    skipped: tuple[tuple[str, str], ...]
    provenance: str

    @property
    def summary(self) -> Mapping[str, Any]:
        """The same in numbers, with how many samples have each reason."""
        return {
            "out": str(self.out),
            "samples": self.samples,
            "objects": self.objects,
            "skipped": len(self.skipped),
            "reasons": dict(Counter(reason for _, reason in self.skipped).most_common()),
            "provenance": self.provenance,
        }


def annotate(config: AnnotateConfig) -> AnnotateResult:
    """Write the file of objects, or go on with it.

    Raises:
        VestigeError: the settings do not fit, or no picture can be read.
    """
    if not 0 <= config.threshold <= 1 or config.batch_size < 1 or config.shard < 1:
        raise VestigeError("annotate: the threshold is a score from 0 to 1, batch_size and shard are at least 1")
    labels = None if config.labels is None else read_labels(config.labels)
    source = open_source(config.data, **config.options)
    detector = open_detector(config.detector, architecture=config.architecture, labels=labels, device=config.device)

    def records(keys: Sequence[str]) -> list[dict[str, Any]]:
        samples = source.samples(keys)
        every: list[dict[str, Any]] = []
        while batch := list(islice(samples, config.batch_size)):
            every += _rows(detector, batch, config.threshold)
        return every

    table = table_in_shards(
        config.out,
        label="finding objects",
        about={
            "detector": detector.provenance,
            "threshold": config.threshold,
            "labels": digest(*(labels or ())),
            "batch_size": config.batch_size,
        },
        keys=source.keys(),
        schema=SCHEMA,
        shard=config.shard,
        records=records,
    )
    rows = zip(table["key"].to_pylist(), table["reason"].to_pylist(), strict=True)
    skipped = tuple((key, reason) for key, reason in rows if reason is not None)
    if len(skipped) == len(table):
        config.out.unlink()
        raise VestigeError(f"no picture of {len(table)} can be read; the first reason: {(skipped or [('', '')])[0][1]}")
    found = sum(len(names) for names in table["labels"].to_pylist())
    return AnnotateResult(config.out, len(table), found, skipped, detector.provenance)


def read_labels(path: Path) -> list[str]:
    """Names, one a line; empty lines are left out.

    Raises:
        VestigeError: no such file, not text, nothing in it, or a name twice.
    """
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise VestigeError(f"labels: {path}: cannot be read as text: {' '.join(str(error).split())}") from error
    twice = [name for name, count in Counter(names).items() if count > 1 and name != "N/A"]
    if twice or not names:
        raise VestigeError(f"labels: {path}: {f'{twice[0]!r} stands there twice' if twice else 'holds no names'}")
    return names


def _rows(detector: Detector, samples: Sequence[Sample], threshold: float) -> list[dict[str, Any]]:
    pictures, reasons = readable_pictures(samples)
    found = iter(detector.detect(pictures, threshold) if pictures else ())
    rows: list[dict[str, Any]] = []
    for sample, reason in zip(samples, reasons, strict=True):
        objects = next(found) if reason is None else []
        rows.append(
            {
                "key": sample.key,
                "labels": [one.label for one in objects],
                "scores": [one.score for one in objects],
                "boxes": [list(one.box) for one in objects],
                "provenance": detector.provenance,
                "reason": reason,
            }
        )
    return rows
