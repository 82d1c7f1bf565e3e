"""One pass over a source: what is there, what is unreadable, which samples belong together.

The pass decodes every medium once. It lists what cannot be decoded, joins the groups of byte-identical files, and
keeps each medium as a small canvas in a memory-mapped file, so that no later epoch or model decodes it again.
"""

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from os import cpu_count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vestige.ahead import few_ahead
from vestige.data import Skipping, Source
from vestige.data.canvases import HELD, Canvases, CanvasKind, FreshCanvases, KeptCanvases, canvas_bytes
from vestige.data.grouping import joined_groups
from vestige.data.labels import LabelKind, label_names
from vestige.data.media import UnreadableMedia, content_of
from vestige.errors import VestigeError
from vestige.files import digest, read_json, read_table, replacing, write_json, write_table
from vestige.progress import Advance, progress
from vestige.samples import Modality, Sample

SHARD = 2048
MEDIA = tuple(modality for modality in Modality if modality != Modality.TEXT)
# A contrast is between two modalities.
LEAST_MODALITIES = 2

_SCHEMA = pa.schema(
    {
        "key": pa.string(),
        "group": pa.string(),
        "captions": pa.list_(pa.string()),
        "reason": pa.string(),
        "lacks": pa.string(),
        "labels": pa.list_(pa.string()),
    }
    | {f"{modality}_size": pa.list_(pa.int32(), 2) for modality in MEDIA}
    | {f"{modality}_content": pa.string() for modality in MEDIA}
)


@dataclass(frozen=True)
class Catalogue:
    """The usable samples of a source, N of them, in its order.

    Attributes:
        keys, groups: key and group of every sample; byte-identical media share a group.
        captions: all captions of every sample.
        labels: the labels of every sample by name; none unless they are wanted.
        sizes: by medium the size of every original, as its canvas kind gives it, int64 [N, 2]; 0 where there is none.
        contents: by medium, what tells the bytes of each sample's apart, by the sample's place; those that have it.
        rows: position of every sample in the source, int64 [N]: its row in the canvases.
        left_out: (place, reason) of records of which the source makes no sample.
        skipped: (key, reason) of samples that cannot be read.
        lacking: (key, what it lacks) of samples that have too few of the modalities wanted, or no label.
    """

    keys: tuple[str, ...]
    groups: tuple[str, ...]
    captions: tuple[tuple[str, ...], ...]
    labels: tuple[tuple[str, ...], ...]
    sizes: Mapping[Modality, NDArray[np.int64]]
    contents: Mapping[Modality, Mapping[int, str]]
    rows: NDArray[np.int64]
    left_out: tuple[tuple[str, str], ...]
    skipped: tuple[tuple[str, str], ...]
    lacking: tuple[tuple[str, str], ...]

    def __len__(self) -> int:
        return len(self.keys)

    def of(self, keys: Sequence[str]) -> "Catalogue":
        """Some of the samples, in this order.

        Raises:
            KeyError: there is no such sample.
        """
        place = {key: at for at, key in enumerate(self.keys)}
        chosen = [place[key] for key in keys]
        return replace(
            self,
            keys=tuple(keys),
            groups=tuple(self.groups[at] for at in chosen),
            captions=tuple(self.captions[at] for at in chosen),
            labels=tuple(self.labels[at] for at in chosen),
            sizes={modality: sizes[chosen] for modality, sizes in self.sizes.items()},
            contents={
                modality: {new: own[at] for new, at in enumerate(chosen) if at in own}
                for modality, own in self.contents.items()
            },
            rows=self.rows[chosen],
        )


def kept_bytes(source: Source, kinds: Mapping[Modality, CanvasKind]) -> int:
    """Bytes that the canvases of a source take."""
    return len(source) * sum(canvas_bytes(kind) for kind in kinds.values())


