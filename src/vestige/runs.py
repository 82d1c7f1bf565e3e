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
report.html           the page; report_files/ beside it where its media are too much for one file
"""

import shlex
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa

from vestige.alignments import Heldout, Metric, align, metrics_named
from vestige.classification import LABELMEM, LabelTest
from vestige.config import RunConfig, anchored, load_config, to_yaml
from vestige.curation.suspicion import with_suspicion
from vestige.data import Source
from vestige.data.decoded import DecodedSource
from vestige.data.plant.record import COPIES
from vestige.designs import Design
from vestige.embeddings import EmbeddingStore, embed
from vestige.epochs import score_epochs
from vestige.errors import VestigeError
from vestige.files import read_json, read_table, write_json, write_table
from vestige.material import Material, common_modalities, open_data, prepare
from vestige.models import CanvasEncoder
from vestige.models.blueprint import blueprint_of, load_encoder
from vestige.models.trainable import Trainable
from vestige.progress import say
from vestige.report.build import build_report
from vestige.report.sections import sections_of
from vestige.runfolder import ENVIRONMENT, claimed
from vestige.samples import Modality
from vestige.scores import score_table
from vestige.summary import held_out_retrieval, summarise
from vestige.training.job import train_design
from vestige.training.mitigations.config import MitigationConfig
from vestige.training.team import Team, launched
from vestige.unseen import heldout_of

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

    def _repr_html_(self) -> str:
        """In a notebook: what was found, and the most memorized samples with their pictures."""
        from vestige.finished import read_run
        from vestige.report.notebook import run_html

        try:
            samples = read_run(self.directory).opened()
        except VestigeError:
            # The folder was moved or removed since: the numbers are still here.
            samples = None
        return run_html(self.summary, self.scores, samples)


def execute(config: RunConfig, directory: Path) -> RunResult:
    """Do a run, or what is left of it.

    Args:
        config: what to do.
        directory: a new or empty folder, or the folder of this very run.

    Raises:
        VestigeError: bad data or settings, or the folder holds something else. Nothing there is touched then.
    """
    config, blueprint, metrics = _checked(config)
    with claimed(directory, config):
        material = _trained(config, blueprint, metrics, directory, Team())
        encoders = _encoders(material.design, config, directory)
        stores = embed(encoders, material.samples, directory / "embeddings", config.embedding, seed=config.seed)
        test = _label_test(material)
        scores = _score(stores, material, config, _chosen(metrics, test), directory / "scores.parquet")
        summary = _summarise(stores, scores, material, test, config, directory)
        if len(material.examples.present) > 1:
            score_epochs(material, config, metrics, directory)
        _report(material.samples, stores, scores, summary, config, directory)
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
    config, blueprint, metrics = _checked(config)
    team = launched(config.training.device)
    with claimed(directory, config) if team.rank == 0 else nullcontext():
        # What the first process prepares, the others find done.
        team.first(lambda: _prepared(config, blueprint, metrics, directory))
        material = _trained(config, blueprint, metrics, directory, team)
    return {name: directory / "models" / name for name in material.design.models}


def _checked(config: RunConfig) -> tuple[RunConfig, Trainable, Sequence[str]]:
    """The configuration in full, what is built, and what it is scored by; refuses what cannot be."""
    config = anchored(config)
    if config.training.init_from is not None and not Path(config.training.init_from).exists():
        raise VestigeError(f"training.init_from {config.training.init_from}: no such run or checkpoint")
    if config.paradigm != "contrastive" and config.training.init_from is not None:
        # The other paradigms keep their encoder alone, or under names that a fresh model does not have.
        raise VestigeError(
            f"training.init_from is for contrastive models, and paradigm is {config.paradigm}: train anew without it"
        )
    if config.paradigm != "contrastive" and config.mitigations != MitigationConfig():
        raise VestigeError(f"mitigations are for contrastive models, and paradigm is {config.paradigm}: leave them out")
    contrasted = [name for name in config.metrics if name != LABELMEM]
    if contrasted:
        metrics_named(contrasted)
    blueprint = blueprint_of(config, lambda: _found(open_data(config.data), config))
    metrics = config.metrics or blueprint.metrics[:1]
    _check_fit(metrics, blueprint, config)
    return _with_views(config, metrics), blueprint, metrics


def _prepared(config: RunConfig, blueprint: Trainable, metrics: Sequence[str], directory: Path) -> Material:
    material = prepare(open_data(config.data), config, blueprint, directory)
    _check_metrics(metrics, material, config)
    return material


def _trained(config: RunConfig, blueprint: Trainable, metrics: Sequence[str], directory: Path, team: Team) -> Material:
    material = _prepared(config, blueprint, metrics, directory)
    train_design(material, config, blueprint, directory, team)
    return material


def _check_fit(metrics: Sequence[str], blueprint: Trainable, config: RunConfig) -> None:
    """Refuse metrics that no models of this paradigm can be scored by."""
    for name in metrics:
        if name not in blueprint.metrics:
            raise VestigeError(
                f"metrics: {name} cannot be computed of {config.paradigm} models, which embed"
                f" {' and '.join(blueprint.modalities)}: use {' or '.join(blueprint.metrics)}"
            )


def _with_views(config: RunConfig, metrics: Sequence[str]) -> RunConfig:
    """The configuration with the two views that sslmem compares at least, where it was not asked for by name."""
    if config.metrics or "sslmem" not in metrics or config.embedding.views:
        return config
    return replace(config, embedding=replace(config.embedding, views=2))


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
        material: what they were trained on, planted captions and all.
    """

    config: RunConfig
    design: Design
    encoders: Mapping[str, CanvasEncoder]
    material: Material

    @property
    def samples(self) -> DecodedSource:
        """The samples as they were trained on."""
        return self.material.samples


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
    material = prepare(open_data(config.data), config, blueprint_of(config, lambda: modalities), directory)
    return OpenRun(config, design, encoders, material)


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


