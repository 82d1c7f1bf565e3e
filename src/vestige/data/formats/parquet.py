"""Parquet tables: media in the table or beside it, captions, and what else is known of a sample."""

import glob
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vestige.data.formats.keyindex import KeyIndex
from vestige.data.formats.parquet_columns import Columns, choose_columns
from vestige.errors import VestigeError
from vestige.samples import Media, Sample

BATCH = 256


class ParquetTable:
    """A row a sample, in one file, in the files of a glob, or in those of a folder.

    Media are bytes, `{bytes, path}` as Hugging Face writes them, or paths (looked up from the table's folder, then
    from the current one); they are read when a sample is asked for, a few rows at a time. Columns that are not named
    are guessed by their names. Without a key column, the key is the file's name and the row's number in it, from 0.

    Args:
        path: the tables.
        image_column, audio_column, video_column: columns of the media; "none" for none.
        caption_column: a text or a list of them; several columns joined by commas give all their captions.
        key_column, group_column, label_column: texts or whole numbers.
        objects_column: a list of texts, or a text joined by semicolons.
        empty_captions: "error", or "skip" to leave out and list rows without a caption.
    """

    def __init__(
        self,
        path: Path,
        image_column: str | None = None,
        audio_column: str | None = None,
        video_column: str | None = None,
        caption_column: str | None = None,
        key_column: str | None = None,
        group_column: str | None = None,
        label_column: str | None = None,
        objects_column: str | None = None,
        empty_captions: str = "error",
    ) -> None:
        self._name = f"parquet:{path}"
        if empty_captions not in {"error", "skip"}:
            raise self._error(f"empty_captions is one of error, skip, not {empty_captions!r}")
        named = {
            "image_column": image_column,
            "audio_column": audio_column,
            "video_column": video_column,
            "caption_column": caption_column,
            "key_column": key_column,
            "group_column": group_column,
            "label_column": label_column,
            "objects_column": objects_column,
        }
        self._files = _files(path, self._name)
        self._skipped: list[tuple[str, str]] = []
        self._columns = choose_columns(self._opened(0).schema_arrow, named, self._name)
        # The keys, and for each its file, row group and row in it.
        keys, places = [], []
        for number in range(len(self._files)):
            for group, rows, texts in self._read_keys(number, skip=empty_captions == "skip"):
                keys.append(texts)
                places.append(np.stack([np.full(len(rows), number), np.full(len(rows), group), rows], axis=1))
        self._keys = KeyIndex(keys)
        if not len(self._keys):
            raise self._error(f"no rows with a caption in {len(self._files)} files")
        self._places = np.concatenate(places).astype(np.int32)
        self._refuse_repeats()

    @property
    def files(self) -> Sequence[Path]:
        return tuple(self._files)

    @property
    def columns(self) -> Columns:
        """Which columns hold what."""
        return self._columns

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> Sequence[str]:
        return self._keys

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        rows = self._keys.positions(keys)
        reader = _Reader(self._name, self._files, self._columns.names)
        while window := [row for _, row in zip(range(BATCH), rows, strict=False)]:
            read: dict[int, Mapping[str, Any]] = {}
            for row in sorted(set(window)):
                read[row] = reader.row(*self._places[row].tolist())
            for row in window:
                yield self._sample(self._keys[row], self._files[self._places[row, 0]].parent, read[row])

    def skipped(self) -> Sequence[tuple[str, str]]:
        return tuple(self._skipped)

    def _error(self, message: str) -> VestigeError:
        return VestigeError(f"{self._name}: {message}")

    def _opened(self, number: int) -> pq.ParquetFile:
        return opened(self._files[number], self._name)

    def _read_keys(self, number: int, *, skip: bool) -> Iterator[tuple[int, NDArray[np.int64], pa.Array]]:
        """Row group, rows and keys of the usable rows of a file, a row group at a time."""
        file, path = self._opened(number), self._files[number]
        self._columns.check(file.schema_arrow, f"{self._name}: {path.name}")
        columns = [*self._columns.captions, *([self._columns.key] if self._columns.key else [])]
        first = 0
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            table = reading(self._name, path, lambda group=group: file.read_row_group(group, columns=columns))
            rows = np.arange(count)
            keys, full = reading(self._name, path, lambda table=table, first=first: self._facts(table, path, first))
            if None in (listed := keys.to_pylist()) or "" in listed:
                at = next(row for row, key in enumerate(listed) if not key)
                raise self._error(f"{path.name}: row {first + at} has no {self._columns.key}: fill it in")
            if not full.all():
                empty = [listed[row] for row in np.flatnonzero(~full).tolist()]
                if not skip:
                    raise self._error(
                        f"{path.name}: row {empty[0]!r} has no caption in {', '.join(self._columns.captions)}: fill it"
                        " in, or set the option empty_captions to skip"
                    )
                self._skipped += [(key, "no caption") for key in empty]
                rows, keys = rows[full], keys.filter(pa.array(full))
            yield group, rows, keys
            first += count

    def _facts(self, table: pa.Table, path: Path, first: int) -> tuple[pa.Array, NDArray[np.bool_]]:
        return self._columns.keys(table, f"{path.stem}:", first), self._columns.captioned(table)

    def _refuse_repeats(self) -> None:
        for row in self._keys.repeated()[:1].tolist():
            raise self._error(
                f"the key {self._keys[row]!r} is in two rows: make keys unique, or set the option key_column to another"
                " column, or to none to number the rows"
            )

    def _sample(self, key: str, folder: Path, row: Mapping[str, Any]) -> Sample:
        columns = self._columns
        media = {kind: medium for kind, name in columns.media.items() if (medium := _medium(row[name], folder))}
        return Sample(
            key=key,
            group=key if columns.group is None else columns.text(row[columns.group]) or key,
            media=media,
            captions=columns.captions_of(row),
            label=None if columns.label is None else columns.label_of(row[columns.label]),
            objects=() if columns.objects is None else columns.objects_of(row[columns.objects]),
        )