def read_catalogue(
    source: Source,
    directory: Path,
    kinds: Mapping[Modality, CanvasKind],
    *,
    text: bool = True,
    keep: bool = True,
    labels: LabelKind | None = None,
) -> Catalogue:
    """Read a source through, or take up a pass that was begun in `directory`.

    Args:
        source: where the samples come from.
        directory: where the pass keeps its shards and `canvases-<modality>.npy` ([N, ...]).
        kinds: the media that are wanted, and how their canvases are made.
        text: whether captions are wanted too.
        keep: whether the canvases are kept.
        labels: which labels are wanted; none when not given.

    A sample is used if it has at least two of the modalities that are wanted (the one, where one is), and a label where
    these are, and if all its media can be decoded.

    Raises:
        VestigeError: two samples of the source share a key, or the directory holds a pass over other samples.
    """
    keys = source.keys()
    if len(set(keys)) != len(keys):
        twice = Counter(keys).most_common(1)[0][0]
        raise VestigeError(f"the source holds the key {twice!r} twice: keys must be unique")
    wanted = {str(modality): repr(kind) for modality, kind in kinds.items()}
    about = {"samples": digest(*keys), "media": wanted, "text": text, "keep": keep}
    about |= {} if labels is None else {"labels": labels}
    if not (directory / "about.json").exists():
        write_json(directory / "about.json", about)
    elif read_json(directory / "about.json") != about:
        raise VestigeError(
            f"the samples of this run have changed since it began: start it in a new folder ({directory})"
        )
    rows = list(enumerate(keys))
    shards = [rows[start : start + SHARD] for start in range(0, len(rows), SHARD)]
    paths = [directory / f"samples-{number:05d}.parquet" for number in range(len(shards))]
    todo = [number for number, path in enumerate(paths) if not path.exists()]
    if todo:
        _read_shards(_Pass(source, directory, kinds, text, keep, labels), shards, paths, todo)
    before = tuple(source.skipped()) if isinstance(source, Skipping) else ()
    return _assemble([read_table(path) for path in paths], kinds, before)


def open_canvases(
    source: Source, catalogue: Catalogue, directory: Path, kinds: Mapping[Modality, CanvasKind]
) -> dict[Modality, Canvases]:
    """The canvases of a finished pass: memory-mapped if they were kept, else made anew each time they are asked for."""
    return {
        modality: KeptCanvases(np.load(_canvas_path(directory, modality), mmap_mode="r"), catalogue.rows)
        if _canvas_path(directory, modality).exists()
        else FreshCanvases(source, catalogue.keys, modality, kind)
        for modality, kind in kinds.items()
    }


def _canvas_path(directory: Path, modality: Modality) -> Path:
    return directory / f"canvases-{modality}.npy"


@dataclass(frozen=True)
class _Pass:
    """What is the same for all shards."""

    source: Source
    directory: Path
    kinds: Mapping[Modality, CanvasKind]
    text: bool
    keep: bool
    labels: LabelKind | None

    @property
    def least(self) -> int:
        """How many of the wanted modalities a sample has at least."""
        return min(LEAST_MODALITIES, len(self.kinds) + self.text)


def _read_shards(
    job: _Pass, shards: Sequence[Sequence[tuple[int, str]]], paths: Sequence[Path], todo: Sequence[int]
) -> None:
    job.directory.mkdir(parents=True, exist_ok=True)
    # Rows are filled shard by shard; a shard's table is written after its rows and vouches for them.
    canvases = _canvas_files(job) if job.keep else {}
    done = sum(len(shard) for number, shard in enumerate(shards) if number not in set(todo))
    with progress("reading", len(job.source), done=done) as advance, ThreadPoolExecutor(cpu_count()) as pool:
        for number in todo:
            rows = [row for row, _ in shards[number]]
            samples = job.source.samples([key for _, key in shards[number]])
            table = pa.Table.from_pylist(list(_records(job, pool, samples, rows, canvases, advance)), schema=_SCHEMA)
            for own in canvases.values():
                own.flush()
            write_table(paths[number], table)


def _canvas_files(job: _Pass) -> dict[Modality, np.memmap]:
    missing = {m: kind for m, kind in job.kinds.items() if not _canvas_path(job.directory, m).exists()}
    needed, free = kept_bytes(job.source, missing), shutil.disk_usage(job.directory).free
    if needed > free:
        # A memory-mapped file on a full disk ends the process without a word.
        raise VestigeError(
            f"{job.directory}: the decoded media take {needed:,} bytes and {free:,} are free: free some space, or"
            " lower data.cache_gigabytes to decode them anew each epoch"
        )
    return {modality: _canvas_file(job, modality, kind) for modality, kind in job.kinds.items()}


