"""Names of objects from a file beside the data, for Deja Vu: what a label set, a detector or a person says is there."""

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from vestige.data import Source
from vestige.data.adapted import Adapted
from vestige.data.matching import matching
from vestige.data.vocabulary import Vocabulary, read_synonyms
from vestige.errors import VestigeError
from vestige.files import read_table
from vestige.progress import say
from vestige.samples import Sample

_LABELS = ("labels", "objects", "label", "object")
_SCORES = ("scores", "score")


@dataclass(frozen=True)
class Objects:
    """The objects of samples, by key, normalised.

    Attributes:
        names: names of objects by key, each once, in the order of the file.
        below: labels left out because of their score.
        merges: names that several spellings became, with how often each spelling occurs.
        skipped: (place, reason) of what of the file could not be used.
    """

    names: Mapping[str, tuple[str, ...]]
    below: int
    merges: Mapping[str, Mapping[str, int]]
    skipped: tuple[tuple[str, str], ...]


def with_objects(source: Source, path: Path, *, threshold: float = 0.0, synonyms: Path | None = None) -> Source:
    """The source with the objects of a file in place of its own; a sample without an entry keeps those it has.

    What does not meet, what was merged and what was left out is counted and said.

    Args:
        source: the samples.
        path: see `read_objects`.
        threshold: least score of a label that counts; labels without a score count.
        synonyms: see `vestige.data.vocabulary.read_synonyms`.

    Raises:
        VestigeError: either file cannot be used, or has nothing to do with the source.
    """
    objects = read_objects(path, threshold=threshold, synonyms=synonyms)
    matching(str(path), objects.names, source.keys())
    if objects.merges or objects.below or objects.skipped:
        spellings = sum(len(counts) for counts in objects.merges.values())
        say(
            f"{path}: {spellings:,} spellings became {len(objects.merges):,} names; {objects.below:,} labels below the"
            f" threshold {threshold:g}; {len(objects.skipped):,} entries cannot be used"
            + (f", the first: {': '.join(objects.skipped[0])}" if objects.skipped else "")
        )

    def change(sample: Sample) -> Sample:
        return replace(sample, objects=objects.names.get(sample.key, sample.objects))

    return Adapted(source, change)


def read_objects(path: Path, *, threshold: float = 0.0, synonyms: Path | None = None) -> Objects:
    """Read a file of labels.

    Args:
        path: one of
            `.json`: {key: [label, ...]}, {key: {label: score}}, or a list of records with `key`, `labels` and perhaps
            `scores`; `.jsonl`: such a record a line; `.csv`: columns `key, label` and perhaps `score`, a label a row
            (several joined by semicolons); `.parquet`: columns `key, labels` and perhaps `scores`, a sample a row.
        threshold: least score of a label that counts; labels without a score count.
        synonyms: file of synonyms.

    Raises:
        VestigeError: no such file, none of these forms, or nothing usable in it.
    """
    if not 0 <= threshold <= 1:
        raise VestigeError(f"objects: the threshold is a score from 0 to 1, not {threshold}")
    if not path.is_file():
        raise VestigeError(f"{path}: {'not a file' if path.exists() else 'no such file of objects'}")
    vocabulary = Vocabulary() if synonyms is None else read_synonyms(synonyms)
    found: dict[str, list[str]] = {}
    skipped: list[tuple[str, str]] = []
    below = 0
    for place, key, labels in _entries(path):
        if key is None:
            skipped.append((place, "has no key"))
            continue
        names = found.setdefault(key, [])
        for label, score in labels:
            if not isinstance(label, str) or not vocabulary.name(label):
                skipped.append((place, f"the label {str(label)[:60]!r} is no name"))
            elif score is not None and not math.isfinite(score):
                skipped.append((place, f"the score of {label!r} is {score}"))
            elif score is not None and score < threshold:
                below += 1
            else:
                names.append(label)
    if not found:
        raise VestigeError(f"{path}: has no entries of objects")
    every = [label for labels in found.values() for label in labels]
    names = {key: tuple(dict.fromkeys(map(vocabulary.name, labels))) for key, labels in found.items()}
    return Objects(names, below, vocabulary.merges(every), tuple(skipped))


_Entry = tuple[str, str | None, Sequence[tuple[Any, float | None]]]
"""(place in the file, key, labels with their scores)."""


def _entries(path: Path) -> Iterator[_Entry]:
    readers = {".json": _json, ".jsonl": _json_lines, ".csv": _csv, ".parquet": _parquet}
    if path.suffix.lower() not in readers:
        raise VestigeError(f"{path}: objects are read from files that end in {', '.join(readers)}")
    try:
        yield from readers[path.suffix.lower()](path)
    except VestigeError:
        raise
    except (ValueError, csv.Error, pa.ArrowException, RecursionError) as error:
        line = " ".join(str(error).split())
        raise VestigeError(f"{path}: objects cannot be read: {line[:200]}") from error


def _json(path: Path) -> Iterator[_Entry]:
    read = json.loads(path.read_text(encoding="utf-8-sig"))
    if isinstance(read, list):
        for number, record in enumerate(read, 1):
            yield _record(path, f"record {number}", record)
    elif isinstance(read, dict):
        for key, value in read.items():
            yield f"key {key!r}", key, _scored(value, None)
    else:
        raise ValueError("expected a mapping of keys to labels, or a list of records")


def _json_lines(path: Path) -> Iterator[_Entry]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _record(path, f"line {number}", json.loads(line))


def _csv(path: Path) -> Iterator[_Entry]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        _columns(path, reader.fieldnames or ())
        for row in reader:
            place = f"line {reader.line_num}"
            _, key, labels = _record(path, place, row)
            parts = [(part.strip(), score) for label, score in labels for part in str(label or "").split(";")]
            yield place, key, [(part, score) for part, score in parts if part]


def _parquet(path: Path) -> Iterator[_Entry]:
    table = read_table(path)
    wanted = [name for name in table.column_names if name in ("key", *_LABELS, *_SCORES)]
    _columns(path, table.column_names)
    number = 0
    for batch in table.select(wanted).to_batches():
        for record in batch.to_pylist():
            number += 1
            yield _record(path, f"row {number}", record)


def _columns(path: Path, found: Sequence[str]) -> None:
    if "key" not in found or not any(name in found for name in _LABELS):
        raise VestigeError(
            f"{path}: a table of objects has the columns key, labels and perhaps scores; found {', '.join(found)}"
        )


def _record(path: Path, place: str, record: Any) -> _Entry:
    if not isinstance(record, dict):
        raise VestigeError(f"{path}: {place} is {str(record)[:60]!r}: expected a record with key and labels")
    labels = next((record[name] for name in _LABELS if name in record), ())
    scores = next((record[name] for name in _SCORES if name in record), None)
    key = record.get("key")
    return place, None if key is None or key == "" else str(key), _scored(labels, scores)


def _scored(labels: Any, scores: Any) -> Sequence[tuple[Any, float | None]]:
    """Labels with scores, of any form; what is no number is no score, and shown as NaN."""
    if isinstance(labels, dict):
        return [(label, _score(score)) for label, score in labels.items()]
    if not isinstance(labels, list | tuple):
        return [] if labels is None else [(labels, _score(scores))]
    if scores is None:
        return [(label, None) for label in labels]
    if not isinstance(scores, list | tuple) or len(scores) != len(labels):
        return [(label, math.nan) for label in labels]
    return [(label, _score(score)) for label, score in zip(labels, scores, strict=True)]


def _score(value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
