"""DataComp: img2dataset's archives, and tables of what is known of each sample, joined by `uid`."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vestige.data.formats.parquet import ParquetTable
from vestige.data.formats.webdataset import ARCHIVES, WebDataset
from vestige.errors import VestigeError
from vestige.samples import Sample

AT_ONCE = 256


class DataComp:
    """`shards/**.tar` with a `uid` in every sample's JSON, and `metadata/**.parquet` with `uid` and `text`.

    The key is the uid. The captions come from the metadata, where a sample's uid is in it, else from the archive.
    Samples of the metadata that could not be downloaded, or are not in the subset, are not there; those that the
    archives cannot give are listed.

    Args:
        path: the folder that holds `shards` and `metadata` (or the archives themselves, without metadata).
        caption_column: columns of the metadata with the captions, joined by commas.
        subset: a `.npy` of uids as DataComp's filters write it: only these samples.
    """

    def __init__(self, path: Path, caption_column: str = "text", subset: str | None = None) -> None:
        self._name = f"datacomp:{path}"
        if not path.is_dir():
            raise self._error("not a folder" if path.exists() else "no such folder")
        shards, metadata = path / "shards", path / "metadata"
        shards = shards if shards.is_dir() else path
        if not any(next(shards.rglob(f"*{ending}"), None) for ending in ARCHIVES):
            raise self._error("no archives below shards/: download them with DataComp's download_upstream.py")
        self._archives = WebDataset(shards, key="json:uid", missing_captions="keep")
        self._table = self._opened(metadata, caption_column) if metadata.is_dir() else None
        self._described = frozenset[str]() if self._table is None else self._table.keys()
        self._keys: Sequence[str] = self._archives.keys()
        if subset is not None:
            wanted = self._uids(Path(subset))
            self._keys = tuple(key for key in self._keys if _halves(key) in wanted)
            if not self._keys:
                raise self._error(f"none of its samples is in the subset {subset}: is it of another pool?")

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> Sequence[str]:
        return self._keys

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        found = self._archives.samples(keys)
        while window := list(islice(found, AT_ONCE)):
            texts = self._texts([sample.key for sample in window])
            for sample in window:
                yield replace(sample, captions=texts.get(sample.key, sample.captions))

    def skipped(self) -> Sequence[tuple[str, str]]:
        return self._archives.skipped()

    def _error(self, message: str) -> VestigeError:
        return VestigeError(f"{self._name}: {message}")

    def _opened(self, metadata: Path, caption_column: str) -> ParquetTable | None:
        if next(metadata.rglob("*.parquet"), None) is None:
            return None
        none = dict.fromkeys(("image_column", "audio_column", "video_column", "group_column", "label_column"), "none")
        options = {"key_column": "uid", "caption_column": caption_column, "objects_column": "none"}
        return ParquetTable(metadata, **none, **options, empty_captions="skip")

    def _texts(self, keys: Sequence[str]) -> dict[str, tuple[str, ...]]:
        if self._table is None:
            return {}
        known = [key for key in keys if key in self._described]
        return {sample.key: sample.captions for sample in self._table.samples(known)}

    def _uids(self, path: Path) -> set[tuple[int, int]]:
        """Pairs of the upper and the lower 64 bits."""
        try:
            uids: NDArray[np.void] = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise self._error(f"subset: {path} cannot be read as .npy ({' '.join(str(error).split())})") from error
        if uids.dtype != np.dtype("u8,u8") or uids.ndim != 1:
            raise self._error(f"subset: {path} holds {uids.dtype} {list(uids.shape)}, not a list of pairs (u8,u8)")
        return set(uids.tolist())


def _halves(uid: str) -> tuple[int, int] | None:
    """The two numbers of a uid of 32 hexadecimal digits; None for one that is none."""
    try:
        return (int(uid[:16], 16), int(uid[16:32], 16)) if len(uid) == 32 else None
    except ValueError:
        return None
