"""Models x samples: what the metrics need of each sample, in one pass over the data, in shards that resume.

Of every sample and modality j a store keeps

    <j>              x_j, the unit embedding of the un-augmented sample              [n, d]
    <j>_mean         mu_j, the mean over its augmented views of unit embeddings      [n, d]
    <j>_ssl          minus the mean distance between its views (SSLMem, eq. 1)       [n]
    <j>_ssl_anchor   minus the mean distance of the views to x_j                     [n]

and no view: every metric that averages over views is a function of these. Views of a picture are random crops; views
of a text are the captions of its sample, each once. Samples with a single caption have no views of their text:
mu_text is x_text and the two scalars are NaN.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from os import cpu_count
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from vestige.data import Source
from vestige.data.media import UnreadableMedia, decode_picture
from vestige.data.views import View
from vestige.errors import VestigeError
from vestige.files import read_json, read_table, replacing, write_json, write_table
from vestige.metrics import ssl_alignment
from vestige.models import Encoder
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


class Embeddings(Protocol):
    """Embeddings of samples under one model, in shards."""

    def shard_keys(self) -> list[list[str]]:
        """Keys of the rows of every shard."""
        ...

    def shard(self, number: int) -> dict[str, Tensor]:
        """The tensors of one shard; see the module for their names."""
        ...


class EmbeddingStore:
    """The embeddings of one model: shards of safetensors with the keys of their rows beside them.

    Args:
        directory: where the shards lie: `00000.safetensors` and `00000.parquet`, ..., and `about.json`.

    Raises:
        VestigeError: no finished store lies there.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        if not (directory / "about.json").is_file():
            raise VestigeError(f"{directory}: no embeddings there (no about.json)")
        self.about = read_json(directory / "about.json")
        self._keys = [read_table(path) for path in sorted(directory.glob("*.parquet"))]
        if len(self._keys) != self.about["shards"]:
            raise VestigeError(
                f"{directory}: {len(self._keys)} of {self.about['shards']} shards are there: embed again to finish"
            )

    @property
    def modalities(self) -> tuple[Modality, ...]:
        return tuple(Modality(name) for name in self.about["modalities"])

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """(key, reason) of the samples that could not be embedded."""
        records = [record for table in self._keys for record in table.to_pylist()]
        return [(record["key"], record["reason"]) for record in records if record["reason"] is not None]

    def shard_keys(self) -> list[list[str]]:
        return [
            [key for key, reason in zip(*table.to_pydict().values(), strict=True) if reason is None]
            for table in self._keys
        ]

    def shard(self, number: int) -> dict[str, Tensor]:
        with safe_open(self.directory / f"{number:05d}.safetensors", framework="pt") as tensors:
            return {name: tensors.get_tensor(name) for name in tensors.keys()}


class JoinedEmbeddings:
    """Embeddings of one model from several places, one after the other, the keys of each led by a prefix."""

    def __init__(self, *parts: tuple[Embeddings, str]) -> None:
        self._parts = parts
        self._places = [(part, number) for part, _ in parts for number in range(len(part.shard_keys()))]

    def shard_keys(self) -> list[list[str]]:
        return [[prefix + key for key in keys] for part, prefix in self._parts for keys in part.shard_keys()]

    def shard(self, number: int) -> dict[str, Tensor]:
        part, own = self._places[number]
        return part.shard(own)


