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
report.html
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich.filesize import decimal

from vestige.alignments import align, heldout_rows, metrics_named
from vestige.config import RunConfig, anchored, load_config, to_yaml
from vestige.curation.suspicion import with_suspicion
from vestige.data import Source
from vestige.data.decoded import DecodedSource
from vestige.data.media import UnreadableMedia, decode_picture
from vestige.data.plant.record import COPIES
from vestige.designs import Design
from vestige.embeddings import EmbeddingStore, embed
from vestige.errors import VestigeError
from vestige.files import read_json, read_table, remove, write_json, write_table
from vestige.material import Material, common_modalities, open_data, prepare
from vestige.models import CanvasEncoder, openclip
from vestige.models.architectures import architecture
from vestige.models.blueprint import Blueprint, load_encoder, modalities_named
from vestige.progress import say
from vestige.report.build import build_report
from vestige.runfolder import claimed
from vestige.samples import Modality
from vestige.scores import score_table
from vestige.summary import held_out_retrieval, summarise
from vestige.training.batches import batch_count
from vestige.training.loop import estimate, train_block
from vestige.training.objectives import Contrastive, PairwiseContrastive

# Up to so many samples, looking at neighbours takes little beside training.
QUICKLY_COMPARED = 100_000


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
    if config.metrics:
        metrics_named(config.metrics)
    wanted = modalities_named(config.modalities)
    description = architecture(config.model)
    if "multimodal_cfg" in description:
        raise VestigeError(f"model {config.model}: CoCa models can be scored, not trained; name a CLIP architecture")
    source = open_data(config.data)
    blueprint = Blueprint(description, wanted or _found(source, config))
    metrics = config.metrics or (("clipmem",) if blueprint.plain else ("multimem",))
    with claimed(directory, config):
        material = prepare(source, config, blueprint, directory)
        _check_metrics(metrics, material, config)
        _train(material, config, blueprint, directory)
        stores = _embed(material, config, directory)
        scores = _score(stores, material, config, metrics, directory / "scores.parquet")
        summary = _summarise(stores, scores, material, config, directory)
        _report(material.samples, scores, summary, config, directory / "report.html")
    return RunResult(directory, scores, summary)


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


def _train(material: Material, config: RunConfig, blueprint: Blueprint, directory: Path) -> None:
    design, examples = material.design, material.examples
    folders = {name: directory / "models" / name for name in design.models}
    if all(folder.exists() for folder in folders.values()):
        remove(directory / "checkpoints")
        return
    first = blueprint.build(config.seed)
    if blueprint.tokenizer is not None:
        _warn_of_long_captions(material.captions, blueprint.tokenizer, blueprint.description)
    slots, objective = design.slots(), Contrastive() if blueprint.plain else PairwiseContrastive()
    if slots.shape[1] < config.training.batch_size:
        raise VestigeError(
            f"training.batch_size is {config.training.batch_size} and a model sees {slots.shape[1]} samples: lower it"
        )
    cost = estimate(first, len(design.models), slots, examples, objective, config.training)
    batches = batch_count(slots, config.training.batch_size)
    say(
        f"training {len(design.models)} models x {config.training.epochs} epochs x {batches} batches:"
        f" about {_duration(cost.seconds)}, {decimal(cost.memory)} of memory"
    )
    for block in sorted(set(design.blocks)):
        rows = [model for model, own in enumerate(design.blocks) if own == block]
        names = [design.models[row] for row in rows]
        if all(folders[name].exists() for name in names):
            continue
        models = {name: blueprint.build(config.seed + block) for name in names}
        checkpoints = directory / "checkpoints" / f"block-{block}"
        train_block(
            models,
            slots[rows],
            examples,
            objective,
            config.training,
            seed=config.seed + block,
            checkpoint_directory=checkpoints,
            log_directory=directory / "tensorboard",
        )
        for name, model in models.items():
            blueprint.save(model, folders[name])
        remove(checkpoints)
    remove(directory / "checkpoints")


def _warn_of_long_captions(
    captions: Sequence[Sequence[str]], tokenize: openclip.Tokenizer, description: Mapping[str, Any]
) -> None:
    context = description["text_cfg"].get("context_length", 77)
    cut = openclip.count_cut([text for texts in captions for text in texts], tokenize, context)
    if cut:
        total = sum(map(len, captions))
        say(f"{cut} of {total} captions are longer than the {context} tokens the model reads: the rest is cut off")


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
    if len(scores) <= QUICKLY_COMPARED:
        scores = with_suspicion(scores, stores, material.design)
    else:
        say(f"for the column suspicion: vestige score {path.parent} --metric suspicion")
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


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    if hours >= 2:
        return f"{hours:.1f} h"
    return f"{minutes:.1f} min" if minutes >= 2 else f"{np.ceil(seconds):.0f} s"
