"""One pass over a source: what is there, what is unreadable, which samples belong together.

The pass decodes every picture once. It lists what cannot be decoded, joins the groups of byte-identical files, and
keeps each picture as a small canvas in a memory-mapped file, so that no later epoch or model decodes it again.
"""

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from vestige.data import Source
from vestige.data.media import UnreadableMedia, content_hash, decode_picture, encoded
from vestige.errors import VestigeError
from vestige.files import digest, read_json, read_table, replacing, write_json, write_table
from vestige.progress import Advance, progress
from vestige.samples import Modality, Sample

SHARD = 2048

_SCHEMA = pa.schema(
    {
        "key": pa.string(),
        "group": pa.string(),
        "captions": pa.list_(pa.string()),
        "width": pa.int32(),
        "height": pa.int32(),
        "content": pa.string(),
        "reason": pa.string(),
    }
)


@dataclass(frozen=True)
class Catalogue:
    """The usable samples of a source, N of them, in its order.

    Attributes:
        keys, groups: key and group of every sample; byte-identical pictures share a group.
        captions: all captions of every sample.
        sizes: (width, height) in pixels, int64 [N, 2].
        rows: position of every sample in the source, int64 [N]: its row in the canvases.
        skipped: (key, reason) of the samples that cannot be used.
    """

    keys: tuple[str, ...]
    groups: tuple[str, ...]
    captions: tuple[tuple[str, ...], ...]
    sizes: NDArray[np.int64]
    rows: NDArray[np.int64]
    skipped: tuple[tuple[str, str], ...]

    def __len__(self) -> int:
        return len(self.keys)


def canvas_bytes(source: Source, side: int) -> int:
    """Bytes that the canvases of a source take."""
    return len(source) * 3 * side * side


def read_catalogue(source: Source, directory: Path, *, side: int | None) -> Catalogue:
    """Read a source through, or take up a pass that was begun in `directory`.

    Args:
        source: where the samples come from.
        directory: where the pass keeps its shards and `canvases.npy` (uint8 [N, 3, side, side], whole pictures
            squeezed to squares).
        side: side of the canvases; None keeps none.

    Raises:
        VestigeError: two samples of the source share a key, or the directory holds a pass over other samples.
    """
    keys = source.keys()
    about = {"samples": digest(*keys), "side": side}
    if not (directory / "about.json").exists():
        write_json(directory / "about.json", about)
    elif read_json(directory / "about.json") != about:
        raise VestigeError(
            f"the samples of this run have changed since it began: start it in a new folder ({directory})"
        )
    if len(set(keys)) != len(keys):
        twice = Counter(keys).most_common(1)[0][0]
        raise VestigeError(f"the source holds the key {twice!r} twice: keys must be unique")
    rows = list(enumerate(keys))
    shards = [rows[start : start + SHARD] for start in range(0, len(rows), SHARD)]
    paths = [directory / f"samples-{number:05d}.parquet" for number in range(len(shards))]
    todo = [number for number, path in enumerate(paths) if not path.exists()]
    if todo:
        _read_shards(source, shards, paths, todo, directory, side)
    return _assemble([read_table(path) for path in paths])


def open_canvases(directory: Path) -> NDArray[np.uint8]:
    """The canvases of a finished pass, memory-mapped, [rows of the source, 3, side, side]."""
    return np.load(directory / "canvases.npy", mmap_mode="r")


def _read_shards(
    source: Source,
    shards: Sequence[Sequence[tuple[int, str]]],
    paths: Sequence[Path],
    todo: Sequence[int],
    directory: Path,
    side: int | None,
) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    # Rows are filled shard by shard; a shard's table is written after its rows and vouches for them.
    file = directory / "canvases.npy"
    canvases = _canvas_file(file, len(source), side) if side is not None else None
    done = sum(len(shard) for number, shard in enumerate(shards) if number not in set(todo))
    with progress("reading pictures", len(source), done=done) as advance, ThreadPoolExecutor(cpu_count()) as pool:
        for number in todo:
            rows = [row for row, _ in shards[number]]
            samples = source.samples([key for _, key in shards[number]])
            table = pa.Table.from_pylist(list(_records(pool, samples, rows, canvases, advance)), schema=_SCHEMA)
            if canvases is not None:
                canvases.flush()
            write_table(paths[number], table)


def _canvas_file(file: Path, length: int, side: int) -> np.memmap:
    shape = (length, 3, side, side)
    if not file.exists():
        needed, free = 3 * length * side * side, shutil.disk_usage(file.parent).free
        if needed > free:
            # A memory-mapped file on a full disk ends the process without a word.
            raise VestigeError(
                f"{file.parent}: the decoded pictures take {needed:,} bytes and {free:,} are free: free some space, or"
                " lower data.cache_gigabytes to decode them anew each epoch"
            )
        with replacing(file) as temporary:
            np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape).flush()
    canvases = np.lib.format.open_memmap(file, mode="r+")
    if canvases.shape != shape:
        raise VestigeError(f"{file}: canvases of shape {canvases.shape}, expected {shape}: remove {file.parent}")
    return canvases


def _records(
    pool: ThreadPoolExecutor,
    samples: Iterator[Sample],
    rows: Sequence[int],
    canvases: np.memmap | None,
    advance: Advance,
) -> Iterator[dict[str, Any]]:
    def record(row: int, sample: Sample) -> dict[str, Any]:
        known = {"key": sample.key, "group": sample.group, "captions": list(sample.captions)}
        try:
            medium = sample.media[Modality.IMAGE]
            content = content_hash(encoded(medium))
            picture = decode_picture(medium)
        except UnreadableMedia as error:
            return known | {"reason": str(error)}
        if canvases is not None:
            side = canvases.shape[-1]
            canvases[row] = np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
        return known | {"width": picture.width, "height": picture.height, "content": content}

    for known in pool.map(record, rows, samples):
        advance()
        yield known


def _assemble(tables: Sequence[pa.Table]) -> Catalogue:
    records = pa.concat_tables(tables).to_pydict()
    usable = [row for row, reason in enumerate(records["reason"]) if reason is None]
    groups = joined_groups([(records["group"][row], records["content"][row]) for row in usable])
    return Catalogue(
        keys=tuple(records["key"][row] for row in usable),
        groups=tuple(groups),
        captions=tuple(tuple(records["captions"][row]) for row in usable),
        sizes=np.array([(records["width"][row], records["height"][row]) for row in usable], np.int64).reshape(-1, 2),
        rows=np.array(usable, np.int64),
        skipped=tuple(
            (key, reason) for key, reason in zip(records["key"], records["reason"], strict=True) if reason is not None
        ),
    )


def joined_groups(members: Sequence[tuple[str, str]]) -> list[str]:
    """One group for samples that share a declared group or the same bytes, directly or through others.

    Args:
        members: (declared group, content hash) of every sample.

    Returns:
        The group of every sample: the name of the first declared group among those joined.
    """
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(node: tuple[str, str]) -> tuple[str, str]:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for group, content in members:
        parent[root(("content", content))] = root(("group", group))
    names: dict[tuple[str, str], str] = {}
    for group, _ in members:
        names.setdefault(root(("group", group)), group)
    return [names[root(("group", group))] for group, _ in members]
