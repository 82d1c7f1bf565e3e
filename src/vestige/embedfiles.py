"""Embedding from files to files: a checkpoint, or the models of a run, over a source."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vestige.data import open_source
from vestige.embeddings import EmbeddingConfig, EmbeddingStore, embed
from vestige.errors import VestigeError
from vestige.files import read_json, remove, write_json

SOURCE_FILE = "source.json"


@dataclass(frozen=True)
class EmbedConfig:
    """Embed samples with a checkpoint, or with the models of a run."""

    run: Path | None = None
    """A run, finished or with its models trained: each of its models embeds."""
    checkpoint: Path | None = None
    """A model: a folder of OpenCLIP or transformers, .safetensors, .pt, pretrained:TAG, hf-hub:NAME."""
    model: str | None = None
    """Its architecture (an OpenCLIP name or a JSON file), where the checkpoint does not say."""
    data: str | None = None
    """The samples: twemoji, csv:FILE, folder:DIR."""
    out: Path = Path("embeddings")
    """Folder of the embeddings; those of a run's models lie in one of its folders each."""
    options: dict[str, str] = field(default_factory=dict)
    """Options of data, for example image_column path."""
    embedding: EmbeddingConfig = field(default_factory=EmbeddingConfig)
    seed: int = 0
    """Of the views."""


def embed_files(config: EmbedConfig) -> dict[str, Any]:
    """Embed, or go on with what was begun there.

    Returns:
        `out`, `data`, and `models`: by name of its folder `folder`, `samples`, `skipped`, `modalities`, `fingerprint`.

    Raises:
        VestigeError: no model or two, no data, or the folder holds something else.
    """
    if (config.run is None) == (config.checkpoint is None):
        raise VestigeError("name a run (vestige embed RUN --data ...), or a model with --checkpoint")
    if config.data is None:
        raise VestigeError("name the samples with --data")
    if config.run is not None and config.model is not None:
        raise VestigeError("a run knows its architecture: leave out --model")
    # Imported here: a mistake above is told at once, and the model libraries take seconds.
    from vestige.models.blueprint import load_encoder

    source, device = open_source(config.data, **config.options), config.embedding.device
    out = config.out.resolve()
    if config.checkpoint is not None:
        # A single model's embeddings are the folder itself.
        encoders, place = {out.name: load_encoder(config.checkpoint, config.model, device=device)}, out.parent
    else:
        assert config.run is not None
        encoders = {name: load_encoder(path, device=device) for name, path in _models(config.run).items()}
        place = out
    _claim(out, {"data": config.data, "options": config.options})
    stores = embed(encoders, source, place, config.embedding, seed=config.seed)
    return {
        "out": str(config.out),
        "data": config.data,
        "models": {name: _told(store) for name, store in stores.items()},
    }


def _models(run: Path) -> dict[str, Path]:
    """The models of a run by name."""
    folder = run / "models"
    found = {path.name: path for path in sorted(folder.iterdir()) if path.is_dir()} if folder.is_dir() else {}
    found = {name: path for name, path in found.items() if not name.startswith(".")}
    if not found:
        raise VestigeError(f"{run}: no trained models lie there (no folder models/): name a run's folder")
    return found


def _claim(out: Path, about: Mapping[str, Any]) -> None:
    """Refuse a folder of other data: keys alone do not tell two collections apart."""
    path = out / SOURCE_FILE
    if not path.is_file():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise VestigeError(f"{out} is not empty and holds no embeddings: name a new folder with --out")
    elif not any(out.rglob("*.parquet")):
        # Begun and refused before anything was embedded.
        remove(out)
    else:
        try:
            found = read_json(path)
        except ValueError:
            found = None
        if found != about:
            raise VestigeError(
                f"{out} holds embeddings of other data ({json.dumps(found)}): name another folder with --out"
            )
    write_json(path, about)


def _told(store: EmbeddingStore) -> dict[str, Any]:
    return {
        "folder": str(store.directory),
        "samples": sum(map(len, store.shard_keys())),
        "skipped": len(store.skipped),
        "modalities": store.about["modalities"],
        "fingerprint": store.about["fingerprint"],
    }
