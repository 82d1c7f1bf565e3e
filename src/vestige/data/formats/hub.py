"""Data sets in Hugging Face's formats: one of the hub, a folder of Parquet files, or one saved with `save_to_disk`.

    hf:nlphuji/flickr30k        hf:exported/parquet        hf:saved/dataset

Media are not decoded, and no code of a data set is run.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vestige.data.formats.columns import CAPTIONS, LABELS, choose, names_of, text_of, texts_of
from vestige.data.formats.facts import Unusable
from vestige.data.formats.huggingface import load, own_folders, reader, with_media
from vestige.data.formats.keyindex import CHUNK, KeyIndex
from vestige.errors import VestigeError
from vestige.samples import Media, Modality, Sample

KEYS = ("__key__", "uid", "key", "id")
# Rows read at once: enough to be quick, few enough that their media fit.
ROWS = 32


class HuggingFace:
    """Rows of a data set.

    Args:
        path: a folder, or the data set's name on the hub.
        split: e.g. "train" (also `train[:1000]`); found when left out: "train", or the only one.
        config: name of the configuration, where there are several.
        key: column with the key; left out, it is `__key__`, `uid`, `key` or `id` if its values are unique, else the
            number of the row. Where a key of the column asked for is repeated, its later rows are listed.
        image, audio, video: columns with the media; left out, the one of that type; "none" for none.
        caption: column with the caption, or captions; a label's column gives the names of its classes.
        label: column with the label.
        group: column with the group (samples that must be seen together); the key when left out.
        objects: column with the objects, dots leading into nested ones: "objects.category".
        missing_captions: "skip" leaves out and lists rows without a caption if others have one; "keep" keeps them.
    """

    def __init__(
        self,
        path: Path,
        split: str = "",
        config: str = "",
        key: str = "",
        image: str = "",
        audio: str = "",
        video: str = "",
        caption: str = "",
        label: str = "",
        group: str = "",
        objects: str = "",
        missing_captions: str = "skip",
    ) -> None:
        self._name, self._path = f"hf:{path}", path
        if missing_captions not in {"skip", "keep"}:
            raise VestigeError(f"{self._name}: missing_captions is 'skip' or 'keep', not {missing_captions!r}")
        data = load(path, split, config, self._name)
        columns = data.column_names
        self._texts = {
            "caption": choose(f"{self._name}: caption", caption, CAPTIONS, columns),
            "label": choose(f"{self._name}: label", label, LABELS, columns),
            "group": choose(f"{self._name}: group", group, (), columns),
            "objects": objects or None,
        }
        if objects:
            choose(f"{self._name}: objects", objects.partition(".")[0], (), columns)
        wanted = {Modality.IMAGE: image, Modality.AUDIO: audio, Modality.VIDEO: video}
        data, self._media = with_media(data, wanted, self._name)
        if not self._media and self._texts["caption"] is None:
            found = ", ".join(map(repr, columns))
            raise VestigeError(f"{self._name}: no column of pictures, sounds, films or captions; there are {found}")
        self._data, self._roots = data, own_folders(path)
        self._read = {option: reader(data.features, column) for option, column in self._texts.items() if column}
        self._skipped: list[tuple[str, str]] = []
        self._key_column: str | None = None
        self._index(choose(f"{self._name}: key", key, (), columns), keep=missing_captions == "keep")

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> Sequence[str]:
        return self._keys

    @property
    def captions(self) -> str | None:
        """The column with the captions."""
        return self._texts["caption"]

    def key_of_rows(self, data: Any) -> Iterator[str | None]:
        """The key of every row of the data set, opened anew; None where it has none."""
        if self._key_column is None:
            yield from map(str, range(len(data)))
            return
        keys = data.select_columns([self._key_column])
        for start in range(0, len(keys), CHUNK):
            for value in keys[start : start + CHUNK][self._key_column]:
                try:
                    yield text_of(value, self._key_column)
                except Unusable:
                    yield None

    @property
    def numbered(self) -> bool:
        """Whether keys are numbers of rows."""
        return self._key_column is None

    def skipped(self) -> Sequence[tuple[str, str]]:
        """(row, reason) of the rows that cannot become a sample."""
        return tuple(self._skipped)

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        needed = {*self._media.values(), *(column.partition(".")[0] for column in self._texts.values() if column)}
        data = self._data.select_columns([name for name in self._data.column_names if name in needed])
        for start in range(0, len(keys), ROWS):
            part = keys[start : start + ROWS]
            rows = [int(self._rows[position]) for position in self._keys.positions(part)]
            values = data[rows]
            for at, key in enumerate(part):
                yield self._sample(key, {column: values[column][at] for column in values})

    def _sample(self, key: str, row: Mapping[str, Any]) -> Sample:
        media = {modality: self._medium(row[column]) for modality, column in self._media.items()}
        found: dict[Modality, Media] = {modality: medium for modality, medium in media.items() if medium is not None}
        facts = {option: read(row) for option, read in self._read.items()}
        label, group = text_of(facts.get("label"), "label"), text_of(facts.get("group"), "group")
        captions = texts_of(facts.get("caption"), "caption")
        return Sample(key, group or key, found, captions, label, names_of(facts.get("objects"), "objects"))

    def _medium(self, value: Any) -> Media | None:
        """The bytes of a medium, or its file if that lies in the data set's own folder."""
        if isinstance(value, Mapping):
            if value.get("bytes") is not None:
                return value["bytes"]
            value = value.get("path")
        if isinstance(value, bytes):
            return value
        # A path is what the data set's maker wrote: it may name any file of this machine.
        path = Path(value) if isinstance(value, str) else None
        inside = path is not None and any(path.resolve().is_relative_to(root) for root in self._roots)
        return path if inside else None

    def _index(self, key: str | None, *, keep: bool) -> None:
        """Read the texts of all rows: keys, and what cannot be used."""
        count = len(self._data)
        usable, captioned = np.ones(count, np.bool_), np.zeros(count, np.bool_)
        known = [column.partition(".")[0] for column in self._texts.values() if column]
        candidates = [key] if key else [name for name in KEYS if name in self._data.column_names][:1]
        texts = self._data.select_columns([n for n in self._data.column_names if n in {*known, *candidates}])
        chunks = []
        for start in range(0, count, CHUNK) if texts.column_names else ():
            values = texts[start : start + CHUNK]
            keys = []
            for at in range(min(CHUNK, count - start)):
                row = {column: values[column][at] for column in values}
                try:
                    keys.append((text_of(row[candidates[0]], candidates[0]) if candidates else None) or "")
                    if key and not keys[-1]:
                        raise Unusable(f"no {key}")
                    captioned[start + at] = self._has_caption(row)
                except Unusable as error:
                    keys += [""] * (at + 1 - len(keys))
                    usable[start + at] = False
                    self._skipped.append((f"row {start + at}", str(error)))
            chunks.append(pa.array(keys, pa.large_string()))
        if not keep and captioned.any():
            self._skipped += [(f"row {row}", "no caption") for row in np.flatnonzero(usable & ~captioned).tolist()]
            usable &= captioned
        self._keys, self._rows = self._unique(key, candidates, chunks, usable)
        if not len(self._keys):
            why = "".join(f" ({place}: {reason})" for place, reason in self._skipped[:1])
            raise VestigeError(f"{self._name}: no usable rows among {count}{why}")

    def _has_caption(self, row: Mapping[str, Any]) -> bool:
        """Read every fact of a row, as `samples` will."""
        for option in ("label", "group"):
            if option in self._read and text_of(self._read[option](row), option) is None and option == "group":
                raise Unusable("no group")
        names_of(self._read["objects"](row) if "objects" in self._read else None, "objects")
        return bool(texts_of(self._read["caption"](row), "caption")) if "caption" in self._read else False

    def _unique(
        self, key: str | None, candidates: Sequence[str], chunks: list[Any], usable: Any
    ) -> tuple[KeyIndex, Any]:
        import pyarrow as pa

        rows = np.flatnonzero(usable)
        if candidates and len(chunks):
            self._key_column = candidates[0]
            mask = pa.array(usable)
            kept = KeyIndex([pa.concat_arrays(chunks).filter(mask)])
            repeated: list[int] = kept.repeated().tolist()
            if not repeated and "" not in kept:
                return kept, rows
            if key:
                first = np.ones(len(kept), np.bool_)
                for position in repeated:
                    text = kept[position]
                    before = next(kept.positions([text]))
                    if before != position:
                        first[position] = False
                        reason = f"the key {text!r} stands in row {rows[before]}"
                        self._skipped.append((f"row {rows[position]}", reason))
                texts = [kept[position] for position in np.flatnonzero(first).tolist()]
                return KeyIndex([pa.array(texts, pa.large_string())]), rows[first]
        self._key_column = None
        return KeyIndex([pa.array([str(row) for row in rows.tolist()], pa.large_string())]), rows
