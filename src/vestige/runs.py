"""A run directory: from a configuration to scores and report, in stages that are done once and go on when killed.

config.yaml           all that is needed to replay the run
environment.json      versions, threads, machine
samples/              what reading the data gave: tables of samples, canvases of media
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
from collections import Counter
from collections.abc import Mapping, Sequence
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
from vestige.data.canvases import canvas_of
from vestige.data.catalogue import Catalogue, kept_bytes, open_canvases, read_catalogue
from vestige.data.decoded import DecodedSource
from vestige.data.examples import Examples
from vestige.data.media import UnreadableMedia, decode_picture
from vestige.data.plant import Planted, exchange_captions
from vestige.data.subset import Subset
from vestige.designs import Design, Role
from vestige.embeddings import EmbeddingStore, embed
from vestige.errors import VestigeError
from vestige.files import read_json, read_table, remove, replacing, write_json, write_table
from vestige.models import CanvasEncoder, openclip
from vestige.models.architectures import architecture
from vestige.models.blueprint import Blueprint, load_encoder, modalities_named
from vestige.progress import console
from vestige.report.build import build_report
from vestige.runfolder import claimed
from vestige.samples import Modality
from vestige.scores import align, heldout_rows, metrics_named, score_table
from vestige.summary import held_out_retrieval, summarise
from vestige.training.batches import batch_count
from vestige.training.loop import estimate, train_block
from vestige.training.objectives import Contrastive, PairwiseContrastive

# Samples that are looked at to see which modalities a source has.
PEEK = 256


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
    source = open_source(config.data.source, **config.data.options)
    blueprint = Blueprint(description, wanted or common_modalities(source))
    metrics = config.metrics or (("clipmem",) if blueprint.plain else ("multimem",))
    with claimed(directory, config):
        catalogue = _catalogue(source, config, blueprint, directory)
        design = _design(catalogue, config, directory / "membership.parquet")
        planted = _plant(catalogue, design, config, directory / "planted.parquet")
        captions = planted_captions(catalogue, planted)
        examples = _examples(source, catalogue, captions, config, blueprint, directory)
        _train(examples, captions, design, config, blueprint, directory)
        samples = DecodedSource(planted.apply(Subset(source, design.keys)), examples)
        stores = _embed(design, samples, config, directory)
        scores = _score(stores, design, catalogue, planted, config, metrics, directory / "scores.parquet")
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
    encoders: Mapping[str, CanvasEncoder]
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
    planted = Planted.load(directory / "planted.parquet")
    source = open_source(config.data.source, **config.data.options)
    encoders = _encoders(design, config, directory)
    samples = planted.apply(Subset(source, design.keys))
    modalities = next(iter(encoders.values())).modalities
    blueprint = Blueprint(architecture(config.model), modalities)
    catalogue = _catalogue(source, config, blueprint, directory)
    captions = planted_captions(catalogue, planted)
    examples = _examples(source, catalogue, captions, config, blueprint, directory)
    return OpenRun(config, design, encoders, DecodedSource(samples, examples))


def _encoders(design: Design, config: RunConfig, directory: Path) -> dict[str, CanvasEncoder]:
    device = config.embedding.device
    return {name: load_encoder(directory / "models" / name, device=device) for name in design.models}


def common_modalities(source: Source) -> tuple[Modality, ...]:
    """The modalities that at least half of the samples have, judged by samples spread over the source."""
    keys = source.keys()
    places: list[int] = np.unique(np.linspace(0, len(keys) - 1, min(PEEK, len(keys))).astype(int)).tolist()
    chosen = [keys[place] for place in places]
    has = Counter(
        modality
        for sample in source.samples(chosen)
        for modality in (*sample.media, *([Modality.TEXT] if any(c.strip() for c in sample.captions) else []))
    )
    return tuple(modality for modality in Modality if 2 * has[modality] >= len(chosen))


def _catalogue(source: Source, config: RunConfig, blueprint: Blueprint, directory: Path) -> Catalogue:
    kinds = {modality: canvas_of(read) for modality, read in blueprint.inputs.items()}
    keep = kept_bytes(source, kinds) <= config.data.cache_gigabytes * 1e9
    text = Modality.TEXT in blueprint.modalities
    catalogue = read_catalogue(source, directory / "samples", kinds, text=text, keep=keep)
    with replacing(directory / "skipped.csv") as temporary, temporary.open("w", encoding="utf-8", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(("key", "reason"))
        table.writerows((*catalogue.skipped, *catalogue.lacking))
    bad, total = len(catalogue.skipped), len(catalogue) + len(catalogue.skipped) + len(catalogue.lacking)
    if bad > config.data.max_unreadable * total or bad == total:
        key, reason = catalogue.skipped[0]
        # Read again next time: the user is asked to mend the files.
        remove(directory / "samples")
        raise VestigeError(
            f"{bad} of {total} samples cannot be read, more than data.max_unreadable ="
            f" {config.data.max_unreadable:g} allows; the first is {key!r}: {reason}. All are in"
            f" {directory / 'skipped.csv'}: mend them, or allow more"
        )
    if not len(catalogue):
        raise VestigeError(
            f"no sample has two of {', '.join(blueprint.modalities)}: name the modalities that your data have with"
            " --modalities"
        )
    if bad:
        console.print(f"{bad} of {total} samples cannot be read and are left out: {directory / 'skipped.csv'}")
    if catalogue.lacking:
        console.print(
            f"{len(catalogue.lacking)} of {total} samples have fewer than two of {', '.join(blueprint.modalities)} and"
            f" are left out: {directory / 'skipped.csv'}",
            highlight=False,
        )
    return catalogue


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


def _plant(catalogue: Catalogue, design: Design, config: RunConfig, path: Path) -> Planted:
    """Exchange captions among the candidates, or among all scored samples where a design has no candidates."""
    if path.exists():
        return Planted.load(path)
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


def planted_captions(catalogue: Catalogue, planted: Planted) -> list[tuple[str, ...]]:
    """The captions that every sample is trained on."""
    return [planted.captions.get(key, own) for key, own in zip(catalogue.keys, catalogue.captions, strict=True)]


def _examples(
    source: Source,
    catalogue: Catalogue,
    captions: Sequence[Sequence[str]],
    config: RunConfig,
    blueprint: Blueprint,
    directory: Path,
) -> Examples:
    kinds = {modality: canvas_of(read) for modality, read in blueprint.inputs.items()}
    return Examples(
        catalogue.keys,
        blueprint.inputs,
        open_canvases(source, catalogue, directory / "samples", kinds),
        catalogue.sizes,
        captions,
        blueprint.tokenizer,
        policy=config.training.captions,
    )


def _train(
    examples: Examples,
    captions: Sequence[Sequence[str]],
    design: Design,
    config: RunConfig,
    blueprint: Blueprint,
    directory: Path,
) -> None:
    folders = {name: directory / "models" / name for name in design.models}
    if all(folder.exists() for folder in folders.values()):
        remove(directory / "checkpoints")
        return
    first = blueprint.build(config.seed)
    if blueprint.tokenizer is not None:
        _warn_of_long_captions(captions, blueprint.tokenizer, blueprint.description)
    slots, objective = design.slots(), Contrastive() if blueprint.plain else PairwiseContrastive()
    if slots.shape[1] < config.training.batch_size:
        raise VestigeError(
            f"training.batch_size is {config.training.batch_size} and a model sees {slots.shape[1]} samples: lower it"
        )
    cost = estimate(first, len(design.models), slots, examples, objective, config.training)
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
    planted: Planted,
    config: RunConfig,
    metrics: Sequence[str],
    path: Path,
) -> pa.Table:
    if path.exists():
        return read_table(path)
    external = [key for key, role in zip(design.keys, design.roles(), strict=True) if role == Role.EXTERNAL]
    scores = score_table(
        design, align(stores, heldout_rows(stores, external), design, metrics_named(metrics)), null=config.null
    )
    own = dict(zip(catalogue.keys, catalogue.captions, strict=True))
    keys = scores["key"].to_pylist()
    scores = scores.append_column(
        "caption", pa.array([next(iter(planted.captions.get(key, own[key])), "") for key in keys])
    )
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
        "retrieval": held_out_retrieval(heldout, [next(iter(own[key]), "") for key in heldout.keys]),
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