def _label_test(material: Material) -> LabelTest | None:
    """The labels that the models of the run were taught; None where they were taught none."""
    if material.labels is None:
        return None
    names = dict(zip(material.catalogue.keys, material.labels.names(), strict=True))
    return LabelTest(names, material.labels.classes, several=material.labels.several)


def _chosen(names: Sequence[str], test: LabelTest | None) -> dict[str, Metric]:
    """The metrics of these names, in their order."""
    return {name: test.metric() if test and name == LABELMEM else metrics_named([name])[name] for name in names}


def _heldout(stores: Mapping[str, EmbeddingStore], material: Material) -> Heldout:
    """The held-out samples; none where models of one modality keep none, for they do not need them."""
    if len(material.examples.present) == 1 and not material.external():
        return Heldout((), {})
    return heldout_of(stores, material.design)


def _score(
    stores: Mapping[str, EmbeddingStore],
    material: Material,
    config: RunConfig,
    metrics: Mapping[str, Metric],
    path: Path,
) -> pa.Table:
    if path.exists():
        return read_table(path)
    alignments = align(stores, _heldout(stores, material), material.design, metrics)
    scores = score_table(material.design, alignments, null=config.null)
    if len(material.examples.present) > 1:
        if len(scores) <= QUICKLY_COMPARED:
            scores = with_suspicion(scores, stores, material.design)
        else:
            say(f"for the column suspicion: vestige score {path.parent} --metric suspicion")
    told = material.told()
    keys = scores["key"].to_pylist()
    captions = pa.array([told[key] for key in keys], pa.string())
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
    test: LabelTest | None,
    config: RunConfig,
    directory: Path,
) -> Mapping[str, Any]:
    path = directory / "summary.json"
    if path.exists():
        return read_json(path)
    texts = dict(zip(material.catalogue.keys, material.catalogue.captions, strict=True))
    heldout = _heldout(stores, material)
    captions = [next(iter(texts[key]), "") for key in heldout.keys]
    summary = summarise(scores, material.design.models) | {
        "retrieval": None if heldout.own else held_out_retrieval(heldout, captions),
        "accuracy": None if test is None else test.accuracy(heldout),
        "paradigm": config.paradigm,
        "model": config.model,
        "data": config.data.source,
        "skipped": len(material.catalogue.skipped),
        "seed": config.seed,
        "version": metadata.version("vestige"),
        "command": shlex.join(["vestige", "run", str(directory / "config.yaml")]),
    }
    write_json(path, summary)
    return summary


def _report(
    samples: Source,
    stores: Mapping[str, EmbeddingStore],
    scores: pa.Table,
    summary: Mapping[str, Any],
    config: RunConfig,
    directory: Path,
) -> None:
    path = directory / "report.html"
    if path.exists():
        return
    evaluation = directory / "evaluation.parquet"
    build_report(
        scores,
        summary,
        config=to_yaml(config),
        out=path,
        samples=samples.samples,
        stores=stores,
        evaluation=read_table(evaluation) if evaluation.exists() else None,
        sections=sections_of(directory),
        versions=read_json(directory / ENVIRONMENT),
        options=config.report,
    )
