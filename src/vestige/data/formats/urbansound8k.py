"""UrbanSound8K: four seconds of a city each, in ten classes."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from vestige.errors import VestigeError
from vestige.samples import Modality, Sample

COLUMNS = ("slice_file_name", "fsID", "fold", "class")


class UrbanSound8K:
    """`metadata/UrbanSound8K.csv`, and the sounds in `audio/foldN/`.

    The key is the file's name without its suffix (`100032-3-0-0`); slices of one recording (`fsID`) are one group;
    the label is the class, and the caption its name in words. Sounds that are not on disk are skipped and listed.

    Args:
        path: the folder that holds `metadata` and `audio`.
        folds: which folds, joined by commas (`1,2,3`); all when not given.
    """

    def __init__(self, path: Path, folds: str | None = None) -> None:
        self._name = f"urbansound8k:{path}"
        if not path.is_dir():
            raise self._error("not a folder" if path.exists() else "no such folder")
        asked = {fold.strip() for fold in folds.split(",")} if folds else None
        table, audio = path / "metadata" / "UrbanSound8K.csv", path / "audio"
        if not table.is_file():
            raise self._error("no metadata/UrbanSound8K.csv in it: unpack the data set there")
        self._samples: dict[str, Sample] = {}
        self._skipped: list[tuple[str, str]] = []
        for line, row in self._rows(table):
            if asked is None or row["fold"] in asked:
                self._take(line, row, audio)
        if not self._samples:
            found = f"the first, {self._skipped[0][0]}: {self._skipped[0][1]}" if self._skipped else f"folds {folds}"
            raise self._error(f"none of its sounds can be used ({found})")

    def __len__(self) -> int:
        return len(self._samples)

    def keys(self) -> Sequence[str]:
        return tuple(self._samples)

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        for key in keys:
            yield self._samples[key]

    def skipped(self) -> Sequence[tuple[str, str]]:
        return tuple(self._skipped)

    def _error(self, message: str) -> VestigeError:
        return VestigeError(f"{self._name}: {message}")

    def _rows(self, table: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
        """Each row with its line."""
        try:
            with table.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file)
                missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
                if missing:
                    found = ", ".join(map(repr, reader.fieldnames or ())) or "none"
                    raise self._error(f"{table.name} has no column {missing[0]!r}; it has {found}: get the file anew")
                for row in reader:
                    values = {column: (row[column] or "").strip() for column in COLUMNS}
                    if not all(values.values()):
                        empty = next(column for column, value in values.items() if not value)
                        raise self._error(f"{table.name}: line {reader.line_num} has no {empty}: get the file anew")
                    yield reader.line_num, values
        except (UnicodeDecodeError, csv.Error) as error:
            raise self._error(f"{table.name} cannot be read as a table ({error}): get the file anew") from error

    def _take(self, line: int, row: Mapping[str, str], audio: Path) -> None:
        name, fold = row["slice_file_name"], row["fold"]
        key = PurePosixPath(name).stem
        # The names come from the table: none may lead out of the folder.
        if PurePosixPath(name).name != name or not fold.isdecimal():
            raise self._error(f"line {line}: {name!r} in fold {fold!r} is not a file in audio/foldN: get the file anew")
        if key in self._samples:
            raise self._error(f"line {line}: the sound {key!r} is listed twice: get the file anew")
        sound = audio / f"fold{fold}" / name
        if not sound.is_file():
            self._skipped.append((key, f"no file audio/fold{fold}/{name}"))
            return
        caption = row["class"].replace("_", " ")
        self._samples[key] = Sample(key, row["fsID"], {Modality.AUDIO: sound}, (caption,), label=row["class"])
