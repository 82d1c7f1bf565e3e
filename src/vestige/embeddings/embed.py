"""The pass over the data: each sample prepared once and put through all models, shard by shard."""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from pathlib import Path

import pyarrow as pa
import torch
from safetensors.torch import save_file
from torch import Tensor

from vestige.data import Source
from vestige.embeddings.config import EmbeddingConfig
from vestige.embeddings.forward import embed_batch, observe, stored
from vestige.embeddings.prepare import Preparation
from vestige.embeddings.store import EmbeddingStore, pack_units
from vestige.errors import VestigeError
from vestige.files import digest, read_json, replacing, write_json, write_table
from vestige.metrics import UnitMemory
from vestige.models import Encoder, UnitEncoder
from vestige.progress import Advance, progress, say

_KEYS = pa.schema({"key": pa.string(), "reason": pa.string()})


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
        seen = {name: frozenset(own) for name, own in watched.items()}
        job = _Job(Preparation(encoders, source, config, seed), directory, seen)
        with progress(label, len(keys), done=done) as advance, ThreadPoolExecutor(cpu_count()) as pool:
            for number in todo:
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

    preparation: Preparation
    directory: Path
    watched: Mapping[str, Collection[str]]


def _embed_shard(
    job: _Job, keys: Sequence[str], number: int, pool: ThreadPoolExecutor, advance: Advance
) -> Counter[str]:
    """Embed and write one shard; by preprocessing, how many captions were too long."""
    encoders, config = job.preparation.encoders, job.preparation.config
    cut: Counter[str] = Counter()
    parts: dict[str, list[dict[str, Tensor]]] = {name: [] for name in encoders}
    units: dict[str, dict[str, UnitMemory]] = {name: {} for name in job.watched}
    records: list[dict[str, str | None]] = []
    for batch in job.preparation.batches(keys, number * config.shard_size, pool):
        records += batch.records
        cut += batch.cut
        for name, encoder in encoders.items() if batch.rows else ():
            prepared = batch.prepared[encoder.preprocessing]
            tensors, activations = embed_batch(encoder, prepared, config, watch=name in job.watched)
            parts[name].append(tensors)
            if name in job.watched:
                seen = [place for place, key in enumerate(batch.keys) if key in job.watched[name]]
                observe(units[name], activations, seen, [batch.rows[place] for place in seen])
        advance(len(batch.records))
    for name in encoders:
        tensors = {}
        if parts[name]:
            joined = {tensor: torch.cat([part[tensor] for part in parts[name]]) for tensor in parts[name][0]}
            tensors = {tensor: stored(value, config) for tensor, value in joined.items()}
        with replacing(job.directory / name / f"{number:05d}.safetensors") as temporary:
            save_file(tensors, temporary)
        if name in job.watched:
            with replacing(job.directory / name / f"{number:05d}.units.safetensors") as temporary:
                save_file(pack_units(units[name]), temporary)
        # The keys are written last: their file says that the shard is whole.
        write_table(job.directory / name / f"{number:05d}.parquet", pa.Table.from_pylist(records, schema=_KEYS))
    return cut
