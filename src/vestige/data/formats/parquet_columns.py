"""Which columns of an Arrow table hold what: those named by options, the others guessed by their names."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vestige.errors import VestigeError
from vestige.samples import Modality

MEDIA = {
    "image_column": Modality.IMAGE,
    "audio_column": Modality.AUDIO,
    "video_column": Modality.VIDEO,
}
GUESSES: Mapping[str, Sequence[str]] = {
    "image_column": ("image", "jpg", "png", "webp", "img", "picture", "image_bytes", "image_path", "filepath"),
    "audio_column": ("audio", "wav", "flac", "mp3", "sound"),
    "video_column": ("video", "mp4", "film"),
    "caption_column": ("captions", "caption", "text", "txt", "title", "sentence", "transcription"),
    "key_column": ("key", "__key__", "uid", "id", "image_id", "video_id"),
    "group_column": ("group",),
    "label_column": ("label", "class", "category"),
    "objects_column": ("objects",),
}
NONE = "none"


@dataclass(frozen=True)
class Columns:
    """Names of columns by what they hold; None where there is none.

    Attributes:
        classes: names of the classes that the numbers in the label's column stand for.
    """

    media: Mapping[Modality, str]
    captions: tuple[str, ...]
    key: str | None
    group: str | None
    label: str | None
    objects: str | None
    classes: tuple[str, ...] = ()
    types: Mapping[str, pa.DataType] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        single = (self.key, self.group, self.label, self.objects)
        return list(dict.fromkeys([*self.media.values(), *self.captions, *(name for name in single if name)]))

    def check(self, schema: pa.Schema, name: str) -> None:
        """Refuse a further table that lacks a column, or holds something else there."""
        for column in self.names:
            if column not in schema.names:
                raise VestigeError(f"{name}: no column {column!r}, which the first of the files has")
            if schema.field(column).type != self.types[column]:
                raise VestigeError(
                    f"{name}: the column {column!r} holds {schema.field(column).type}, in the first of the files"
                    f" {self.types[column]}"
                )

    def keys(self, table: pa.Table, prefix: str, first: int) -> pa.Array:
        """The key of every row; the row's number after a prefix where no column holds it."""
        if self.key is None:
            return pa.array([f"{prefix}{first + row}" for row in range(len(table))], pa.large_string())
        values = table.column(self.key).to_pylist()
        return pa.array([None if value is None else str(value).strip() for value in values], pa.large_string())

    def captioned(self, table: pa.Table) -> NDArray[np.bool_]:
        """Whether a row has a caption; all have, where no column is for captions."""
        if not self.captions:
            return np.ones(len(table), np.bool_)
        rows = (table.column(column).to_pylist() for column in self.captions)
        return np.array([any(map(_texts, values)) for values in zip(*rows, strict=True)], np.bool_)

    def captions_of(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(text for column in self.captions for text in _texts(row[column])))

    def label_of(self, value: Any) -> str | None:
        if isinstance(value, int) and 0 <= value < len(self.classes):
            return self.classes[value]
        return self.text(value)

    def objects_of(self, value: Any) -> tuple[str, ...]:
        names = value.split(";") if isinstance(value, str) else value or ()
        return tuple(dict.fromkeys(name.strip() for name in names if name and name.strip()))

    def text(self, value: Any) -> str | None:
        return None if value is None else str(value).strip() or None


def choose_columns(schema: pa.Schema, named: Mapping[str, str | None], name: str) -> Columns:
    """Columns by option; those not named are the first of the usual names whose type fits.

    Raises:
        VestigeError: a column is missing or of the wrong type, or there are neither media nor captions.
    """
    chosen = {option: _chosen(schema, option, value, name) for option, value in named.items()}
    media = {kind: names[0] for option, kind in MEDIA.items() if (names := chosen[option])}
    if not media and not chosen["caption_column"]:
        raise VestigeError(
            f"{name}: no column looks like a medium or a caption; found {_found(schema)}: set the options image_column"
            " (audio_column, video_column) and caption_column"
        )
    key, group, label, objects = (
        next(iter(chosen[f"{what}_column"]), None) for what in ("key", "group", "label", "objects")
    )
    columns = Columns(media, chosen["caption_column"], key, group, label, objects, _classes(schema, label))
    types = {column: schema.field(column).type for column in columns.names}
    return Columns(media, columns.captions, key, group, label, objects, columns.classes, types)


def _chosen(schema: pa.Schema, option: str, value: str | None, name: str) -> tuple[str, ...]:
    if value is None:
        fitting = (guess for guess in GUESSES[option] if guess in schema.names)
        return tuple(guess for guess in fitting if _fits(option, schema.field(guess).type))[:1]
    if value == NONE:
        return ()
    columns = tuple(part.strip() for part in value.split(",")) if option == "caption_column" else (value,)
    for column in columns:
        if column not in schema.names:
            raise VestigeError(f"{name}: no column {column!r}; found {_found(schema)}: set the option {option}")
        if schema.names.count(column) > 1:
            raise VestigeError(f"{name}: two columns are named {column!r}: rename one")
        if not _fits(option, schema.field(column).type):
            kinds = "bytes, {bytes, path} or paths" if option in MEDIA else "texts"
            raise VestigeError(
                f"{name}: {option} is to hold {kinds}, but {column!r} holds {schema.field(column).type}: name another"
            )
    return columns


def _fits(option: str, kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if option in MEDIA:
        if pa.types.is_struct(kind):
            names = [kind.field(number).name for number in range(kind.num_fields)]
            return ("bytes" in names and pa.types.is_binary(kind.field("bytes").type)) or "path" in names
        return text or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    if option in {"caption_column", "objects_column"} and (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type)
    if option in {"key_column", "group_column", "label_column"}:
        return text or pa.types.is_integer(kind)
    return text


def _texts(value: Any) -> list[str]:
    """Captions in a field: a text, a list of them, or nothing."""
    values = [value] if isinstance(value, str) else value or ()
    return [text.strip() for text in values if text and text.strip()]


def _classes(schema: pa.Schema, label: str | None) -> tuple[str, ...]:
    """Class names that Hugging Face keeps beside a column of numbers."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        names = features[label]["names"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ()
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()


def _found(schema: pa.Schema) -> str:
    return ", ".join(map(repr, schema.names)) or "none"
