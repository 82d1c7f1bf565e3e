"""The pass over the data: each sample prepared once and put through all models, shard by shard."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from os import cpu_count
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from safetensors.torch import save_file
from torch import Tensor

from vestige.ahead import ahead
from vestige.data import Source
from vestige.data.decoded import DecodedSource
from vestige.data.media import UnreadableMedia, decode_picture
from vestige.data.views import View
from vestige.embeddings.store import LOGITS, EmbeddingStore, pack_units
from vestige.errors import VestigeError
from vestige.files import digest, read_json, replacing, write_json, write_table
from vestige.metrics import UnitMemory, ssl_alignment
from vestige.models import CanvasEncoder, ClassifyingEncoder, Encoder, TextCutter, UnitEncoder
from vestige.progress import Advance, progress, say
from vestige.samples import Modality, Sample

STORAGE = {"float32": torch.float32, "float16": torch.float16}
_KEYS = pa.schema({"key": pa.string(), "reason": pa.string()})


@dataclass(frozen=True)
class EmbeddingConfig:
    """How samples are embedded."""

    views: int = 0
    """Views of each medium (random crops, shifts in time); 0 takes what is not augmented alone."""
    captions: str = "first"
    """Texts of a sample: first, or pool (each of its captions is a view)."""
    batch_size: int = 256
    """Samples in a forward pass."""
    shard_size: int = 4096
    """Samples in a file: what is done again when a run is killed."""
    storage: str = "float32"
    """Precision on disk: float32, or float16 (half the space, errors of about 1e-4 in a similarity)."""
    device: str = "cpu"
    """Where the models compute."""

    def __post_init__(self) -> None:
        for name, known in (("captions", ("first", "pool")), ("storage", tuple(STORAGE))):
            if getattr(self, name) not in known:
                raise VestigeError(f"embedding.{name} is one of {', '.join(known)}, not {getattr(self, name)!r}")
        for name, least in (("views", 0), ("batch_size", 1), ("shard_size", 1)):
            if getattr(self, name) < least:
                raise VestigeError(f"embedding.{name} must be at least {least}, not {getattr(self, name)}")


def embed(
    encoders: Mapping[str, Encoder],
    source: Source,
    directory: Path,
    config: EmbeddingConfig,
    *,
    seed: int,
    watched: Mapping[str, Collection[str]] | None = None,
    label: str = "embedding",
) -> dict[str, EmbeddingStore]:
    """Embed all samples of a source with all models, in one pass over the data; finished shards are not done again.

    Args:
        encoders: the models by name.
        source: the samples.
        directory: the store of each model is `directory/<name>`.
        config: how.
        seed: of the views.
        watched: by model, the keys of the samples over which its units are watched (`EmbeddingStore.units`); none
            when not given.
        label: what the progress bar says.

    Raises:
        VestigeError: `directory` holds embeddings of other models or of other settings, or a model to be watched has
            no units that can be.
    """
    keys = source.keys()
    shards = [keys[start : start + config.shard_size] for start in range(0, len(keys), config.shard_size)]
    watched = watched or {}
    for name, encoder in encoders.items():
        if name in watched and not isinstance(encoder, UnitEncoder):
            raise VestigeError(
                f"the units of {name} cannot be watched: unitmem needs an encoder with encode_with_units"
            )
        _claim(directory / name, encoder, config, seed, keys, digest(*sorted(watched.get(name, ()))))
    last = directory / list(encoders)[-1]
    todo = [number for number in range(len(shards)) if not (last / f"{number:05d}.parquet").exists()]
    if todo:
        done = len(keys) - sum(len(shards[number]) for number in todo)
        cut: Counter[str] = Counter()
        with progress(label, len(keys), done=done) as advance, ThreadPoolExecutor(cpu_count()) as pool:
            for number in todo:
                job = _Job(
                    encoders, source, directory, config, seed, {name: set(keys) for name, keys in watched.items()}
                )
                cut += _embed_shard(job, shards[number], number, pool, advance)
        for name, encoder in encoders.items():
            if cut[encoder.preprocessing]:
                say(f"{cut[encoder.preprocessing]} captions are longer than {name} reads: the rest is cut off")
    return {name: EmbeddingStore(directory / name) for name in encoders}


def _claim(
    directory: Path, encoder: Encoder, config: EmbeddingConfig, seed: int, keys: Sequence[str], watched: str
) -> None:
    about = {
        "fingerprint": encoder.fingerprint,
        "modalities": [str(modality) for modality in encoder.modalities],
        "views": config.views,
        "captions": config.captions,
        "storage": config.storage,
        "shard_size": config.shard_size,
        "seed": seed,
        "shards": -(-len(keys) // config.shard_size),
        "samples": digest(*keys),
        "watched": watched,
    }
    path = directory / "about.json"
    if path.exists():
        found = read_json(path)
        if found != about:
            differs = next(name for name in about if found.get(name) != about[name])
            raise VestigeError(
                f"{directory} holds embeddings of another run ({differs}: {json.dumps(found.get(differs))} there,"
                f" {json.dumps(about[differs])} now): name another directory, or remove it"
            )
    else:
        write_json(path, about)


@dataclass(frozen=True)
class _Job:
    """What is the same for all shards."""

    encoders: Mapping[str, Encoder]
    source: Source
    directory: Path
    config: EmbeddingConfig
    seed: int
    watched: Mapping[str, Collection[str]]


@dataclass(frozen=True)
class _Prepared:
    """One sample as tensors: un-augmented, and its views (of its media drawn, of its text its captions)."""

    plain: Mapping[Modality, Tensor]
    views: Mapping[Modality, Tensor]


@dataclass(frozen=True)
class _Batch:
    """Some samples, prepared.

    Attributes:
        records: key of every sample, and why it cannot be embedded, if it cannot.
        rows, keys: of those that can, the row in the source and the key.
        prepared: by preprocessing, the tensors of those that can.
        cut: by preprocessing, how many of their captions are longer than is read, where that is known.
    """

    records: Sequence[dict[str, str | None]]
    rows: Sequence[int]
    keys: Sequence[str]
    prepared: Mapping[str, Sequence[_Prepared]]
    cut: Counter[str] = field(default_factory=Counter)


def _embed_shard(
    job: _Job, keys: Sequence[str], number: int, pool: ThreadPoolExecutor, advance: Advance
) -> Counter[str]:
    """Embed and write one shard; by preprocessing, how many captions were too long."""
    cut: Counter[str] = Counter()
    parts: dict[str, list[dict[str, Tensor]]] = {name: [] for name in job.encoders}
    units: dict[str, dict[str, UnitMemory]] = {name: {} for name in job.watched}
    records: list[dict[str, str | None]] = []
    first = number * job.config.shard_size
    # On processors alone the models take every core, and preparing beside them slows both: turn by turn is faster.
    turns = map if job.config.device == "cpu" else ahead
    for batch in turns(lambda found: _prepare_batch(job, *found, pool), _batches(job, keys, first)):
        records += batch.records
        cut += batch.cut
        for name, encoder in job.encoders.items() if batch.rows else ():
            prepared = batch.prepared[encoder.preprocessing]
            tensors, activations = _embed_batch(encoder, prepared, job.config, watch=name in job.watched)
            parts[name].append(tensors)
            if name in job.watched:
                seen = [place for place, key in enumerate(batch.keys) if key in job.watched[name]]
                _observe(units[name], activations, seen, [batch.rows[place] for place in seen])
        advance(len(batch.records))
    for name in job.encoders:
        tensors = {}
        if parts[name]:
            joined = {tensor: torch.cat([part[tensor] for part in parts[name]]) for tensor in parts[name][0]}
            tensors = {tensor: _stored(value, job.config) for tensor, value in joined.items()}
        with replacing(job.directory / name / f"{number:05d}.safetensors") as temporary:
            save_file(tensors, temporary)
        if name in job.watched:
            with replacing(job.directory / name / f"{number:05d}.units.safetensors") as temporary:
                save_file(pack_units(units[name]), temporary)
        # The keys are written last: their file says that the shard is whole.
        write_table(job.directory / name / f"{number:05d}.parquet", pa.Table.from_pylist(records, schema=_KEYS))
    return cut


def _batches(job: _Job, keys: Sequence[str], first: int) -> Iterator[tuple[int, Sequence[str], Sequence[Sample]]]:
    """(row of the first sample in the source, keys, samples) of every batch; no samples where canvases serve."""
    size = job.config.batch_size
    parts = [keys[start : start + size] for start in range(0, len(keys), size)]
    if _on_canvases(job):
        samples: Iterator[Sample] = iter(())
    else:
        samples = job.source.samples(keys)
    for number, part in enumerate(parts):
        yield first + number * size, part, list(islice(samples, len(part)))


def _on_canvases(job: _Job) -> bool:
    """Whether the source is decoded already, to what all models read."""
    return isinstance(job.source, DecodedSource) and all(
        isinstance(encoder, CanvasEncoder) and encoder.inputs == job.source.examples.inputs
        for encoder in job.encoders.values()
    )


def _prepare_batch(
    job: _Job, first: int, keys: Sequence[str], samples: Sequence[Sample], pool: ThreadPoolExecutor
) -> _Batch:
    # One encoder of each preprocessing prepares for all that share it.
    preparers = {encoder.preprocessing: encoder for encoder in job.encoders.values()}
    if not samples:
        records = [{"key": key, "reason": None} for key in keys]
        prepared = {name: _drawn(job, preparer, keys) for name, preparer in preparers.items()}
        return _Batch(records, range(first, first + len(keys)), keys, prepared)
    found = list(pool.map(lambda sample: _prepare_all(job, preparers, sample), samples))
    reasons = [own if isinstance(own, str) else None for own in found]
    good = [place for place, reason in enumerate(reasons) if reason is None]
    return _Batch(
        records=[{"key": key, "reason": reason} for key, reason in zip(keys, reasons, strict=True)],
        rows=[first + place for place in good],
        keys=[keys[place] for place in good],
        prepared={name: [own[name] for own in found if not isinstance(own, str)] for name in preparers},
        cut=_cut(job, preparers, [samples[place] for place in good]),
    )


def _cut(job: _Job, preparers: Mapping[str, Encoder], samples: Sequence[Sample]) -> Counter[str]:
    count = None if job.config.captions == "pool" else 1
    captions = [caption for sample in samples for caption in sample.captions[:count]]
    cutters = {name: own for name, own in preparers.items() if isinstance(own, TextCutter)}
    return Counter({name: own.count_cut(captions) for name, own in cutters.items() if captions})


def _prepare_all(job: _Job, preparers: Mapping[str, Encoder], sample: Sample) -> dict[str, _Prepared] | str:
    """The sample by preprocessing, or why it cannot be embedded."""
    try:
        if Modality.IMAGE in sample.media and any(Modality.IMAGE in own.modalities for own in preparers.values()):
            # Decoded once for all views and preparers.
            picture = decode_picture(sample.media[Modality.IMAGE])
            sample = replace(sample, media={**sample.media, Modality.IMAGE: picture})
        return {name: _prepare(preparer, sample, job) for name, preparer in preparers.items()}
    except UnreadableMedia as error:
        return str(error)


def _prepare(encoder: Encoder, sample: Sample, job: _Job) -> _Prepared:
    plain = encoder.prepare(sample, None)
    views: dict[Modality, Tensor] = {}
    media = [modality for modality in plain if modality != Modality.TEXT]
    if job.config.views and media:
        silent = replace(sample, captions=())
        drawn = [encoder.prepare(silent, View(job.seed, epoch)) for epoch in range(job.config.views)]
        views = {modality: torch.stack([own[modality] for own in drawn]) for modality in media}
    if job.config.captions == "pool" and Modality.TEXT in plain and len(sample.captions) > 1:
        texts = [replace(sample, media={}, captions=(caption,)) for caption in sample.captions]
        views[Modality.TEXT] = torch.stack([encoder.prepare(text, None)[Modality.TEXT] for text in texts])
    return _Prepared(plain, views)


def _drawn(job: _Job, encoder: Encoder, keys: Sequence[str]) -> list[_Prepared]:
    """Samples from their canvases: what `_prepare` makes of them, decoding nothing."""
    assert isinstance(job.source, DecodedSource)
    assert isinstance(encoder, CanvasEncoder)
    examples, positions = job.source.examples, np.array(job.source.positions(keys), dtype=np.int64)
    plain: list[dict[Modality, Tensor]] = [{} for _ in keys]
    views: list[dict[Modality, list[Tensor]]] = [{} for _ in keys]
    for view in (None, *(View(job.seed, epoch) for epoch in range(job.config.views))):
        for modality in examples.inputs:
            rows = encoder.from_canvases(modality, examples.media(modality, positions, view))
            for place, row in zip(np.flatnonzero(examples.present[modality][positions]), rows, strict=True):
                if view is None:
                    plain[place][modality] = row
                else:
                    views[place].setdefault(modality, []).append(row)
    if Modality.TEXT in encoder.modalities:
        for place, position in enumerate(positions.tolist()):
            count = int(examples.counts[position])
            texts = examples.tokens(np.full(count, position), np.arange(count))
            if count:
                plain[place][Modality.TEXT] = texts[0]
            if job.config.captions == "pool" and count > 1:
                views[place][Modality.TEXT] = list(texts)
    return [
        _Prepared(own, {modality: torch.stack(rows) for modality, rows in drawn.items()})
        for own, drawn in zip(plain, views, strict=True)
    ]


def _embed_batch(
    encoder: Encoder, prepared: Sequence[_Prepared], config: EmbeddingConfig, *, watch: bool
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(what is kept of each sample, activations of each layer averaged over views [B, U] if watched)."""
    tensors: dict[str, Tensor] = {}
    activations: dict[str, Tensor] = {}
    missing = []
    for modality in encoder.modalities:
        has = [place for place, sample in enumerate(prepared) if modality in sample.plain]
        if not has:
            missing.append(modality)
            continue
        stacked = torch.stack([prepared[place].plain[modality] for place in has])
        x, units = _forward(encoder, modality, stacked, watch=watch)
        found = {str(modality): x}
        if isinstance(encoder, ClassifyingEncoder):
            found[LOGITS] = encoder.logits({modality: stacked})
        if _augmented(modality, config):
            views = [prepared[place].views.get(modality) for place in has]
            found |= _view_summaries(encoder, modality, x, units, views)
        tensors |= {name: _spread(own, has, len(prepared)) for name, own in found.items()}
        activations |= {layer: _spread(own, has, len(prepared)) for layer, own in units.items()}
    if missing and not tensors:
        raise VestigeError(f"the model embeds {' and '.join(missing)}, which {len(prepared)} samples do not have")
    for modality in missing:
        nothing = torch.full_like(next(iter(tensors.values())), torch.nan)
        tensors[modality] = nothing
        if _augmented(modality, config):
            tensors[f"{modality}_mean"] = nothing
            tensors |= {f"{modality}_{name}": nothing[:, 0] for name in ("ssl", "ssl_anchor")}
    return tensors, activations


