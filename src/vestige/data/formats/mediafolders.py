"""Hugging Face's `imagefolder`, `audiofolder` and `videofolder`, read from their files.

    DIR/metadata.csv (or .jsonl, .parquet) with a column file_name     or     DIR/CLASS/0001.png

They are read here, not with `datasets`: its cache does not keep a file's path, which is the key.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from vestige.data.formats.columns import CAPTIONS, LABELS, choose, names_of, text_of, texts_of
from vestige.data.formats.endings import MODALITIES
from vestige.data.formats.facts import Unusable, parse_object
from vestige.data.formats.filenames import endings_of, walk_files
from vestige.errors import VestigeError
from vestige.samples import Media, Modality, Sample

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


@dataclass(slots=True)
class _Record:
    media: dict[Modality, Path]
    captions: tuple[str, ...] = ()
    label: str | None = None
    group: str | None = None
    objects: tuple[str, ...] = field(default=())


class MediaFolder:
    """Files below a folder, with metadata beside them, or with their folder's name as label.

    The key is the file's path below the folder. A metadata file tells of the files in its folder and below; rows of
    one file join their captions. Further files of a row stand in columns named like `audio_file_name`.

    Args:
        modality: what the files are.
        kind: name of the format.
        path: the folder.
        caption: column with the caption, or captions; "label" for the label; found by its name when left out.
        label: column with the label; without metadata, the label is the name of the file's folder.
        group: column with the group (samples that must be seen together); the key when left out.
        objects: column with the objects: a list, or a text joined by semicolons.
        missing_captions: "skip" leaves out and lists samples without a caption if others have one; "keep" keeps them.
        links: "skip" leaves out and lists links that lead out of the folder; "follow" reads them.
    """

    def __init__(
        self,
        modality: Modality,
        kind: str,
        path: Path,
        caption: str = "",
        label: str = "",
        group: str = "",
        objects: str = "",
        missing_captions: str = "skip",
        links: str = "skip",
    ) -> None:
        self._name, self._modality = f"{kind}:{path}", modality
        self._options = {"caption": caption, "label": label, "group": group, "objects": objects}
        if not path.is_dir():
            raise VestigeError(f"{self._name}: {'not a folder' if path.exists() else 'no such folder'}")
        for option, value, other in (("missing_captions", missing_captions, "keep"), ("links", links, "follow")):
            if value not in {"skip", other}:
                raise VestigeError(f"{self._name}: {option} is 'skip' or {other!r}, not {value!r}")
        self._skipped: list[tuple[str, str]] = []
        self._caption_column: str | None = None
        files = walk_files(path, follow=links == "follow", skipped=self._skipped)
        records = self._records(files)
        if not records:
            why = f"; {self._skipped[0][0]}: {self._skipped[0][1]}" if self._skipped else ""
            raise VestigeError(f"{self._name}: no {modality} files below it{why or endings_of(files)}")
        if missing_captions == "skip" and any(record.captions for record in records.values()):
            self._skipped += [(key, "no caption") for key, record in records.items() if not record.captions]
            records = {key: record for key, record in records.items() if record.captions}
        self._kept = records

    def __len__(self) -> int:
        return len(self._kept)

    def keys(self) -> Sequence[str]:
        return tuple(self._kept)

    def files(self, key: str) -> Sequence[Path]:
        """The media of a sample."""
        return tuple(self._kept[key].media.values())

    @property
    def captions(self) -> str | None:
        """The column of the captions that every metadata file has; None where there is none."""
        return self._caption_column

    def skipped(self) -> Sequence[tuple[str, str]]:
        """(key or place, reason) of files and rows that are no samples."""
        return tuple(self._skipped)

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        for key in keys:
            known = self._kept[key]
            media: dict[Modality, Media] = {**known.media}
            yield Sample(key, known.group or key, media, known.captions, known.label, known.objects)

    def _records(self, files: Mapping[str, Path]) -> dict[str, _Record]:
        tables = [name for name in files if name.rpartition("/")[2] in METADATA]
        records: dict[str, _Record] = {}
        told = set()
        for name in tables:
            folder = name.rpartition("/")[0]
            if folder in told:
                raise VestigeError(f"{self._name}: two metadata files in {folder or 'the folder'}: keep one")
            told.add(folder)
            self._read_table(name, folder, files, records)
        used = {path for record in records.values() for path in record.media.values()}
        # The folder's own parents tell of its files too.
        rest = {
            name: path
            for name, path in files.items()
            if MODALITIES.get(name.rpartition(".")[2].lower()) is self._modality and path not in used
        }
        untold = {}
        for name, path in rest.items():
            if any(parent in told for parent in _parents(name)):
                self._skipped.append((name, "no row in the metadata"))
            else:
                untold[name] = path
        if untold and not tables and set(self._options.values()) - {"", "label", "none"}:
            raise VestigeError(
                f"{self._name}: there is no metadata file, so columns cannot be named: write metadata.csv"
            )
        folders = {name.rpartition("/")[0] for name in untold}
        for name, path in untold.items():
            folder = name.rpartition("/")[0].rpartition("/")[2]
            label = folder or None if len(folders) > 1 else None
            captions = (label.replace("_", " "),) if label and self._options["caption"] == "label" else ()
            records[name] = _Record({self._modality: path}, captions, label)
        return records

    def _read_table(self, name: str, folder: str, files: Mapping[str, Path], records: dict[str, _Record]) -> None:
        rows = self._rows(files[name], name)
        columns: dict[str, str | None] | None = None
        for number, row in rows:
            place = f"{name} row {number}"
            if columns is None:
                columns = self._columns(name, list(row))
                self._caption_column = self._caption_column or columns["caption"]
            try:
                self._take(row, columns, folder, files, records)
            except Unusable as error:
                self._skipped.append((place, str(error)))

    def _columns(self, name: str, found: Sequence[str]) -> dict[str, str | None]:
        if "file_name" not in found and not any(column.endswith("_file_name") for column in found):
            raise VestigeError(
                f"{self._name}: {name} has no column 'file_name'; there are {', '.join(map(repr, found))}"
            )
        usual = {"caption": CAPTIONS, "label": LABELS}
        return {
            option: choose(f"{self._name}: {option}", wanted, usual.get(option, ()), found)
            for option, wanted in self._options.items()
        }

    def _take(
        self,
        row: Mapping[str, object],
        columns: Mapping[str, str | None],
        folder: str,
        files: Mapping[str, Path],
        records: dict[str, _Record],
    ) -> None:
        media: dict[Modality, Path] = {}
        keys = []
        for written in named_files(row):
            key = _below(folder, written)
            modality = MODALITIES.get(key.rpartition(".")[2].lower(), self._modality)
            if key not in files:
                raise Unusable(f"no file {written!r}")
            if modality in media:
                raise Unusable(f"two {modality} files")
            media[modality] = files[key]
            keys.append(key)
        if not keys:
            raise Unusable("no file_name")
        # Lines of JSON need not have all columns.
        values = {option: (row.get(column), column) for option, column in columns.items() if column is not None}
        missing = (None, "")
        captions = texts_of(*values.get("caption", missing))
        label, group = text_of(*values.get("label", missing)), text_of(*values.get("group", missing))
        objects = names_of(*values.get("objects", missing))
        record = records.setdefault(keys[0], _Record(media))
        record.captions = tuple(dict.fromkeys((*record.captions, *captions)))
        record.label, record.group = record.label or label, record.group or group
        record.objects = record.objects or objects

    def _rows(self, path: Path, name: str) -> Iterator[tuple[int, Mapping[str, object]]]:
        """Rows with their number, from 1."""
        try:
            if path.suffix == ".parquet":
                with pq.ParquetFile(path) as table:
                    batches = table.iter_batches()
                    yield from enumerate((row for batch in batches for row in batch.to_pylist()), 1)
            elif path.suffix == ".csv":
                with path.open(encoding="utf-8-sig", newline="") as lines:
                    for number, row in enumerate(csv.DictReader(lines), 1):
                        if None in row or None in row.values():
                            self._skipped.append((f"{name} row {number}", "more or fewer fields than the header has"))
                        else:
                            yield number, row
            else:
                yield from self._json_rows(path, name)
        except (OSError, pa.ArrowException, csv.Error, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split())
            raise VestigeError(f"{self._name}: {name} cannot be read: {reason}: write it anew") from error

    def _json_rows(self, path: Path, name: str) -> Iterator[tuple[int, Mapping[str, object]]]:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    yield number, parse_object(line, "the line")
                except Unusable as error:
                    self._skipped.append((f"{name} row {number}", str(error)))


def named_files(row: Mapping[str, object]) -> list[str]:
    """The files that a row of metadata names, the sample's own first.

    Raises:
        Unusable: a name that is no text.
    """
    columns = [column for column in row if column == "file_name" or column.endswith("_file_name")]
    return [name for column in columns if (name := text_of(row[column], column)) is not None]


def key_of(row: Mapping[str, object], folder: str) -> str | None:
    """The key of the sample that a row of metadata in a folder tells of; None where it tells of none."""
    try:
        return next((_below(folder, name) for name in named_files(row)), None)
    except Unusable:
        return None


ImageFolder = partial(MediaFolder, Modality.IMAGE, "imagefolder")
AudioFolder = partial(MediaFolder, Modality.AUDIO, "audiofolder")
VideoFolder = partial(MediaFolder, Modality.VIDEO, "videofolder")


def _parents(name: str) -> list[str]:
    """All folders above a file, the outermost being ""."""
    parents = [str(parent) for parent in PurePosixPath(name).parents]
    return ["" if parent == "." else parent for parent in parents]


def _below(folder: str, written: str) -> str:
    """The path of a file that metadata in a folder names.

    Raises:
        Unusable: it leads out of the folder.
    """
    path = PurePosixPath(written.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise Unusable(f"file_name {written!r} leads out of the folder")
    return (PurePosixPath(folder) / path).as_posix()
