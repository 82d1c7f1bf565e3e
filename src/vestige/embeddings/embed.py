"""The pass over the data: each sample prepared once and put through all models, shard by shard."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from os import cpu_count
from pathlib import Path

import pyarrow as pa
import torch
from safetensors.torch import save_file
from torch import Tensor

from vestige.ahead import ahead
from vestige.data import Source
from vestige.data.media import UnreadableMedia, decode_picture
from vestige.data.views import View
from vestige.embeddings.store import EmbeddingStore, pack_units
from vestige.errors import VestigeError
from vestige.files import digest, read_json, replacing, write_json, write_table
from vestige.metrics import UnitMemory, ssl_alignment
from vestige.models import Encoder, UnitEncoder
from vestige.progress import Advance, progress
from vestige.samples import Modality, Sample

STORAGE = {"float32": torch.float32, "float16": torch.float16}
_KEYS = pa.schema({"key": pa.string(), "reason": pa.string()})


@dataclass(frozen=True)
class EmbeddingConfig:
    """How samples are embedded."""

    views: int = 0
    """Random crops of each picture; 0 takes the un-augmented picture alone."""
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
            raise VestigeError(f"the units of {name} cannot be watched: unitmem needs an OpenCLIP model")
        _claim(directory / name, encoder, config, seed, len(shards), digest(*sorted(watched.get(name, ()))))
    last = directory / list(encoders)[-1]
    todo = [number for number in range(len(shards)) if not (last / f"{number:05d}.parquet").exists()]
    if todo:
        done = len(keys) - sum(len(shards[number]) for number in todo)
        with progress(label, len(keys), done=done) as advance, ThreadPoolExecutor(cpu_count()) as pool:
            for number in todo:
                samples = source.samples(shards[number])
                job = _Job(encoders, directory, config, seed, {name: set(keys) for name, keys in watched.items()})
                _embed_shard(job, samples, number, pool, advance)
    return {name: EmbeddingStore(directory / name) for name in encoders}


def _claim(directory: Path, encoder: Encoder, config: EmbeddingConfig, seed: int, shards: int, watched: str) -> None:
    about = {
        "fingerprint": encoder.fingerprint,
        "modalities": [str(modality) for modality in encoder.modalities],
        "views": config.views,
        "captions": config.captions,
        "storage": config.storage,
        "shard_size": config.shard_size,
        "seed": seed,
        "shards": shards,
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
    directory: Path
    config: EmbeddingConfig
    seed: int
    watched: Mapping[str, Collection[str]]


@dataclass(frozen=True)
class _Prepared:
    """One sample as tensors: un-augmented, its random crops, its captions."""

    plain: Mapping[Modality, Tensor]
    views: Mapping[Modality, Tensor]


@dataclass(frozen=True)
class _Batch:
    """Some samples, prepared.

    Attributes:
        records: key of every sample, and why it cannot be embedded, if it cannot.
        rows, keys: of those that can, the row in the source and the key.
        prepared: by preprocessing, the tensors of those that can.
    """

    records: Sequence[dict[str, str | None]]
    rows: Sequence[int]
    keys: Sequence[str]
    prepared: Mapping[str, Sequence[_Prepared]]


def _embed_shard(job: _Job, samples: Iterator[Sample], number: int, pool: ThreadPoolExecutor, advance: Advance) -> None:
    parts: dict[str, list[dict[str, Tensor]]] = {name: [] for name in job.encoders}
    units: dict[str, dict[str, UnitMemory]] = {name: {} for name in job.watched}
    records: list[dict[str, str | None]] = []
    batches = _batches(samples, number * job.config.shard_size, job.config.batch_size)
    for batch in ahead(lambda found: _prepare_batch(job, *found, pool), batches):
        records += batch.records
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


def _prepare_batch(job: _Job, first: int, samples: Sequence[Sample], pool: ThreadPoolExecutor) -> _Batch:
    decoded = list(pool.map(_decoded, samples))
    rows = [first + place for place, (_, reason) in enumerate(decoded) if reason is None]
    good = [sample for sample, reason in decoded if reason is None]
    # One encoder of each preprocessing prepares for all that share it.
    preparers = {encoder.preprocessing: encoder for encoder in job.encoders.values()}
    return _Batch(
        records=[{"key": sample.key, "reason": reason} for sample, reason in decoded],
        rows=rows,
        keys=[sample.key for sample in good],
        prepared={
            name: list(pool.map(lambda sample, p=preparer: _prepare(p, sample, job), good))
            for name, preparer in preparers.items()
        },
    )


def _batches(samples: Iterator[Sample], first: int, size: int) -> Iterator[tuple[int, list[Sample]]]:
    """(row of the first sample in the source, samples) of every batch."""
    batch: list[Sample] = []
    for sample in samples:
        batch.append(sample)
        if len(batch) == size:
            yield first, batch
            first, batch = first + size, []
    if batch:
        yield first, batch


def _decoded(sample: Sample) -> tuple[Sample, str | None]:
    """The sample with its picture decoded, once for all its views; and why it cannot be, if it cannot."""
    if Modality.IMAGE not in sample.media:
        return sample, None
    try:
        picture = decode_picture(sample.media[Modality.IMAGE])
    except UnreadableMedia as error:
        return sample, str(error)
    return replace(sample, media={**sample.media, Modality.IMAGE: picture}), None


def _prepare(encoder: Encoder, sample: Sample, job: _Job) -> _Prepared:
    plain = encoder.prepare(sample, None)
    views: dict[Modality, Tensor] = {}
    if job.config.views and Modality.IMAGE in plain:
        picture = replace(sample, captions=())
        draws = [View(job.seed, epoch) for epoch in range(job.config.views)]
        views[Modality.IMAGE] = torch.stack([encoder.prepare(picture, view)[Modality.IMAGE] for view in draws])
    if job.config.captions == "pool" and Modality.TEXT in plain and len(sample.captions) > 1:
        texts = [replace(sample, media={}, captions=(caption,)) for caption in sample.captions]
        views[Modality.TEXT] = torch.stack([encoder.prepare(text, None)[Modality.TEXT] for text in texts])
    return _Prepared(plain, views)


def _embed_batch(
    encoder: Encoder, prepared: Sequence[_Prepared], config: EmbeddingConfig, *, watch: bool
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(what is kept of each sample, activations of each layer averaged over views [B, U] if watched)."""
    tensors: dict[str, Tensor] = {}
    activations: dict[str, Tensor] = {}
    augmented = {Modality.IMAGE: config.views > 0, Modality.TEXT: config.captions == "pool"}
    for modality in encoder.modalities:
        if any(modality not in sample.plain for sample in prepared):
            raise VestigeError(f"the model embeds {modality}, which some samples of the data do not have")
        stacked = torch.stack([sample.plain[modality] for sample in prepared])
        x, units = _forward(encoder, modality, stacked, watch=watch)
        tensors[modality] = x
        if augmented.get(modality, False):
            views = [sample.views.get(modality) for sample in prepared]
            tensors |= _view_summaries(encoder, modality, x, units, views)
        activations |= units
    return tensors, activations


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
        state.update(activation[list(rows)], torch.tensor(samples, dtype=torch.long))
