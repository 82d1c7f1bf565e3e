"""Tables of picture paths and captions: OpenCLIP's csv."""

import csv
import os
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vestige.data.formats.keyed import HashIndex, RowKeys, key_hash
from vestige.data.formats.rows import Block, RowFile, checked_encoding, first_line
from vestige.errors import VestigeError
from vestige.samples import Modality, Sample

SEPARATORS = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}
CHOICES = {
    "repeated_keys": ("error", "merge"),
    "empty_captions": ("error", "skip"),
    "undecodable": ("error", "skip"),
}


@dataclass(frozen=True, slots=True)
class TableColumns:
    """How a table is written, and the places of its columns: of the key, the picture's path and the caption."""

    separator: str
    encoding: str
    key: int
    picture: int
    caption: int


class CaptionTable:
    """A table with a header, one picture and caption a row: OpenCLIP's csv (`filepath<TAB>title`).

    The key is the path as written in the table; relative paths are looked up from the table's folder, then from
    the current one. Rows stay on disk: in memory is their place and the hash of their key, 20 bytes a row.

    Args:
        path: the table.
        image_column, caption_column: names of the columns.
        key_column: column with the key, instead of the path.
        group_column: column with the group (samples that must be seen together), instead of the key.
        objects_column: column with the objects in the picture, joined by semicolons.
        separator: one character or "tab"; found from the header when not given.
        repeated_keys: "error", or "merge" to take the captions of rows with one key as captions of one sample.
        empty_captions: "error", or "skip" to leave out rows with an empty caption.
        encoding: of the table.
        undecodable: "error", or "skip" to leave out rows whose bytes are no text in this encoding.
    """

    def __init__(
        self,
        path: Path,
        image_column: str = "filepath",
        caption_column: str = "title",
        key_column: str | None = None,
        group_column: str | None = None,
        objects_column: str | None = None,
        separator: str | None = None,
        repeated_keys: str = "error",
        empty_captions: str = "error",
        encoding: str = "utf-8",
        undecodable: str = "error",
    ) -> None:
        self._folder, self._name = str(path.parent), f"csv:{path}"
        given = {"repeated_keys": repeated_keys, "empty_captions": empty_captions, "undecodable": undecodable}
        for option, value in given.items():
            if value not in CHOICES[option]:
                raise self._error(f"{option} is one of {', '.join(CHOICES[option])}, not {value!r}")
        if not path.is_file():
            raise self._error("not a file" if path.exists() else "no such file")
        encoding = checked_encoding(self._name, encoding)
        header, begin = first_line(path, self._name, encoding)
        sign = self._separator(header, separator)
        columns = next(csv.reader([header], delimiter=sign), [])
        key_column = image_column if key_column is None else key_column
        group_column = key_column if group_column is None else group_column
        named = {
            "image_column": image_column,
            "caption_column": caption_column,
            "key_column": key_column,
            "group_column": group_column,
            "objects_column": objects_column,
        }
        at = _positions(self._name, columns, sign, named)
        self._picture, self._caption = at["image_column"], at["caption_column"]
        self._key, self._group, self._objects = at["key_column"], at["group_column"], at.get("objects_column")
        self._file = RowFile(
            path, self._name, sign, len(columns), begin, line=1, encoding=encoding, undecodable=undecodable
        )
        self._skip_empty, self._merge = empty_captions == "skip", repeated_keys == "merge"
        self._empty, self._undecodable = array("q"), array("q")
        self._starts, self._index, self._firsts = self._indexed()
        self._keys = RowKeys(self._file, self._firsts, self._key)

    @property
    def columns(self) -> TableColumns:
        return TableColumns(self._file.separator, self._file.encoding, self._key, self._picture, self._caption)

    def __len__(self) -> int:
        return len(self._firsts)

    def keys(self) -> Sequence[str]:
        return self._keys

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        if keys is self._keys and len(self._firsts) == len(self._starts):
            # All of them, a row each, in the order of the file: none needs to be looked up.
            yield from self._in_order()
            return
        with self._file.reading() as row:
            for key, numbers in self._index.candidates(keys):
                rows = [fields for fields in map(row, self._starts[numbers].tolist()) if fields[self._key] == key]
                if not rows:
                    raise KeyError(key)
                first, captions = rows[0], tuple(fields[self._caption] for fields in rows)
                objects = "" if self._objects is None else first[self._objects]
                yield self._sample(key, first[self._group], first[self._picture], captions, objects)

    def _in_order(self) -> Iterator[Sample]:
        columns = (self._key, self._group, self._picture, self._caption)
        for block in self._file.blocks():
            low, high = np.searchsorted(self._starts, (block.starts[0], block.end)) if block.starts.size else (0, 0)
            rows = np.searchsorted(block.starts, self._starts[low:high]).tolist()
            # A column once, though keys are often paths and groups keys: cutting it out takes as long as a sample.
            values = {column: block.column(column) for column in {*columns, self._objects} if column is not None}
            keys, groups, pictures, captions = (values[column] for column in columns)
            objects = None if self._objects is None else values[self._objects]
            for row in rows:
                named = "" if objects is None else objects[row]
                yield self._sample(keys[row], groups[row], pictures[row], (captions[row],), named)

    def skipped(self) -> Sequence[tuple[str, str]]:
        """The rows left out, by their line, and why."""
        empty = [(line, "the caption is empty") for line in self._empty]
        no_text = [(line, f"the bytes are not {self._file.encoding}") for line in self._undecodable]
        return [(f"line {line}", reason) for line, reason in sorted(empty + no_text)]

    def _error(self, message: str) -> VestigeError:
        return VestigeError(f"{self._name}: {message}")

    def _sample(self, key: str, group: str, picture: str, captions: tuple[str, ...], named: str) -> Sample:
        objects = tuple(dict.fromkeys(name.strip() for name in named.split(";") if name.strip())) if named else ()
        return Sample(key, group, {Modality.IMAGE: self._found(picture)}, captions, objects=objects)

    def _found(self, picture: str) -> Path:
        # Strings: making and joining `Path`s takes longer than all else about a row.
        beside = os.path.join(self._folder, picture)  # noqa: PTH118
        return Path(beside if os.path.exists(beside) else picture)  # noqa: PTH110

    def _indexed(self) -> tuple[NDArray[np.int64], HashIndex, NDArray[np.int64]]:
        """Where the rows start, their index by key, and where the first row of each key starts."""
        places, hashes, others = array("q"), array("q"), array("q")
        for block in self._file.blocks():
            self._undecodable.extend(block.undecodable)
            rows, keys, others_of_rows = self._usable(block)
            places.frombytes(block.starts[rows].tobytes())
            hashes.extend(map(key_hash, keys))
            others.extend(map(key_hash, others_of_rows))
        starts = np.frombuffer(places, np.int64)
        if not starts.size:
            raise self._error("the table has no rows with a caption")
        index = HashIndex(np.frombuffer(hashes, np.int64))
        del hashes, places
        if not self._merge:
            self._refuse_repeats(starts, index)
            return starts, index, starts
        apart = self._told_apart(starts, index.disagreeing(np.frombuffer(others, np.int64)))
        del others
        firsts = index.firsts()
        firsts = np.union1d(firsts, np.array(apart, firsts.dtype)) if apart else firsts
        return starts, index, starts if len(firsts) == len(starts) else starts[firsts]

    def _usable(self, block: Block) -> tuple[NDArray[np.int64], list[str], list[str]]:
        """The rows of a block that have a caption, their keys, and, to be merged, what rows of one key must share."""
        pictures, captions = block.column(self._picture), block.column(self._caption)
        keys = pictures if self._key == self._picture else block.column(self._key)
        groups = keys if self._group == self._key else block.column(self._group)
        for name, values in (("path", pictures), ("key", keys), ("group", groups)):
            if not all(values):
                line = block.lines[values.index("")]
                raise self._error(f"line {line} has no {name}: fill it in")
        others = list(map("\0".join, zip(keys, pictures, groups, strict=True))) if self._merge else []
        if all(captions):
            return np.arange(len(captions)), keys, others
        if not self._skip_empty:
            row = captions.index("")
            raise self._error(
                f"line {block.lines[row]} ({pictures[row]}) has an empty caption: fill it in, or set the option"
                " empty_captions to skip"
            )
        full = np.array([bool(caption) for caption in captions])
        self._empty.extend(block.lines[~full].tolist())
        return np.flatnonzero(full), list(compress(keys, full)), list(compress(others, full))

    def _refuse_repeats(self, starts: NDArray[np.int64], index: HashIndex) -> None:
        """A key in two rows is an error; two keys of one hash are none, and `samples` tells them apart."""
        # The repetition that a reader from the top finds first.
        for rows in sorted(index.repeats(), key=lambda rows: rows[1]):
            with self._file.reading() as row:
                keys = [row(start)[self._key] for start in starts[rows].tolist()]
            if len(set(keys)) < len(keys):
                twice = next(key for key in keys if keys.count(key) > 1)
                same = [int(starts[number]) for number, key in zip(rows, keys, strict=True) if key == twice]
                first, second = self._file.lines_of(same[:2])
                raise self._error(
                    f"duplicate key {twice!r} in lines {first} and {second}: make keys unique, or set the option"
                    " repeated_keys to merge for several captions of one picture"
                )

    def _told_apart(self, starts: NDArray[np.int64], suspects: Iterator[list[int]]) -> list[int]:
        """Of rows that share a hash but are not alike, the first of each key; alike in key alone is an error."""
        found: list[int] = []
        for numbers in suspects:
            known: dict[str, tuple[int, str, str]] = {}
            with self._file.reading() as row:
                for number in numbers:
                    fields = row(int(starts[number]))
                    facts = number, fields[self._picture], fields[self._group]
                    first = known.setdefault(fields[self._key], facts)
                    if first[1:] != facts[1:]:
                        lines = self._file.lines_of([int(starts[first[0]]), int(starts[number])])
                        raise self._error(
                            f"lines {lines[0]} and {lines[1]} share the key {fields[self._key]!r} but not the picture"
                            " or group: make keys unique"
                        )
            found += [number for number, *_ in known.values()]
        return found

    def _separator(self, header: str, separator: str | None) -> str:
        if not header.strip():
            raise self._error("the file is empty; a header such as filepath<TAB>title is needed")
        if separator is None:
            return next((sign for sign in SEPARATORS if sign in header), "\t")
        names = {name: sign for sign, name in SEPARATORS.items()} | {r"\t": "\t"}
        sign = names.get(separator, separator)
        if len(sign) != 1 or sign in '"\r\n ':
            raise self._error(f"separator is one character or 'tab', not {separator!r}")
        if sign not in header:
            raise self._error(
                f"separator {SEPARATORS.get(sign, sign)!r} does not occur in the header {header.strip()[:80]!r}:"
                " leave the option separator out to have it found"
            )
        return sign


def _positions(name: str, columns: Sequence[str], separator: str, named: dict[str, str | None]) -> dict[str, int]:
    """Where the columns that the options name stand."""
    twice = [column for column, count in Counter(columns).items() if count > 1]
    if twice:
        raise VestigeError(f"{name}: column {twice[0]!r} stands in the header twice: rename one")
    for option, column in named.items():
        if column is not None and column not in columns:
            raise VestigeError(
                f"{name}: no column {column!r}; found {', '.join(map(repr, columns))} with separator"
                f" {SEPARATORS.get(separator, separator)}: set the option {option} (or separator)"
            )
    return {option: columns.index(column) for option, column in named.items() if column is not None}
