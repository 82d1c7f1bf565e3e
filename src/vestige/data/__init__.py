"""Where samples come from. `open_source` is the only place where the name of a source is dispatched on."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Protocol, runtime_checkable

from vestige.errors import VestigeError
from vestige.samples import Sample

__all__ = ["Skipping", "Source", "open_source"]


@runtime_checkable
class Source(Protocol):
    """A finite, key-addressed collection of samples."""

    def __len__(self) -> int: ...

    def keys(self) -> Sequence[str]:
        """All keys, unique, in a fixed order."""
        ...

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        """The samples of these keys, in the order asked for. Media are not decoded."""
        ...


@runtime_checkable
class Skipping(Source, Protocol):
    """A source that left out records of which no sample can be made."""

    def skipped(self) -> Sequence[tuple[str, str]]:
        """(key or place, reason) of each."""
        ...


BUILT_IN: Mapping[str, str] = {
    "asterisk": "vestige.data.builtin.asterisk:Asterisk",
    "emoji-fluent": "vestige.data.builtin.emoji_vendors:fluent",
    "emoji-google": "vestige.data.builtin.emoji_vendors:google",
    "emoji-openmoji": "vestige.data.builtin.emoji_vendors:openmoji",
    "emoji-twemoji": "vestige.data.builtin.emoji_vendors:twemoji",
    "emoji-vendors": "vestige.data.builtin.emoji_vendors:EmojiVendors",
    "fashion-mnist": "vestige.data.builtin.fashion_mnist:FashionMnist",
    "openclipart": "vestige.data.builtin.openclipart:Openclipart",
    "tuxpaint": "vestige.data.builtin.tuxpaint:Tuxpaint",
    "twemoji": "vestige.data.builtin.twemoji:Twemoji",
    "wesnoth": "vestige.data.builtin.wesnoth:Wesnoth",
}
"""Built-in sources by name, as `module:class`. A class takes its options as keyword arguments, all strings."""

FORMATS: Mapping[str, str] = {
    "audiofolder": "vestige.data.formats.mediafolders:AudioFolder",
    "csv": "vestige.data.formats.tables:CaptionTable",
    "folder": "vestige.data.formats.folder:CaptionFolder",
    "tsv": "vestige.data.formats.captions_tsv:CaptionTsv",
    "parquet": "vestige.data.formats.parquet:ParquetTable",
    "coco": "vestige.data.formats.coco:Coco",
    "datacomp": "vestige.data.formats.datacomp:DataComp",
    "msrvtt": "vestige.data.formats.msrvtt:MsrVtt",
    "urbansound8k": "vestige.data.formats.urbansound8k:UrbanSound8K",
    "hf": "vestige.data.formats.hub:HuggingFace",
    "imagefolder": "vestige.data.formats.mediafolders:ImageFolder",
    "videofolder": "vestige.data.formats.mediafolders:VideoFolder",
    "webdataset": "vestige.data.formats.webdataset:WebDataset",
}
"""Outside formats by name, as `module:class`. A class takes its location (a path) first, then options as above."""


def open_source(name: str, **options: str) -> Source:
    """Open a source by name: a built-in one (`twemoji`), or `FORMAT:LOCATION` (`csv:pairs.csv`, `folder:DIR`).

    Args:
        name: the source.
        options: what the format leaves open, e.g. `image_column="path"` for `csv`; see each format's class.

    Raises:
        VestigeError: unknown name or option, or the location is not what the format expects.
    """
    if name in BUILT_IN:
        return _configured(BUILT_IN[name], name, options)
    kind, separator, location = name.partition(":")
    if separator and kind in FORMATS and location:
        return _configured(FORMATS[kind], kind, options, Path(location))
    if kind in FORMATS:
        raise VestigeError(f"{kind} is a format: name the file or folder too, as {kind}:LOCATION")
    like = likely_name(name)
    if like is not None:
        raise VestigeError(f"unknown data source {name!r}: for this path try {like}")
    known = [*BUILT_IN, *(f"{kind}:LOCATION" for kind in FORMATS)]
    raise VestigeError(f"unknown data source {name!r}: known are {', '.join(known)}")


def likely_name(path: str) -> str | None:
    """The source that a bare path seems to mean, `FORMAT:PATH`, or None."""
    place = Path(path)
    if place.is_dir():
        return f"{_folder_kind(place)}:{path}"
    kind = _FILE_KINDS.get(place.suffix.lower())
    return None if kind is None else f"{kind}:{path}"


_FILE_KINDS = {".tar": "webdataset", ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".parquet": "parquet"}


def _folder_kind(folder: Path) -> str:
    """The format that a folder looks like."""
    names = {entry.name for entry in islice(folder.iterdir(), 10_000)}
    if (folder / "annotations").is_dir():
        return "coco"
    if {"shards", "metadata"} <= names:
        return "datacomp"
    if (folder / "metadata" / "UrbanSound8K.csv").exists():
        return "urbansound8k"
    if any(name.endswith("videodatainfo.json") or name == "MSRVTT_data.json" for name in names):
        return "msrvtt"
    if any(name.endswith(".tar") for name in names):
        return "webdataset"
    if names & {"dataset_info.json", "dataset_dict.json"} or any(name.endswith(".parquet") for name in names):
        return "hf"
    return "imagefolder" if any(name.startswith("metadata.") for name in names) else "folder"


def _configured(home: str, name: str, options: Mapping[str, str], *location: Path) -> Source:
    module, _, cls = home.partition(":")
    made: Callable[..., Source] = getattr(import_module(module), cls)
    known = list(inspect.signature(made).parameters)[len(location) :]
    for option in options:
        if option not in known:
            names = ", ".join(known) if known else "none"
            raise VestigeError(f"data source {name!r} has no option {option!r}; its options: {names}")
    return made(*location, **options)
