"""Pictures made from captions by a diffusion model that lies on disk.

They go into a folder with a picture, and a text file with its caption, for each: `folder:DIR` reads it. Beside them,
`generated.parquet` says what each was made from and by what; `GeneratedPictures` reads both.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from PIL import Image

from vestige.data import Source
from vestige.data.generation.local import SAFE, fingerprint, model_folder, reading
from vestige.errors import VestigeError
from vestige.files import digest, read_json, read_table, replacing
from vestige.samples import Modality, Sample
from vestige.shards import table_in_shards

TABLE = "generated.parquet"
SCHEMA = pa.schema(
    {
        "key": pa.string(),
        "group": pa.string(),
        "caption": pa.string(),
        "pictures": pa.list_(pa.string()),
        "provenance": pa.string(),
        "reason": pa.string(),
    }
)
"""A row a sample: its first caption, the pictures made from it (files of the folder), and what made them."""


@dataclass(frozen=True)
class ImageryConfig:
    """Pictures from captions by a diffusion model."""

    model: Path
    """Folder of a text-to-image pipeline, as diffusers writes it."""
    count: int = 1
    """Pictures a sample."""
    steps: int = 30
    """Denoising steps."""
    guidance: float = 7.5
    """How closely a picture follows its caption."""
    size: int | None = None
    """Side of the pictures; the model's own when not given."""
    seed: int = 0
    """With the key and the picture's number, all that the noise follows from."""
    device: str = "cpu"
    """Where the model runs."""
    shard: int = 32
    """Samples that are written down together; what is lost by a kill."""


def generate_pictures(source: Source, config: ImageryConfig, out: Path) -> "GeneratedPictures":
    """Make pictures from the first caption of every sample, or go on with it.

    Args:
        source: the samples.
        config: model and settings.
        out: the folder.

    Raises:
        VestigeError: there is no such model, diffusers is not installed, or the folder is of other samples or settings.
    """
    if config.count < 1 or config.steps < 1 or config.shard < 1 or (config.size is not None and config.size < 8):
        raise VestigeError("imagery: count, steps and shard are at least 1, size at least 8")
    pipeline = _pipeline(config)
    provenance = (
        f"made by {config.model.name} {fingerprint(config.model)} ({config.steps} steps, guidance {config.guidance:g},"
        f" seed {config.seed})"
    )

    def records(keys: Sequence[str]) -> list[dict[str, Any]]:
        return [_made(pipeline, sample, config, out) | {"provenance": provenance} for sample in source.samples(keys)]

    table_in_shards(
        out / TABLE,
        label="making pictures",
        about={"pipeline": provenance, "count": config.count, "size": config.size},
        keys=source.keys(),
        schema=SCHEMA,
        shard=config.shard,
        records=records,
    )
    return GeneratedPictures(out)


class GeneratedPictures:
    """The pictures of a folder that `generate_pictures` wrote, each a sample `KEY~generated1` in its original's group.

    Args:
        path: the folder.

    Raises:
        VestigeError: it is none, or not finished.
    """

    def __init__(self, path: Path) -> None:
        if not (path / TABLE).is_file():
            raise VestigeError(f"{path}: no {TABLE} in it: name a folder of generated pictures that is finished")
        rows = read_table(path / TABLE).to_pylist()
        self._samples = {
            f"{row['key']}~generated{number}": (row, path / name)
            for row in rows
            for number, name in enumerate(row["pictures"], 1)
        }
        self._skipped = tuple((row["key"], row["reason"]) for row in rows if row["reason"] is not None)

    def __len__(self) -> int:
        return len(self._samples)

    def keys(self) -> Sequence[str]:
        return tuple(self._samples)

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        for key in keys:
            row, picture = self._samples[key]
            made = {str(Modality.IMAGE): row["provenance"]}
            yield Sample(key, row["group"], {Modality.IMAGE: picture}, (row["caption"],), generated=made)

    def skipped(self) -> Sequence[tuple[str, str]]:
        return self._skipped


def _made(pipeline: Any, sample: Sample, config: ImageryConfig, out: Path) -> dict[str, Any]:
    caption = sample.captions[0] if sample.captions else ""
    row = {"key": sample.key, "group": sample.group, "caption": caption, "pictures": [], "reason": None}
    if not caption.strip():
        return row | {"reason": "the sample has no caption to make a picture from"}
    size = {} if config.size is None else {"height": config.size, "width": config.size}
    names: list[str] = []
    for number in range(1, config.count + 1):
        noise = int(digest(str(config.seed), sample.key, str(number)), 16) >> 1
        with torch.inference_mode():
            pictures: Sequence[Image.Image] = pipeline(
                caption,
                num_inference_steps=config.steps,
                guidance_scale=config.guidance,
                generator=torch.Generator("cpu").manual_seed(noise),
                **size,
            ).images
        # Keys may hold what file names must not: pictures are named by a hash of them.
        name = f"{digest(sample.key)}-{number}"
        with replacing(out / f"{name}.png") as temporary:
            pictures[0].save(temporary, "PNG")
        with replacing(out / f"{name}.txt") as temporary:
            temporary.write_text(" ".join(caption.split()) + "\n", encoding="utf-8")
        names.append(f"{name}.png")
    return row | {"pictures": names}


def _pipeline(config: ImageryConfig) -> Any:
    folder = model_folder(config.model, "imagery.model", "model_index.json")
    _refuse_foreign_parts(folder)
    try:
        with warnings.catch_warnings():
            # The library warns of optional parts it does not find.
            warnings.simplefilter("ignore")
            diffusers = import_module("diffusers")
    except ImportError as error:
        raise VestigeError("imagery: needs diffusers: pip install 'vestige[generation]'") from error
    with reading(folder, "imagery.model"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = diffusers.AutoPipelineForText2Image.from_pretrained(folder, **SAFE)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline.to(config.device)


def _refuse_foreign_parts(folder: Path) -> None:
    """A part of a pipeline is a class of a library; any other name would be looked up as a module to run."""
    with reading(folder, "imagery.model"):
        parts: Mapping[str, Any] = read_json(folder / "model_index.json")
    for name, value in parts.items():
        known = value[0] in {"diffusers", "transformers", "stable_diffusion", None} if isinstance(value, list) else True
        if not known or (name == "_class_name" and not isinstance(value, str)):
            raise VestigeError(f"imagery.model: {folder}: its part {name!r} is code of its own, which is not run")