class _Reader:
    """Rows by their place, read on from the last where it can be: asked for in order, each is read once."""

    def __init__(self, name: str, files: Sequence[Path], columns: Sequence[str]) -> None:
        self._name, self._files, self._columns = name, files, columns
        self._at: tuple[int, int] | None = None
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._batch: pa.RecordBatch | None = None
        self._first = 0

    def row(self, file: int, group: int, row: int) -> Mapping[str, Any]:
        if self._at != (file, group) or row < self._first:
            source = opened(self._files[file], self._name)
            self._batches = source.iter_batches(BATCH, row_groups=[group], columns=list(self._columns))
            self._at, self._batch, self._first = (file, group), None, 0
        while self._batch is None or row >= self._first + len(self._batch):
            self._first += len(self._batch) if self._batch is not None else 0
            self._batch = reading(self._name, self._files[file], lambda: next(self._batches, None))
            if self._batch is None:
                raise VestigeError(f"{self._name}: {self._files[file].name} has changed since it was opened")
        batch, place = self._batch, row - self._first
        return reading(self._name, self._files[file], lambda: batch.slice(place, 1).to_pylist()[0])


def opened(path: Path, name: str) -> pq.ParquetFile:
    return reading(name, path, lambda: pq.ParquetFile(path))


def reading(name: str, path: Path, read: Any) -> Any:
    """What a function reads from a file, its troubles in one line."""
    try:
        return read()
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise VestigeError(f"{name}: {path.name} cannot be read as Parquet ({reason}): get it anew") from error


def _files(path: Path, name: str) -> list[Path]:
    if path.is_dir():
        files = sorted(path.rglob("*.parquet"))
    elif path.exists():
        files = [path]
    else:
        files = [Path(file) for file in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207
    files = [file for file in files if file.is_file() and not file.name.startswith((".", "_"))]
    if not files:
        what = "no *.parquet below the folder" if path.is_dir() else "no such file, folder, or files of a glob"
        raise VestigeError(f"{name}: {what}")
    return files


def _medium(value: Any, folder: Path) -> Media | None:
    """Bytes as they are; a path from the table's folder if it is there."""
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, str) and value:
        beside = folder / value
        return beside if beside.exists() else Path(value)
    return value if isinstance(value, bytes) and value else None
