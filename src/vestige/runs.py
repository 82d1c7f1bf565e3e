"""A run directory: from a configuration to scores and report, in stages that are done once and go on when killed.

config.yaml           all that is needed to replay the run
environment.json      versions, threads, machine
samples/              what reading the data gave: tables of samples, canvases of pictures
skipped.csv           samples that could not be read, each with its reason
membership.parquet    which model saw what
planted.parquet       captions that were exchanged
models/<name>/        a folder that OpenCLIP loads
checkpoints/          the state of training that is under way
tensorboard/          training logs
embeddings/<name>/    what the metrics need of each sample
scores.parquet        a row a sample
summary.json          the numbers of the report
report.html
"""

import csv
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich.filesize import decimal

from vestige import designs
from vestige.config import RunConfig, anchored, load_config, size_of, to_yaml
from vestige.data import Source, open_source
from vestige.data.catalogue import Catalogue, canvas_bytes, open_canvases, read_catalogue
from vestige.data.media import UnreadableMedia, decode_picture
from vestige.data.pictures import CanvasPictures, FilePictures, Pictures
from vestige.data.plant import ExchangedCaptions, exchange_captions
from vestige.data.subset import Subset
from vestige.data.views import canvas_side
from vestige.designs import Design, Role
from vestige.embeddings import EmbeddingStore, embed
from vestige.errors import VestigeError
from vestige.files import read_json, read_table, remove, replacing, write_json, write_table
from vestige.models import openclip
from vestige.models.architectures import architecture
from vestige.models.openclip import OpenCLIPEncoder
from vestige.progress import console
from vestige.report.build import build_report
from vestige.runfolder import claimed
from vestige.samples import Modality
from vestige.scores import align, heldout_rows, metrics_named, score_table
from vestige.summary import held_out_retrieval, summarise
from vestige.training.batches import Pairs, batch_count
from vestige.training.loop import estimate, train_block
from vestige.training.objectives import Contrastive


@dataclass(frozen=True)
class RunResult:
    """A finished run.

    Attributes:
        directory: where everything lies.
        scores: the table of scores (`vestige.scores.score_table`), with `caption` and `planted`.
        summary: the numbers of the report (`vestige.summary.summarise`).
    """

    directory: Path
    scores: pa.Table
    summary: Mapping[str, Any]


def execute(config: RunConfig, directory: Path) -> RunResult:
    """Do a run, or what is left of it.

    Args:
        config: what to do.
        directory: a new or empty folder, or the folder of this very run.

    Raises:
        VestigeError: bad data or settings, or the folder holds something else. Nothing there is touched then.
    """
    config = anchored(config)
    metrics_named(config.metrics)
    description = architecture(config.model)
    if "multimodal_cfg" in description:
        raise VestigeError(f"model {config.model}: CoCa models can be scored, not trained; name a CLIP architecture")
    source = open_source(config.data.source, **config.data.options)
    with claimed(directory, config):
        catalogue = _catalogue(source, config, description, directory)
        design = _design(catalogue, config, directory / "membership.parquet")
        planted = _plant(catalogue, design, config, directory / "planted.parquet")
        _train(source, catalogue, design, planted, config, description, directory)
        samples = planted.apply(Subset(source, design.keys))
        stores = _embed(design, samples, config, directory)
        scores = _score(stores, design, catalogue, planted, config, directory / "scores.parquet")
        summary = _summarise(stores, scores, design, catalogue, config, directory)
        _report(samples, scores, summary, config, directory / "report.html")
    return RunResult(directory, scores, summary)


@dataclass(frozen=True)
class OpenRun:
    """A finished run, opened to be scored further.

    Attributes:
        config: its configuration.
        design: who saw what.
        encoders: its models by name.
        samples: the samples as they were trained on, planted captions and all.
    """

    config: RunConfig
    design: Design
    encoders: Mapping[str, OpenCLIPEncoder]
    samples: Source


def open_run(directory: Path) -> OpenRun:
    """Open a run whose models are trained.

    Raises:
        VestigeError: no run lies there, or it is not finished.
    """
    if not (directory / "config.yaml").exists():
        raise VestigeError(f"{directory}: no run lies there (no config.yaml)")
    config = load_config(directory / "config.yaml")
    if not (directory / "scores.parquet").exists():
        raise VestigeError(f"{directory}: the run is not finished: vestige run {directory / 'config.yaml'} goes on")
    design = Design.load(directory / "membership.parquet")
    planted = ExchangedCaptions.load(directory / "planted.parquet")
    source = open_source(config.data.source, **config.data.options)
    return OpenRun(config, design, _encoders(design, config, directory), planted.apply(Subset(source, design.keys)))


