"""A run directory: from a configuration to scores and report, in stages that are done once and go on when killed.

config.yaml           all that is needed to replay the run
environment.json      versions, threads, machine
samples/              what reading the data gave: tables of samples, canvases of media
skipped.csv           samples that could not be read, each with its reason
membership.parquet    which model saw what
copies.parquet        samples that were copied on purpose
planted.parquet       captions and media that were exchanged
models/<name>/        a folder that OpenCLIP loads
checkpoints/          the state of training that is under way
tensorboard/          training logs
embeddings/<name>/    what the metrics need of each sample
scores.parquet        a row a sample
summary.json          the numbers of the report
epochs/<n>/<name>/    the models after epochs that are kept (training.keep_epochs)
epochs.parquet        memorization and utility after these epochs
mitigations.jsonl     what mitigations did, a line each
report.html
"""

import shlex
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa

from vestige.alignments import align, heldout_rows, metrics_named
from vestige.config import RunConfig, anchored, load_config, to_yaml
from vestige.data import Source
from vestige.data.decoded import DecodedSource
from vestige.data.media import UnreadableMedia, decode_picture
from vestige.data.plant.record import COPIES
from vestige.designs import Design
from vestige.embeddings import EmbeddingStore, embed
from vestige.epochs import score_epochs
from vestige.errors import VestigeError
from vestige.files import read_json, read_table, write_json, write_table
from vestige.material import Material, common_modalities, open_data, prepare
from vestige.models import CanvasEncoder
from vestige.models.architectures import architecture
from vestige.models.blueprint import Blueprint, load_encoder, modalities_named
from vestige.report.build import build_report
from vestige.runfolder import claimed
from vestige.samples import Modality
from vestige.scores import score_table
from vestige.summary import held_out_retrieval, summarise
from vestige.training.job import train_design
from vestige.training.team import Team, launched


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
    blueprint, metrics = _checked(config)
    with claimed(directory, config):
        material = _trained(config, blueprint, metrics, directory, Team())
        stores = _embed(material, config, directory)
        scores = _score(stores, material, config, metrics, directory / "scores.parquet")
        summary = _summarise(stores, scores, material, config, directory)
        score_epochs(material, config, metrics, directory)
        _report(material.samples, scores, summary, config, directory / "report.html")
    return RunResult(directory, scores, summary)


def train(config: RunConfig, directory: Path) -> dict[str, Path]:
    """Train the models of a run, or what is left of that, and no more; `execute` goes on from there.

    Under torchrun its processes train together: each takes its part of every batch, the negatives are those of the
    whole batch, and the models are those that one process would have trained, up to rounding.

    Returns:
        The folder of every model by name.

    Raises:
        VestigeError: as `execute`.
    """
    config = anchored(config)
    blueprint, metrics = _checked(config)
    team = launched(config.training.device)
    with claimed(directory, config) if team.rank == 0 else nullcontext():
        # What the first process prepares, the others find done.
        team.first(lambda: _prepared(config, blueprint, metrics, directory))
        material = _trained(config, blueprint, metrics, directory, team)
    return {name: directory / "models" / name for name in material.design.models}


def _checked(config: RunConfig) -> tuple[Blueprint, Sequence[str]]:
    """What is built, and what it is scored by; refuses what cannot be."""
    if config.metrics:
        metrics_named(config.metrics)
    if config.training.init_from is not None and not Path(config.training.init_from).exists():
        raise VestigeError(f"training.init_from {config.training.init_from}: no such run or checkpoint")
    wanted = modalities_named(config.modalities)
    description = architecture(config.model)
    blueprint = Blueprint(description, wanted or _found(open_data(config.data), config))
    return blueprint, config.metrics or (("clipmem",) if blueprint.plain else ("multimem",))


def _prepared(config: RunConfig, blueprint: Blueprint, metrics: Sequence[str], directory: Path) -> Material:
    material = prepare(open_data(config.data), config, blueprint, directory)
    _check_metrics(metrics, material, config)
    return material


def _trained(config: RunConfig, blueprint: Blueprint, metrics: Sequence[str], directory: Path, team: Team) -> Material:
    material = _prepared(config, blueprint, metrics, directory)
    train_design(material, config, blueprint, directory, team)
    return material


