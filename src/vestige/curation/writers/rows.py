"""Rows of a text table as they stand in the file, each with its bytes: what is not changed is copied as it is."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vestige.curation.writers.changes import Changes
from vestige.progress import progress

# Bytes between two looks at the progress bar.
SHOWN = 2**20


@dataclass(frozen=True)
class Dialect:
    """How a table is written.

    Attributes:
        separator: one character.
        encoding: as the source reads it.
        quoted: whether fields may be quoted.
        headed: whether the first line is a header.
    """

    separator: str = ","
    encoding: str = "utf-8"
    quoted: bool = True
    headed: bool = True


Change = Callable[[Sequence[str]], Sequence[str] | None]
"""From the fields of a row (none for a blank line) to themselves, to other fields, or to None to leave the row out."""


def copy_rows(path: Path, out: Path, dialect: Dialect, change: Change) -> None:
    """Write a table anew, a row at a time; rows that the change gives back as they came keep their bytes."""
    size = path.stat().st_size
    with path.open("rb") as file, out.open("wb") as new, progress(f"writing {path.name} (bytes)", size) as advance:
        pieces, done = _pieces(file, dialect.encoding), 0
        if dialect.headed:
            header, _ = next(pieces, (b"", ""))
            new.write(header)
            done = len(header)
        for raw, fields in _rows(pieces, dialect):
            done += len(raw)
            if done > SHOWN:
                advance(done)
                done = 0
            found = change(fields)
            if found is fields:
                new.write(raw)
            elif found is not None:
                new.write(_line(found, raw, dialect))
        advance(done)


def header_of(path: Path, dialect: Dialect) -> list[str]:
    """The fields of the first line."""
    with path.open("rb") as file:
        _, text = next(_pieces(file, dialect.encoding), (b"", ""))
    return next(csv.reader([text.removeprefix("\ufeff")], delimiter=dialect.separator), [])


class Recaptioner:
    """New captions for rows that hold one each: a sample's first row gets its first new caption, and so on.

    A sample with more rows than new captions loses those rows; with fewer, the other captions are left out.
    """

    def __init__(self, changes: Changes) -> None:
        self._captions = changes.captions
        self._given: Counter[str] = Counter()

    def next(self, key: str) -> str | None:
        """The caption of the next row of a sample that gets new ones; None where there is none left."""
        place = self._given[key]
        self._given[key] += 1
        own = self._captions[key]
        return own[place] if place < len(own) else None

    def row(self, key: str, fields: Sequence[str], column: int) -> list[str] | None:
        """The row with the caption in place of its own."""
        caption = self.next(key)
        return None if caption is None else [*fields[:column], caption, *fields[column + 1 :]]


def _rows(pieces: Iterator[tuple[bytes, str]], dialect: Dialect) -> Iterator[tuple[bytes, list[str]]]:
    taken: list[bytes] = []

    def lines() -> Iterator[str]:
        for raw, text in pieces:
            taken.append(raw)
            yield text

    quoting = csv.QUOTE_MINIMAL if dialect.quoted else csv.QUOTE_NONE
    for fields in csv.reader(lines(), delimiter=dialect.separator, quoting=quoting):
        yield b"".join(taken), fields
        taken.clear()


def _pieces(file: BinaryIO, encoding: str) -> Iterator[tuple[bytes, str]]:
    """Lines with their bytes. Bytes that are no text come as halves of surrogate pairs, which no key has."""
    for raw in file:
        text = raw.decode(encoding, "surrogateescape")
        if "\r" not in text or (text.endswith("\r\n") and text.count("\r") == 1):
            yield raw, text
            continue
        for piece in io.StringIO(text, newline=""):
            yield piece.encode(encoding, "surrogateescape"), piece


def _line(fields: Sequence[str], raw: bytes, dialect: Dialect) -> bytes:
    end = raw[len(raw.rstrip(b"\r\n")) :].decode("ascii")
    if not dialect.quoted:
        text = dialect.separator.join(" ".join(field.split()) for field in fields) + end
    else:
        line = io.StringIO()
        csv.writer(line, delimiter=dialect.separator, lineterminator=end).writerow(fields)
        text = line.getvalue()
    return text.encode(dialect.encoding, "surrogateescape")