class TensorEmbeddings:
    """Embeddings that lie in memory, as one shard.

    Args:
        keys: key of every row.
        tensors: as the module names them, at least [n, d] for every modality.

    Raises:
        VestigeError: a tensor without a row for every key.
    """

    def __init__(self, keys: Sequence[str], tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            if len(tensor) != len(keys):
                raise VestigeError(f"embeddings {name!r}: {len(tensor)} rows for {len(keys)} keys")
        self._keys, self._tensors = list(keys), dict(tensors)

    def shard_keys(self) -> list[list[str]]:
        return [self._keys]

    def shard(self, number: int) -> dict[str, Tensor]:
        return self._tensors


def all_keys(embeddings: Embeddings) -> list[str]:
    """Keys of all rows, in order."""
    return [key for keys in embeddings.shard_keys() for key in keys]


def chosen_rows(embeddings: Embeddings, positions: Sequence[int]) -> dict[str, Tensor]:
    """The tensors of chosen rows, in the order asked for; each shard is read once."""
    wanted = torch.as_tensor(positions, dtype=torch.long)
    start, parts, places = 0, [], []
    for number, keys in enumerate(embeddings.shard_keys()):
        inside = torch.nonzero((wanted >= start) & (wanted < start + len(keys))).flatten()
        if len(inside):
            tensors = embeddings.shard(number)
            parts.append({name: tensor[wanted[inside] - start] for name, tensor in tensors.items()})
            places.append(inside)
        start += len(keys)
    if not parts:
        return {}
    order = torch.cat(places).argsort()
    return {name: torch.cat([part[name] for part in parts])[order] for name in parts[0]}


def embed(
    encoders: Mapping[str, Encoder],
    source: Source,
    directory: Path,
    config: EmbeddingConfig,
    *,
    seed: int,
    label: str = "embedding",
) -> dict[str, EmbeddingStore]:
    """Embed all samples of a source with all models, in one pass over the data; finished shards are not done again.

    Args:
        encoders: the models by name.
        source: the samples.
        directory: the store of each model is `directory/<name>`.
        config: how.
        seed: of the views.
        label: what the progress bar says.

    Raises:
        VestigeError: `directory` holds embeddings of other models or of other settings.
    """
    keys = source.keys()
    shards = [keys[start : start + config.shard_size] for start in range(0, len(keys), config.shard_size)]
    for name, encoder in encoders.items():
        _claim(directory / name, encoder, config, seed, len(shards))
    last = directory / list(encoders)[-1]
    todo = [number for number in range(len(shards)) if not (last / f"{number:05d}.parquet").exists()]
    if todo:
        done = len(keys) - sum(len(shards[number]) for number in todo)
        with progress(label, len(keys), done=done) as advance, ThreadPoolExecutor(cpu_count()) as pool:
            for number in todo:
                samples = source.samples(shards[number])
                _embed_shard(encoders, samples, directory, f"{number:05d}", config, seed, pool, advance)
    return {name: EmbeddingStore(directory / name) for name in encoders}


def _claim(directory: Path, encoder: Encoder, config: EmbeddingConfig, seed: int, shards: int) -> None:
    about = {
        "fingerprint": encoder.fingerprint,
        "modalities": [str(modality) for modality in encoder.modalities],
        "views": config.views,
        "captions": config.captions,
        "storage": config.storage,
        "shard_size": config.shard_size,
        "seed": seed,
        "shards": shards,
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
class _Prepared:
    """One sample as tensors: un-augmented, its random crops, its captions."""

    plain: Mapping[Modality, Tensor]
    views: Mapping[Modality, Tensor]


def _embed_shard(
    encoders: Mapping[str, Encoder],
    samples: Iterator[Sample],
    directory: Path,
    shard: str,
    config: EmbeddingConfig,
    seed: int,
    pool: ThreadPoolExecutor,
    advance: Advance,
) -> None:
    parts: dict[str, list[dict[str, Tensor]]] = {name: [] for name in encoders}
    records: list[dict[str, str | None]] = []
    augmented = {Modality.IMAGE} if config.views else set()
    augmented |= {Modality.TEXT} if config.captions == "pool" else set()
    # One encoder of each preprocessing prepares for all that share it.
    preparers = {encoder.preprocessing: encoder for encoder in encoders.values()}
    for batch in _batches(samples, config.batch_size):
        decoded = list(pool.map(_decoded, batch))
        records += [{"key": sample.key, "reason": reason} for sample, reason in decoded]
        good = [sample for sample, reason in decoded if reason is None]
        for preprocessing, preparer in preparers.items() if good else ():
            prepared = list(pool.map(lambda sample, p=preparer: _prepare(p, sample, config, seed), good))
            for name, encoder in encoders.items():
                if encoder.preprocessing == preprocessing:
                    parts[name].append(_embed_batch(encoder, prepared, augmented))
        advance(len(batch))
    for name in encoders:
        tensors = {}
        if parts[name]:
            joined = {tensor: torch.cat([part[tensor] for part in parts[name]]) for tensor in parts[name][0]}
            tensors = {tensor: _stored(value, config) for tensor, value in joined.items()}
        with replacing(directory / name / f"{shard}.safetensors") as temporary:
            save_file(tensors, temporary)
        # The keys are written last: their file says that the shard is whole.
        write_table(directory / name / f"{shard}.parquet", pa.Table.from_pylist(records, schema=_KEYS))


def _batches(samples: Iterator[Sample], size: int) -> Iterator[list[Sample]]:
    batch: list[Sample] = []
    for sample in samples:
        batch.append(sample)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _decoded(sample: Sample) -> tuple[Sample, str | None]:
    """The sample with its picture decoded, once for all its views; and why it cannot be, if it cannot."""
    if Modality.IMAGE not in sample.media:
        return sample, None
    try:
        picture = decode_picture(sample.media[Modality.IMAGE])
    except UnreadableMedia as error:
        return sample, str(error)
    return replace(sample, media={**sample.media, Modality.IMAGE: picture}), None


def _prepare(encoder: Encoder, sample: Sample, config: EmbeddingConfig, seed: int) -> _Prepared:
    plain = encoder.prepare(sample, None)
    views: dict[Modality, Tensor] = {}
    if config.views and Modality.IMAGE in plain:
        picture = replace(sample, captions=())
        crops = [encoder.prepare(picture, View(seed, epoch))[Modality.IMAGE] for epoch in range(config.views)]
        views[Modality.IMAGE] = torch.stack(crops)
    if config.captions == "pool" and Modality.TEXT in plain and len(sample.captions) > 1:
        texts = [replace(sample, media={}, captions=(caption,)) for caption in sample.captions]
        views[Modality.TEXT] = torch.stack([encoder.prepare(text, None)[Modality.TEXT] for text in texts])
    return _Prepared(plain, views)


def _embed_batch(encoder: Encoder, prepared: Sequence[_Prepared], augmented: Collection[Modality]) -> dict[str, Tensor]:
    missing = [m for m in encoder.modalities if any(m not in sample.plain for sample in prepared)]
    if missing:
        raise VestigeError(f"the model embeds {missing[0]}, which some samples of the data do not have")
    plain = encoder.encode({m: torch.stack([sample.plain[m] for sample in prepared]) for m in encoder.modalities})
    tensors: dict[str, Tensor] = {}
    for modality in encoder.modalities:
        x = _checked(plain[modality], modality)
        tensors[modality] = x
        if modality in augmented:
            tensors |= _view_summaries(encoder, modality, x, [sample.views.get(modality) for sample in prepared])
    return tensors


def _view_summaries(
    encoder: Encoder, modality: Modality, x: Tensor, views: Sequence[Tensor | None]
) -> dict[str, Tensor]:
    """mu, the pairwise and the anchored SSL alignment of one modality; samples are batched by their number of views."""
    mean, pairs, anchored = x.clone(), x.new_full((len(x),), torch.nan), x.new_full((len(x),), torch.nan)
    counts = [0 if own is None else len(own) for own in views]
    for count in sorted(set(counts) - {0}):
        rows = [row for row, own in enumerate(counts) if own == count]
        stacked = torch.stack([own for own in views if own is not None and len(own) == count])
        # Views go through the model in as many rounds as there are views, each no larger than the plain batch.
        rounds = [_checked(encoder.encode({modality: stacked[:, k]})[modality], modality) for k in range(count)]
        own = torch.stack(rounds, dim=1)
        mean[rows] = own.mean(dim=1)
        anchored[rows] = ssl_alignment(own, anchor=x[rows])
        if count > 1:
            pairs[rows] = ssl_alignment(own)
    return {f"{modality}_mean": mean, f"{modality}_ssl": pairs, f"{modality}_ssl_anchor": anchored}


def _checked(embedding: Tensor, modality: Modality) -> Tensor:
    if not torch.isfinite(embedding).all():
        raise VestigeError(f"the model's {modality} embeddings hold NaN or infinity: it is not a usable model")
    return embedding


def _stored(value: Tensor, config: EmbeddingConfig) -> Tensor:
    """Vectors in the storage precision; scalars are few and stay as they are."""
    return (value.to(STORAGE[config.storage]) if value.ndim == 2 else value).contiguous()
