"""WebDataset: tar archives in which files that share a key are one sample; img2dataset writes them too.

    shards/00000.tar:  000000000.jpg  000000000.txt  000000000.json  000000001.jpg ...

Opening reads the headers and texts of all archives once and keeps where each file lies, in arrays; samples are then
read from their place, in any order. Nothing is extracted, so names and links of an archive can do nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from os.path import commonpath
from pathlib import Path

import numpy as np
import pyarrow as pa

from vestige.data.formats.facts import FactFields, Unusable, parse_field
from vestige.data.formats.keyindex import KeyIndex
from vestige.data.formats.shards import find_shards
from vestige.data.formats.tar import Tar
from vestige.data.formats.tarsamples import Chooser, Endings, Layout, Part, index_archive, read_files
from vestige.errors import VestigeError
from vestige.progress import progress
from vestige.samples import Media, Modality, Sample

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
MOST_OPEN = 32


class WebDataset:
    """Samples in tar archives: a file, a folder of them, a glob, or a range (`shards/{00000..00012}.tar`).

    The key is WebDataset's: folder and base name up to the first dot of the base name; what follows is the ending, in
    lower case. Where two archives hold the same key, the archive's name is put before all keys of both
    (`00003/000000012`). Hidden files and those named `__so__` are no samples.

    Args:
        path: the archives.
        key: "name", or "json:FIELD" for a field of each sample's JSON, e.g. "json:uid"; where that is repeated, the
            first sample is kept and the others are listed.
        caption: files and fields that give the captions, joined by commas: "txt", "json:caption". Left out: `txt`, or
            the JSON's `caption` where there is none.
        caption_lines: "one" caption a text file, or "each" line is one.
        label: where the label stands, e.g. "json:category".
        group: where the group stands (samples that must be seen together), e.g. "json:video"; the key when left out.
        objects: where the objects stand: "json:FIELD" of a list, or of a text joined by semicolons.
        image, audio, video: endings to take, joined by commas, the first that a sample has; "none" for none.
        missing_captions: "skip" leaves out and lists samples without a caption if others have one; "keep" keeps them.
    """

    def __init__(
        self,
        path: Path,
        key: str = "name",
        caption: str = "",
        caption_lines: str = "one",
        label: str = "cls",
        group: str = "",
        objects: str = "",
        image: str = "",
        audio: str = "",
        video: str = "",
        missing_captions: str = "skip",
    ) -> None:
        self._name = f"webdataset:{path}"
        _one_of(f"{self._name}: missing_captions", missing_captions, "skip", "keep")
        _one_of(f"{self._name}: caption_lines", caption_lines, "one", "each")
        options = {"key": "" if key == "name" else key, "label": label, "group": group, "objects": objects}
        self._fields = FactFields(
            captions=tuple(parse_field(part, f"{self._name}: caption") for part in (caption or "txt").split(",")),
            fallback=None if caption else parse_field("json:caption", "caption"),
            split_lines=caption_lines == "each",
            **{name: parse_field(text, f"{self._name}: {name}") if text else None for name, text in options.items()},
        )
        endings = {Modality.IMAGE: image, Modality.AUDIO: audio, Modality.VIDEO: video}
        wanted = {
            modality: [part.strip().removeprefix(".").lower() for part in text.split(",") if part != "none"]
            for modality, text in endings.items()
            if text
        }
        self._chooser = Chooser(self._name, wanted, self._fields.files)
        self._endings = Endings()
        self._layouts: dict[tuple[int, ...], Layout] = {}
        self._skipped: list[tuple[str, str]] = []
        self._shards = find_shards(path, ARCHIVES, "webdataset")
        self._join(self._read(keep=missing_captions == "keep"))

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> Sequence[str]:
        return self._keys

    @property
    def archives(self) -> Mapping[str, Path]:
        """The archives in their order, by their path below the folder that all share."""
        folder = commonpath([path.absolute().parent for path in self._shards])
        return {path.absolute().relative_to(folder).as_posix(): path for path in self._shards}

    @property
    def fields(self) -> FactFields:
        """Where captions and facts stand."""
        return self._fields

    def keys_of(self, archive: int) -> Mapping[int, str]:
        """The keys of the samples of an archive, by the place in it of each file that is used."""
        low, high = np.searchsorted(self._shard, (archive, archive + 1)).tolist()
        starts = self._starts[low : high + 1].tolist()
        return {
            offset: key
            for key, first, last in zip(self._keys[low:high], starts, starts[1:], strict=False)
            for offset in self._offsets[first:last].tolist()
        }

    def skipped(self) -> Sequence[tuple[str, str]]:
        """(place, reason) of what the archives hold and cannot become a sample."""
        return tuple(self._skipped)

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        # Each call opens archives for itself, so that threads share none.
        opened: dict[int, Tar] = {}
        try:
            for key, position in zip(keys, self._keys.positions(keys), strict=True):
                shard = int(self._shard[position])
                if shard not in opened:
                    if len(opened) >= MOST_OPEN:
                        opened.pop(next(iter(opened))).close()
                    opened[shard] = self._opened(shard)
                first, last = self._starts[position : position + 2].tolist()
                yield self._sample(key, opened[shard], shard, slice(first, last))
        finally:
            for tar in opened.values():
                tar.close()

    def _opened(self, shard: int) -> Tar:
        try:
            return Tar(self._shards[shard])
        except OSError as error:
            raise VestigeError(f"{self._shards[shard]}: {error.strerror or error}") from error

    def _sample(self, key: str, tar: Tar, shard: int, members: slice) -> Sample:
        layout = self._layout(tuple(self._codes[members].tolist()))
        try:
            files = read_files(tar, self._offsets[members].tolist(), self._sizes[members].tolist())
            facts = self._fields.read({ending: files[at] for ending, at in layout.texts.items()})
        except (Unusable, EOFError, OSError) as error:
            raise VestigeError(
                f"{self._shards[shard]}: sample {key!r} is no longer what it was when the archive was opened ({error}):"
                " leave archives alone while they are read"
            ) from error
        media: dict[Modality, Media] = {modality: files[at] for modality, at in layout.media.items()}
        return Sample(key, facts.group or key, media, facts.captions, facts.label, facts.objects)

    def _layout(self, codes: tuple[int, ...]) -> Layout:
        layout = self._layouts.get(codes)
        if layout is None:
            layout = self._layouts[codes] = self._chooser.layout([self._endings.name(code) for code in codes])
        return layout

    def _read(self, *, keep: bool) -> list[Part]:
        parts = []
        with progress("reading archives", len(self._shards)) as advance:
            for path in self._shards:
                parts.append(index_archive(path, self._endings, self._layout, self._fields, self._skipped))
                advance()
        if keep or not any(part.captioned.any() for part in parts):
            return parts
        for part, path in zip(parts, self._shards, strict=True):
            without = part.keys.filter(pa.array(~part.captioned)).to_pylist()
            self._skipped += [(f"{path.name}: {key}", "no caption") for key in without]
        return [part.where(part.captioned) for part in parts]

    def _join(self, parts: list[Part]) -> None:
        keys = KeyIndex(part.keys for part in parts)
        shard = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part.keys) for part in parts])
        repeated = keys.repeated()
        if len(repeated) and self._fields.key is not None:
            kept = np.ones(len(keys), np.bool_)
            for position in repeated.tolist():
                first = next(keys.positions((keys[int(position)],)))
                if first != position:
                    kept[position] = False
                    place = f"{self._shards[shard[position]].name}: {keys[position]}"
                    self._skipped.append((place, f"this key stands in {self._shards[shard[first]].name} before"))
            parts = [part.where(kept[shard == number]) for number, part in enumerate(parts)]
            keys, shard = KeyIndex(part.keys for part in parts), shard[kept]
        elif len(repeated):
            names = _names(self._shards)
            for number in np.unique(shard[repeated]).tolist():
                prefixed = [f"{names[number]}/{key}" for key in parts[number].keys.to_pylist()]
                parts[number].keys = pa.array(prefixed, pa.large_string())
            keys = KeyIndex(part.keys for part in parts)
            for position in keys.repeated()[:1].tolist():
                raise VestigeError(
                    f"{self._name}: the key {keys[position]!r} stands for two samples: rename one of them"
                )
        if not len(keys):
            why = "".join(f" ({place}: {reason})" for place, reason in self._skipped[:1])
            raise VestigeError(f"{self._name}: no samples in {len(parts)} archives{why}")
        self._keys, self._shard = keys, shard
        self._starts = np.concatenate([[0], np.cumsum(np.concatenate([part.counts for part in parts]))])
        self._codes = np.concatenate([part.codes for part in parts])
        self._offsets = np.concatenate([part.offsets for part in parts])
        self._sizes = np.concatenate([part.sizes for part in parts])


def _one_of(option: str, value: str, *known: str) -> None:
    if value not in known:
        raise VestigeError(f"{option} is one of {', '.join(known)}, not {value!r}")


def _names(archives: Sequence[Path]) -> list[str]:
    """Names that tell archives apart: without their ending, below the folder that all share."""
    paths = [path.absolute() for path in archives]
    folder = commonpath([path.parent for path in paths])
    return [path.relative_to(folder).as_posix().removesuffix(".tar") for path in paths]
