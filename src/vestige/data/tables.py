"""Tables of picture paths and captions: OpenCLIP's csv."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vestige.errors import VestigeError
from vestige.samples import Modality, Sample

SEPARATORS = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}
# A caption may be long, but a field of megabytes is a quote that was never closed.
csv.field_size_limit(16 * 2**20)


@dataclass(slots=True)
class _Row:
    picture: Path
    group: str
    captions: list[str]
    line: int
    objects: tuple[str, ...]


@dataclass(frozen=True)
class CaptionTable:
    """A table with a header, one picture and caption a row: OpenCLIP's csv (`filepath<TAB>title`).

    The key is the path as written in the table; relative paths are looked up from the table's folder, then from
    the current one.

    Attributes:
        path: the table.
        image_column, caption_column: names of the columns.
        key_column: column with the key, instead of the path.
        group_column: column with the group (samples that must be seen together), instead of the key.
        objects_column: column with the objects in the picture, joined by semicolons.
        separator: one character or "tab"; found from the header when not given.
        repeated_keys: "error", or "merge" to take the captions of rows with one key as captions of one sample.
        empty_captions: "error", or "skip" to leave out rows with an empty caption.
    """

    path: Path
    image_column: str = "filepath"
    caption_column: str = "title"
    key_column: str | None = None
    group_column: str | None = None
    objects_column: str | None = None
    separator: str | None = None
    repeated_keys: str = "error"
    empty_captions: str = "error"
    _rows: dict[str, _Row] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        for option, known in (("repeated_keys", ("error", "merge")), ("empty_captions", ("error", "skip"))):
            if getattr(self, option) not in known:
                raise self._error(f"{option} is one of {', '.join(known)}, not {getattr(self, option)!r}")
        if not self.path.is_file():
            raise self._error("not a file" if self.path.exists() else "no such file")
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as lines:
                self._read(lines)
        except UnicodeDecodeError as error:
            raise self._error(f"not UTF-8 (byte {error.start}): convert the file to UTF-8") from error
        except csv.Error as error:
            raise self._error(f"cannot be read as a table: {error}") from error
        if not self._rows:
            raise self._error("the table has no rows with a caption")

    def __len__(self) -> int:
        return len(self._rows)

    def keys(self) -> Sequence[str]:
        return tuple(self._rows)

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        for key in keys:
            row = self._rows[key]
            media = {Modality.IMAGE: self._found(row.picture)}
            yield Sample(key, row.group, media, tuple(row.captions), objects=row.objects)

    def _error(self, message: str) -> VestigeError:
        return VestigeError(f"csv:{self.path}: {message}")

    def _found(self, picture: Path) -> Path:
        beside = self.path.parent / picture
        return beside if picture.is_absolute() or beside.exists() else picture

    def _read(self, lines: Iterator[str]) -> None:
        header = next(lines, "")
        separator = self._separator(header)
        columns = next(csv.reader([header], delimiter=separator), [])
        at = self._positions(columns, separator)
        reader = csv.reader(lines, delimiter=separator)
        for fields in reader:
            line = reader.line_num + 1
            if not fields:
                continue
            if len(fields) != len(columns):
                raise self._error(
                    f"line {line} has {len(fields)} fields, the header {len(columns)}:"
                    " quote fields that hold the separator or a line break"
                )
            values = {option: fields[position].strip() for option, position in at.items()}
            self._take(values, line)

    def _positions(self, columns: Sequence[str], separator: str) -> dict[str, int]:
        """Where the columns named by this table's options stand."""
        twice = [name for name, count in Counter(columns).items() if count > 1]
        if twice:
            raise self._error(f"column {twice[0]!r} stands in the header twice: rename one")
        at: dict[str, int] = {}
        for option in ("image_column", "caption_column", "key_column", "group_column", "objects_column"):
            column = getattr(self, option)
            if column is None:
                continue
            if column not in columns:
                raise self._error(
                    f"no column {column!r}; found {', '.join(map(repr, columns))} with separator"
                    f" {SEPARATORS.get(separator, separator)}: set the option {option} (or separator)"
                )
            at[option] = columns.index(column)
        return at

    def _take(self, values: dict[str, str], line: int) -> None:
        picture, caption = values["image_column"], values["caption_column"]
        key = values.get("key_column", picture)
        group = values.get("group_column", key)
        for name, value in (("path", picture), ("key", key), ("group", group)):
            if not value:
                raise self._error(f"line {line} has no {name}: fill it in")
        if not caption:
            if self.empty_captions == "skip":
                return
            raise self._error(
                f"line {line} ({picture}) has an empty caption: fill it in, or set the option empty_captions to skip"
            )
        named = values.get("objects_column", "").split(";")
        objects = tuple(dict.fromkeys(name.strip() for name in named if name.strip()))
        row = self._rows.setdefault(key, _Row(Path(picture), group, [], line, objects))
        if row.captions and self.repeated_keys == "error":
            raise self._error(
                f"duplicate key {key!r} in lines {row.line} and {line}: make keys unique, or set the option"
                " repeated_keys to merge for several captions of one picture"
            )
        if (row.picture, row.group) != (Path(picture), group):
            raise self._error(
                f"lines {row.line} and {line} share the key {key!r} but not the picture or group: make keys unique"
            )
        row.captions.append(caption)

    def _separator(self, header: str) -> str:
        if not header.strip():
            raise self._error("the file is empty; a header such as filepath<TAB>title is needed")
        if self.separator is None:
            return next((sign for sign in SEPARATORS if sign in header), "\t")
        names = {name: sign for sign, name in SEPARATORS.items()} | {r"\t": "\t"}
        sign = names.get(self.separator, self.separator)
        if len(sign) != 1:
            raise self._error(f"separator is one character or 'tab', not {self.separator!r}")
        if sign not in header:
            raise self._error(
                f"separator {SEPARATORS.get(sign, sign)!r} does not occur in the header {header.strip()[:80]!r}:"
                " leave the option separator out to have it found"
            )
        return sign