def _canvas_file(job: _Pass, modality: Modality, kind: CanvasKind) -> np.memmap:
    file, shape = _canvas_path(job.directory, modality), (len(job.source), *kind.shape)
    if not file.exists():
        with replacing(file) as temporary:
            np.lib.format.open_memmap(temporary, mode="w+", dtype=kind.dtype, shape=shape).flush()
    canvases = np.lib.format.open_memmap(file, mode="r+")
    if canvases.shape != shape:
        raise VestigeError(f"{file}: canvases of shape {canvases.shape}, expected {shape}: remove {job.directory}")
    return canvases


def _records(
    job: _Pass,
    pool: ThreadPoolExecutor,
    samples: Iterator[Sample],
    rows: Sequence[int],
    canvases: Mapping[Modality, np.memmap],
    advance: Advance,
) -> Iterator[dict[str, Any]]:
    def record(placed: tuple[int, Sample]) -> dict[str, Any]:
        row, sample = placed
        captions = [caption for caption in sample.captions if caption.strip()]
        named = [] if job.labels is None else list(label_names(sample, job.labels))
        known: dict[str, Any] = {"key": sample.key, "group": sample.group, "captions": captions, "labels": named}
        media = {modality: sample.media[modality] for modality in job.kinds if modality in sample.media}
        if len(media) + bool(job.text and captions) < job.least:
            lacks = [str(m) for m in job.kinds if m not in media] + ["text"] * bool(job.text and not captions)
            return known | {"lacks": f"has no {' and no '.join(lacks)}"}
        if job.labels is not None and not named:
            return known | {"lacks": f"has no {job.labels}"}
        try:
            for modality, medium in media.items():
                canvas, size = job.kinds[modality].make(medium)
                if modality in canvases:
                    canvases[modality][row] = canvas
                known[f"{modality}_size"] = size
                known[f"{modality}_content"] = content_of(medium)
        except UnreadableMedia as error:
            return {"key": sample.key, "group": sample.group, "captions": captions, "reason": str(error)}
        return known

    for known in few_ahead(pool, record, zip(rows, samples, strict=False), most=HELD * (cpu_count() or 1)):
        advance()
        yield known


def _assemble(
    tables: Sequence[pa.Table], kinds: Mapping[Modality, CanvasKind], left_out_by_source: tuple[tuple[str, str], ...]
) -> Catalogue:
    records = pa.concat_tables(tables).to_pydict() if tables else {name: [] for name in _SCHEMA.names}
    left_out = [reason or lacks for reason, lacks in zip(records["reason"], records["lacks"], strict=True)]
    usable = [row for row, why in enumerate(left_out) if why is None]
    contents = {
        modality: {
            place: content
            for place, row in enumerate(usable)
            if (content := records[f"{modality}_content"][row]) is not None
        }
        for modality in kinds
    }
    # The first medium tells samples apart: a drawing's twin is a twin, a noise that many share makes none.
    first = [next(contents[m][place] for m in kinds if place in contents[m]) for place in range(len(usable))]
    groups = joined_groups([(records["group"][row], own) for row, own in zip(usable, first, strict=True)])

    def sizes(modality: Modality) -> NDArray[np.int64]:
        found = [records[f"{modality}_size"][row] or (0, 0) for row in usable]
        return np.array(found, np.int64).reshape(-1, 2)

    def named(column: str) -> tuple[tuple[str, str], ...]:
        return tuple((key, own) for key, own in zip(records["key"], records[column], strict=True) if own is not None)

    return Catalogue(
        keys=tuple(records["key"][row] for row in usable),
        groups=tuple(groups),
        captions=tuple(tuple(records["captions"][row]) for row in usable),
        # Tables from before there were labels have none.
        labels=tuple(tuple(records["labels"][row]) if "labels" in records else () for row in usable),
        sizes={modality: sizes(modality) for modality in kinds},
        contents=contents,
        rows=np.array(usable, np.int64),
        left_out=left_out_by_source,
        skipped=named("reason"),
        lacking=named("lacks"),
    )
