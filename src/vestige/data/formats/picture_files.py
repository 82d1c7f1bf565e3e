"""Downloaded pictures, found by their name without suffix whatever folder they lie in."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from vestige.data.formats.keyed import HashIndex, key_hash

SUFFIXES = frozenset({"", ".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
AT_ONCE = 65_536


class PictureFiles:
    """Files below a folder by stem: their names and some twenty bytes more are kept of each.

    Stems that are numbers are found without their leading zeros: `000000012.jpg` is "12".

    Args:
        folder: the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        names = [pa.array(part, pa.large_string()) for part in _parts(str(folder))]
        self._names: pa.Array = pa.concat_arrays([pa.array([], pa.large_string()), *names])
        hashes = (key_hash(_stem(name)) for part in self._names_at_once() for name in part)
        self._index = HashIndex(np.fromiter(hashes, np.int64, len(self._names)))

    def __len__(self) -> int:
        return len(self._names)

    def found(self, stems: Sequence[str]) -> Iterator[list[int]]:
        """Numbers of the files with each of these stems, without leading zeros."""
        for stem, candidates in self._index.candidates(stems):
            yield [number for number in candidates if _stem(self._names[number].as_py()) == stem]

    def path(self, number: int) -> Path:
        return self._folder / self._names[number].as_py()

    def _names_at_once(self) -> Iterator[list[str]]:
        for start in range(0, len(self._names), AT_ONCE):
            yield self._names.slice(start, AT_ONCE).to_pylist()


def plain(stem: str) -> str:
    """A number without leading zeros, anything else as it is."""
    return (stem.lstrip("0") or "0") if stem.isdecimal() else stem


def _stem(name: str) -> str:
    base = name.rpartition("/")[2]
    return plain(base.rpartition(".")[0] or base)


def _parts(folder: str) -> Iterator[list[str]]:
    """Names below a folder, some at a time."""
    names: list[str] = []
    for place, folders, files in os.walk(folder):
        folders.sort()
        below = os.path.relpath(place, folder)
        for file in sorted(files):
            if os.path.splitext(file)[1].lower() in SUFFIXES and not file.startswith("."):  # noqa: PTH122
                names.append(file if below == "." else f"{below}/{file}".replace(os.sep, "/"))
        if len(names) >= AT_ONCE:
            yield names
            names = []
    yield names