def _encoders(design: Design, config: RunConfig, directory: Path) -> dict[str, OpenCLIPEncoder]:
    device = config.embedding.device
    return {name: OpenCLIPEncoder.load(directory / "models" / name, device=device) for name in design.models}


def _catalogue(source: Source, config: RunConfig, description: Mapping[str, Any], directory: Path) -> Catalogue:
    side = _canvas_side(source, config, description)
    catalogue = read_catalogue(source, directory / "samples", side=side)
    with replacing(directory / "skipped.csv") as temporary, temporary.open("w", encoding="utf-8", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(("key", "reason"))
        table.writerows(catalogue.skipped)
    bad = len(catalogue.skipped)
    if bad > config.data.max_unreadable * len(source) or bad == len(source):
        key, reason = catalogue.skipped[0]
        # Read again next time: the user is asked to mend the files.
        remove(directory / "samples")
        raise VestigeError(
            f"{bad} of {len(source)} samples cannot be read, more than data.max_unreadable ="
            f" {config.data.max_unreadable:g} allows; the first is {key!r}: {reason}. All are in"
            f" {directory / 'skipped.csv'}: mend them, or allow more"
        )
    if bad:
        console.print(f"{bad} of {len(source)} samples cannot be read and are left out: {directory / 'skipped.csv'}")
    return catalogue


def _canvas_side(source: Source, config: RunConfig, description: Mapping[str, Any]) -> int | None:
    """Side of the canvases kept of the pictures; None where they would take more than the cache may."""
    size = description["vision_cfg"].get("image_size", 224)
    side = canvas_side(max(size) if isinstance(size, list | tuple) else size)
    return side if canvas_bytes(source, side) <= config.data.cache_gigabytes * 1e9 else None


def _design(catalogue: Catalogue, config: RunConfig, path: Path) -> Design:
    if path.exists():
        return Design.load(path)
    keys, groups, setting, n = catalogue.keys, catalogue.groups, config.design, len(catalogue)
    external = size_of(setting.external, n)
    match setting.name:
        case "roles":
            size = size_of(setting.candidates, n)
            design = designs.roles(keys, groups, candidates=size, external=external, seed=config.seed)
        case "halves":
            design = designs.halves(keys, groups, pairs=setting.pairs, external=external, seed=config.seed)
        case "subsets":
            design = designs.subsets(
                keys, groups, models=setting.models, share=setting.share, external=external, seed=config.seed
            )
        case "disjoint":
            design = designs.disjoint(keys, groups, size=size_of(setting.candidates, n), seed=config.seed)
    if not any(role == Role.EXTERNAL for role in design.roles()):
        raise VestigeError(
            "the design keeps no external samples, and the alignment needs a held-out set: set design.external"
        )
    design.save(path)
    return design


def _plant(catalogue: Catalogue, design: Design, config: RunConfig, path: Path) -> ExchangedCaptions:
    """Exchange captions among the candidates, or among all scored samples where a design has no candidates."""
    if path.exists():
        return ExchangedCaptions.load(path)
    roles = design.roles()
    chosen = Role.CANDIDATE if Role.CANDIDATE in roles else Role.MIXED
    at = [sample for sample, role in enumerate(roles) if role == chosen]
    planted = exchange_captions(
        [catalogue.keys[sample] for sample in at],
        [catalogue.groups[sample] for sample in at],
        [catalogue.captions[sample] for sample in at],
        count=size_of(config.plant.captions, len(at)),
        seed=config.seed,
    )
    planted.save(path)
    return planted


def _train(
    source: Source,
    catalogue: Catalogue,
    design: Design,
    planted: ExchangedCaptions,
    config: RunConfig,
    description: dict[str, Any],
    directory: Path,
) -> None:
    folders = {name: directory / "models" / name for name in design.models}
    if all(folder.exists() for folder in folders.values()):
        remove(directory / "checkpoints")
        return
    first = openclip.build(description, seed=config.seed)
    tokenize = openclip.tokenizer(description)
    captions = [planted.captions.get(key, own) for key, own in zip(catalogue.keys, catalogue.captions, strict=True)]
    _warn_of_long_captions(captions, tokenize, description)
    pairs = Pairs(
        catalogue.keys,
        _pictures(source, catalogue, directory / "samples"),
        captions,
        tokenize,
        policy=config.training.captions,
        size=openclip.image_size(first),
    )
    slots, objective = design.slots(), Contrastive()
    if slots.shape[1] < config.training.batch_size:
        raise VestigeError(
            f"training.batch_size is {config.training.batch_size} and a model sees {slots.shape[1]} samples: lower it"
        )
    cost = estimate(first, len(design.models), slots, pairs, objective, config.training)
    batches = batch_count(slots, config.training.batch_size)
    console.print(
        f"training {len(design.models)} models x {config.training.epochs} epochs x {batches} batches:"
        f" about {_duration(cost.seconds)}, {decimal(cost.memory)} of memory",
        highlight=False,
    )
    for block in sorted(set(design.blocks)):
        rows = [model for model, own in enumerate(design.blocks) if own == block]
        names = [design.models[row] for row in rows]
        if all(folders[name].exists() for name in names):
            continue
        models = {name: openclip.build(description, seed=config.seed + block) for name in names}
        checkpoints = directory / "checkpoints" / f"block-{block}"
        train_block(
            models,
            slots[rows],
            pairs,
            objective,
            config.training,
            seed=config.seed + block,
            checkpoint_directory=checkpoints,
            log_directory=directory / "tensorboard",
        )
        for name, model in models.items():
            openclip.save(model, description, folders[name])
        remove(checkpoints)
    remove(directory / "checkpoints")


def _pictures(source: Source, catalogue: Catalogue, directory: Path) -> Pictures:
    if (directory / "canvases.npy").exists():
        return CanvasPictures(open_canvases(directory), catalogue.rows, catalogue.sizes)
    return FilePictures(source, catalogue.keys, catalogue.sizes)


def _warn_of_long_captions(
    captions: list[tuple[str, ...]], tokenize: openclip.Tokenizer, description: Mapping[str, Any]
) -> None:
    context = description["text_cfg"].get("context_length", 77)
    cut = openclip.count_cut([text for texts in captions for text in texts], tokenize, context)
    if cut:
        total = sum(map(len, captions))
        console.print(
            f"{cut} of {total} captions are longer than the {context} tokens the model reads: the rest is cut off",
            highlight=False,
        )


def _embed(design: Design, samples: Source, config: RunConfig, directory: Path) -> dict[str, EmbeddingStore]:
    encoders = _encoders(design, config, directory)
    return embed(encoders, samples, directory / "embeddings", config.embedding, seed=config.seed)


def _score(
    stores: Mapping[str, EmbeddingStore],
    design: Design,
    catalogue: Catalogue,
    planted: ExchangedCaptions,
    config: RunConfig,
    path: Path,
) -> pa.Table:
    if path.exists():
        return read_table(path)
    external = [key for key, role in zip(design.keys, design.roles(), strict=True) if role == Role.EXTERNAL]
    scores = score_table(
        design, align(stores, heldout_rows(stores, external), design, metrics_named(config.metrics)), null=config.null
    )
    own = dict(zip(catalogue.keys, catalogue.captions, strict=True))
    keys = scores["key"].to_pylist()
    scores = scores.append_column("caption", pa.array([planted.captions.get(key, own[key])[0] for key in keys]))
    scores = scores.append_column("planted", pa.array([key in planted.captions for key in keys]))
    write_table(path, scores)
    return scores


def _summarise(
    stores: Mapping[str, EmbeddingStore],
    scores: pa.Table,
    design: Design,
    catalogue: Catalogue,
    config: RunConfig,
    directory: Path,
) -> Mapping[str, Any]:
    path = directory / "summary.json"
    if path.exists():
        return read_json(path)
    external = [key for key, role in zip(design.keys, design.roles(), strict=True) if role == Role.EXTERNAL]
    own = dict(zip(catalogue.keys, catalogue.captions, strict=True))
    heldout = heldout_rows(stores, external)
    summary = summarise(scores, design.models) | {
        "retrieval": held_out_retrieval(heldout, [own[key][0] for key in heldout.keys]),
        "model": config.model,
        "data": config.data.source,
        "skipped": len(catalogue.skipped),
        "seed": config.seed,
        "version": metadata.version("vestige"),
        "command": shlex.join(["vestige", "run", str(directory / "config.yaml")]),
    }
    write_json(path, summary)
    return summary


def _report(samples: Source, scores: pa.Table, summary: Mapping[str, Any], config: RunConfig, path: Path) -> None:
    if path.exists():
        return

    def picture(key: str):
        sample = next(iter(samples.samples([key])))
        try:
            return decode_picture(sample.media[Modality.IMAGE])
        except UnreadableMedia:
            return None

    build_report(scores, summary, config=to_yaml(config), picture=picture, out=path)


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    if hours >= 2:
        return f"{hours:.1f} h"
    return f"{minutes:.1f} min" if minutes >= 2 else f"{np.ceil(seconds):.0f} s"
