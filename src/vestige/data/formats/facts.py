"""What text and JSON files say of a sample: its key, captions, label, group and objects."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vestige.errors import VestigeError

# More than a caption or a record is; a hostile one should not fill the memory.
LARGEST_TEXT = 16 * 2**20


class Unusable(Exception):
    """A record that cannot become a sample; the message is the reason, fit for a table of skipped samples."""


@dataclass(frozen=True)
class Field:
    """A text file, or a field of a JSON file, by their endings: `txt`, `json:uid`.

    Attributes:
        file: ending of the file, lower case, without its dot.
        name: the field, dots leading into nested objects; None for the text of the file.
    """

    file: str
    name: str | None = None

    def __str__(self) -> str:
        return self.file if self.name is None else f"{self.file}:{self.name}"


def parse_field(text: str, option: str) -> Field:
    """Read a field from an option."""
    file, colon, name = text.strip().removeprefix(".").partition(":")
    if not file or (colon and not name):
        raise VestigeError(f"{option} is a file's ending such as txt, or json:FIELD, not {text!r}")
    return Field(file.lower(), name or None)


@dataclass(frozen=True)
class Facts:
    """What is known of a sample.

    Attributes:
        key, group: as far as fields of theirs are asked for.
        captions, label, objects: as in a sample.
    """

    key: str | None = None
    group: str | None = None
    captions: tuple[str, ...] = ()
    label: str | None = None
    objects: tuple[str, ...] = ()


@dataclass(frozen=True)
class FactFields:
    """Where each fact stands.

    Attributes:
        captions: all of them give captions, in this order.
        fallback: gives the captions where `captions` give none.
        split_lines: whether each line of a text file is a caption; else the whole text is one.
        key, group, label, objects: None where there is none.
    """

    captions: tuple[Field, ...]
    fallback: Field | None = None
    split_lines: bool = False
    key: Field | None = None
    group: Field | None = None
    label: Field | None = None
    objects: Field | None = None

    @property
    def files(self) -> frozenset[str]:
        """Endings of the files that are needed."""
        single = (self.fallback, self.key, self.group, self.label, self.objects)
        return frozenset(field.file for field in (*self.captions, *single) if field is not None)

    def read(self, files: Mapping[str, bytes]) -> Facts:
        """The facts in a sample's files, by their endings.

        Raises:
            Unusable: a file is not UTF-8 or not JSON, or a key or group that was asked for is missing.
        """
        record = _Record(files)
        captions = [caption for field in self.captions for caption in self._captions(record, field)]
        if not captions and self.fallback is not None:
            captions = self._captions(record, self.fallback)
        return Facts(
            key=_needed(record, self.key),
            group=_needed(record, self.group),
            captions=tuple(dict.fromkeys(captions)),
            label=None if self.label is None else record.one(self.label),
            objects=() if self.objects is None else _names(record.several(self.objects)),
        )

    def _captions(self, record: "_Record", field: Field) -> list[str]:
        texts = record.several(field)
        if self.split_lines and field.name is None:
            texts = [line.strip() for text in texts for line in text.splitlines()]
        return [text for text in texts if text]


class _Record:
    """The files of one sample; JSON is parsed once."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files
        self._objects: dict[str, Mapping[str, object]] = {}

    def several(self, field: Field) -> list[str]:
        """Texts of a field, stripped; none where the file or the field is missing."""
        if field.file not in self._files:
            return []
        if field.name is None:
            return [_text(self._files[field.file], field.file).strip()]
        value = self._value(field)
        values = value if isinstance(value, list) else [] if value is None else [value]
        return [_plain(item, field) for item in values]

    def one(self, field: Field) -> str | None:
        """The text of a field; None where it is missing or empty."""
        texts = self.several(field)
        if len(texts) > 1:
            raise Unusable(f"{field} holds {len(texts)} values, one is expected")
        return texts[0] or None if texts else None

    def _value(self, field: Field) -> object:
        if field.file not in self._objects:
            self._objects[field.file] = parse_object(self._files[field.file], field.file)
        value: object = self._objects[field.file]
        if field.name is not None and isinstance(value, Mapping) and field.name in value:
            return value[field.name]
        for part in (field.name or "").split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value


def parse_object(data: bytes, file: str) -> Mapping[str, object]:
    """A JSON object.

    Raises:
        Unusable: it is not UTF-8, not JSON, or not an object.
    """
    try:
        value = json.loads(_text(data, file))
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise Unusable(f"{file} is not JSON: {reason}") from error
    if not isinstance(value, dict):
        raise Unusable(f"{file} holds a JSON {type(value).__name__}, not an object")
    return value


def _text(data: bytes, file: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unusable(f"{file} is not UTF-8 (byte {error.start})") from error


def _plain(value: object, field: Field) -> str:
    if not isinstance(value, str | int | float):
        raise Unusable(f"{field} holds a {type(value).__name__}, not a text")
    text = str(value).strip()
    # JSON can spell halves of surrogate pairs, which no file of ours could hold.
    if not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text):
        raise Unusable(f"{field} holds half a surrogate pair, which is no text")
    return text


def _needed(record: _Record, field: Field | None) -> str | None:
    if field is None:
        return None
    text = record.one(field)
    if text is None:
        raise Unusable(f"no {field}")
    return text


def _names(texts: Sequence[str]) -> tuple[str, ...]:
    """Names given as a list, or as one text joined by semicolons."""
    return tuple(dict.fromkeys(name.strip() for text in texts for name in text.split(";") if name.strip()))