def _found(source: Source, config: RunConfig) -> tuple[Modality, ...]:
    """The modalities of the samples; with fewer than two, what the user can do about it."""
    found = common_modalities(source)
    if len(found) < 2:
        lack = "captions" if Modality.TEXT not in found else "pictures, sounds or films of a known ending"
        raise VestigeError(
            f"{config.data.source}: a contrastive model needs two modalities, found {', '.join(found) or 'none'}:"
            f" most of the samples lack {lack}"
        )
    return found


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
    encoders: Mapping[str, CanvasEncoder]
    samples: DecodedSource


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
    encoders = _encoders(design, config, directory)
    modalities = next(iter(encoders.values())).modalities
    material = prepare(open_data(config.data), config, Blueprint(architecture(config.model), modalities), directory)
    return OpenRun(config, design, encoders, material.samples)


def _encoders(design: Design, config: RunConfig, directory: Path) -> dict[str, CanvasEncoder]:
    device = config.embedding.device
    return {name: load_encoder(directory / "models" / name, device=device) for name in design.models}


def _check_metrics(metrics: Sequence[str], material: Material, config: RunConfig) -> None:
    """Refuse before training a metric that could not be computed after it."""
    if "sslmem" in metrics and not config.embedding.views and config.embedding.captions != "pool":
        raise VestigeError("sslmem compares views, and none are embedded: set embedding.views to 2 or more")
    if "clipmem" in metrics:
        present = material.examples.present
        for modality in (Modality.IMAGE, Modality.TEXT):
            if modality not in present:
                raise VestigeError(
                    f"clipmem compares pictures and texts, and the models embed no {modality}: use multimem"
                )
            if lacking := int((~present[modality]).sum()):
                raise VestigeError(
                    f"clipmem needs a picture and a text of every sample, and {lacking} of {len(present[modality])}"
                    f" lack their {modality}: use multimem, whose column multimem_image_text is the same for those that"
                    " have both"
                )


def _embed(material: Material, config: RunConfig, directory: Path) -> dict[str, EmbeddingStore]:
    encoders = _encoders(material.design, config, directory)
    return embed(encoders, material.samples, directory / "embeddings", config.embedding, seed=config.seed)


def _score(
    stores: Mapping[str, EmbeddingStore], material: Material, config: RunConfig, metrics: Sequence[str], path: Path
) -> pa.Table:
    if path.exists():
        return read_table(path)
    alignments = align(stores, heldout_rows(stores, material.external()), material.design, metrics_named(metrics))
    scores = score_table(material.design, alignments, null=config.null)
    texts = dict(zip(material.catalogue.keys, material.captions, strict=True))
    keys = scores["key"].to_pylist()
    captions = pa.array([next(iter(texts[key]), "") for key in keys], pa.string())
    scores = scores.append_column("caption", captions)
    # A copy is no wrong pair: it is there twice.
    wrong = {key for key, kind in material.planted.kinds.items() if kind not in COPIES}
    scores = scores.append_column("planted", pa.array([key in wrong for key in keys]))
    write_table(path, scores)
    return scores


def _summarise(
    stores: Mapping[str, EmbeddingStore],
    scores: pa.Table,
    material: Material,
    config: RunConfig,
    directory: Path,
) -> Mapping[str, Any]:
    path = directory / "summary.json"
    if path.exists():
        return read_json(path)
    texts = dict(zip(material.catalogue.keys, material.catalogue.captions, strict=True))
    heldout = heldout_rows(stores, material.external())
    summary = summarise(scores, material.design.models) | {
        "retrieval": held_out_retrieval(heldout, [next(iter(texts[key]), "") for key in heldout.keys]),
        "model": config.model,
        "data": config.data.source,
        "skipped": len(material.catalogue.skipped),
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
        if Modality.IMAGE not in sample.media:
            return None
        try:
            return decode_picture(sample.media[Modality.IMAGE])
        except UnreadableMedia:
            return None

    build_report(scores, summary, config=to_yaml(config), picture=picture, out=path)
