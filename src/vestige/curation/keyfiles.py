"""Files that name samples: marks exported by the report, a JSON list, or a text with a key a line."""

import csv
import io
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from vestige.errors import VestigeError

HEADER = ["key", "mark"]
REJECT = "reject"
MARKS = (REJECT, "accept", "unsure")


@dataclass(frozen=True)
class NamedKeys:
    """Samples that a file names.

    Attributes:
        path: the file.
        keys: in its order, each once; of marks those that say `reject`.
        marks: how many samples have each mark; empty where the file has no marks.
    """

    path: Path
    keys: tuple[str, ...]
    marks: dict[str, int]


def read_keys(path: Path) -> NamedKeys:
    """The samples that a file names.

    Args:
        path: CSV with the header `key,mark`; else JSON (a list of texts) if it ends in `.json`; else a key a line.

    Raises:
        VestigeError: no such file, not UTF-8, an unknown mark, a sample marked in two ways, or no sample named.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise VestigeError(f"{path}: not UTF-8 (byte {error.start}): a file of keys is text") from error
    except OSError as error:
        raise VestigeError(f"{path}: {error.strerror}: name a file of keys") from error
    # Not splitlines: a key may hold signs that it takes for line ends.
    lines = text.replace("\r\n", "\n").split("\n")
    if path.suffix.lower() == ".json":
        found = NamedKeys(path, _from_json(path, text), {})
    elif [name.strip() for name in lines[0].split(",")] == HEADER:
        found = _from_marks(path, text)
    else:
        found = NamedKeys(path, tuple(dict.fromkeys(line for line in lines if line.strip())), {})
    if not found.keys:
        why = f"none of its {sum(found.marks.values())} marks is {REJECT!r}" if found.marks else "it has no keys"
        raise VestigeError(f"{path}: nothing is chosen: {why}")
    return found


def _from_json(path: Path, text: str) -> tuple[str, ...]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise VestigeError(f"{path}: not JSON ({' '.join(str(error).split())})") from error
    if not isinstance(value, list) or not all(isinstance(key, str) for key in value):
        raise VestigeError(f"{path}: a JSON list of keys, all texts, is expected")
    return tuple(dict.fromkeys(value))


def _from_marks(path: Path, text: str) -> NamedKeys:
    marks: dict[str, str] = {}
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        for row in reader:
            if reader.line_num == 1 or not row:
                continue
            if len(row) != 2 or row[1].strip() not in MARKS:
                raise VestigeError(
                    f"{path}: line {reader.line_num} is not a key and one of {', '.join(MARKS)}, but {','.join(row)!r}"
                )
            key, mark = row[0], row[1].strip()
            if marks.setdefault(key, mark) != mark:
                raise VestigeError(f"{path}: the sample {key!r} is marked {marks[key]} and {mark}: keep one")
    except csv.Error as error:
        raise VestigeError(f"{path}: line {reader.line_num} cannot be read as csv: {error}") from error
    rejected = tuple(key for key, mark in marks.items() if mark == REJECT)
    return NamedKeys(path, rejected, dict(Counter(marks.values())))
