"""Where samples come from. `open_source` is the only place where the name of a source is dispatched on."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from vestige.errors import VestigeError
from vestige.samples import Sample

__all__ = ["Source", "open_source"]


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


def _twemoji(**options: str) -> Source:
    from vestige.data.twemoji import Twemoji

    return _configured(Twemoji, "twemoji", options)


def _csv(location: str, **options: str) -> Source:
    from vestige.data.tables import CaptionTable

    return _configured(CaptionTable, "csv", options, Path(location))


def _folder(location: str, **options: str) -> Source:
    from vestige.data.folder import CaptionFolder

    return _configured(CaptionFolder, "folder", options, Path(location))


BUILT_IN: Mapping[str, Callable[..., Source]] = {"twemoji": _twemoji}
FORMATS: Mapping[str, Callable[..., Source]] = {"csv": _csv, "folder": _folder}


def open_source(name: str, **options: str) -> Source:
    """Open a source by name: a built-in one (`twemoji`), or `FORMAT:LOCATION` (`csv:pairs.csv`, `folder:DIR`).

    Args:
        name: the source.
        options: what the format leaves open, e.g. `image_column="path"` for `csv`; see each format's class.

    Raises:
        VestigeError: unknown name or option, or the location is not what the format expects.
    """
    if name in BUILT_IN:
        return BUILT_IN[name](**options)
    kind, separator, location = name.partition(":")
    if separator and kind in FORMATS and location:
        return FORMATS[kind](location, **options)
    known = [*BUILT_IN, *(f"{kind}:LOCATION" for kind in FORMATS)]
    hint = next((f"; for this path try {kind}:{name}" for kind in _guesses(name)), "")
    raise VestigeError(f"unknown data source {name!r}: known are {', '.join(known)}{hint}")


def _guesses(name: str) -> Iterator[str]:
    path = Path(name)
    if path.is_dir():
        yield "folder"
    elif path.suffix.lower() in {".csv", ".tsv", ".txt"}:
        yield "csv"


def _configured(cls: Callable[..., Source], name: str, options: Mapping[str, str], *location: Path) -> Source:
    known = [p for p in inspect.signature(cls).parameters if p != "path"]
    for option in options:
        if option not in known:
            names = ", ".join(known) if known else "none"
            raise VestigeError(f"data source {name!r} has no option {option!r}; its options: {names}")
    return cls(*location, **options)