def _augmented(modality: Modality, config: EmbeddingConfig) -> bool:
    return config.captions == "pool" if modality == Modality.TEXT else config.views > 0


def _spread(rows: Tensor, places: Sequence[int], count: int) -> Tensor:
    """Rows at their places among `count`; NaN in the places of samples that lack the modality."""
    if len(places) == count:
        return rows
    return rows.new_full((count, *rows.shape[1:]), torch.nan).index_copy_(0, torch.tensor(places), rows)


def _forward(encoder: Encoder, modality: Modality, batch: Tensor, *, watch: bool) -> tuple[Tensor, dict[str, Tensor]]:
    if watch and isinstance(encoder, UnitEncoder):
        found, units = encoder.encode_with_units({modality: batch})
    else:
        found, units = encoder.encode({modality: batch}), {}
    embedding = found[modality]
    if not torch.isfinite(embedding).all():
        raise VestigeError(f"the model's {modality} embeddings hold NaN or infinity: it is not a usable model")
    return embedding, units


def _view_summaries(
    encoder: Encoder, modality: Modality, x: Tensor, units: dict[str, Tensor], views: Sequence[Tensor | None]
) -> dict[str, Tensor]:
    """Mu and the SSL alignments of one modality; the activations in `units` become means over views, in place.

    Samples are taken together by their number of views; those without keep what they have un-augmented.
    """
    mean, pairs, anchored = x.clone(), x.new_full((len(x),), torch.nan), x.new_full((len(x),), torch.nan)
    counts = [0 if own is None else len(own) for own in views]
    for count in sorted(set(counts) - {0}):
        rows = [row for row, own in enumerate(counts) if own == count]
        stacked = torch.stack([own for own in views if own is not None and len(own) == count])
        # Views go through the model in as many rounds as there are views, each no larger than the plain batch.
        rounds = [_forward(encoder, modality, stacked[:, k], watch=bool(units)) for k in range(count)]
        own = torch.stack([embedding for embedding, _ in rounds], dim=1)
        mean[rows] = own.mean(dim=1)
        anchored[rows] = ssl_alignment(own, anchor=x[rows])
        if count > 1:
            pairs[rows] = ssl_alignment(own)
        for layer in units:
            averaged = torch.stack([seen[layer] for _, seen in rounds]).mean(dim=0)
            units[layer] = units[layer].index_copy(0, torch.tensor(rows), averaged)
    return {f"{modality}_mean": mean, f"{modality}_ssl": pairs, f"{modality}_ssl_anchor": anchored}


def _stored(value: Tensor, config: EmbeddingConfig) -> Tensor:
    """Vectors in the storage precision; scalars are few and stay as they are."""
    return (value.to(STORAGE[config.storage]) if value.ndim == 2 else value).contiguous()


def _observe(
    units: dict[str, UnitMemory], activations: Mapping[str, Tensor], rows: Sequence[int], samples: Sequence[int]
) -> None:
    for layer, activation in activations.items():
        state = units.setdefault(layer, UnitMemory(activation.shape[1]))
        own, named = activation[list(rows)], torch.tensor(samples, dtype=torch.long)
        # Samples that lack the modality of this layer have nothing to be remembered by.
        has = ~own.isnan().all(dim=1)
        state.update(own[has], named[has])
