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
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa

from vestige.alignments import Heldout, Metric, align, metrics_named
from vestige.classification import LABELMEM, LabelTest
from vestige.config import RunConfig
from vestige.curation.suspicion import with_suspicion
from vestige.data.plant.record import COPIES
from vestige.embeddings import EmbeddingStore, embed
from vestige.epochs import score_epochs
from vestige.errors import VestigeError
from vestige.files import read_json, read_table, write_json, write_table
from vestige.finished import FinishedRun, read_run
from vestige.material import Material, open_data, prepare
from vestige.openrun import encoders_of
from vestige.plan import Plan, check_material, planned
from vestige.progress import say
from vestige.report.notebook import run_html
from vestige.reporting import NAMES, write_page
from vestige.runfolder import claimed
from vestige.scores import score_table
from vestige.summary import held_out_retrieval, summarise
from vestige.training.job import train_design
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
    plan = planned(config)
    config = plan.config
    with claimed(directory, config):
        material = _trained(plan, directory, Team())
        encoders = encoders_of(material.design, config, directory)
        stores = embed(encoders, material.samples, directory / "embeddings", config.embedding, seed=config.seed)
        test = _label_test(material)
        scores = _score(stores, material, config, _chosen(plan.metrics, test), directory / "scores.parquet")
        summary = _summarise(stores, scores, material, test, config, directory)
        if len(material.examples.present) > 1:
            score_epochs(material, config, plan.metrics, directory)
        finished = FinishedRun(directory, config, scores, summary)
        if not (page := directory / NAMES["html"]).exists():
            write_page(finished, page, material.samples)
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
    plan = planned(config)
    team = launched(plan.config.training.device)
    with claimed(directory, plan.config) if team.rank == 0 else nullcontext():
        # What the first process prepares, the others find done.
        team.first(lambda: _prepared(plan, directory))
        material = _trained(plan, directory, team)
    return {name: directory / "models" / name for name in material.design.models}


def _prepared(plan: Plan, directory: Path) -> Material:
    material = prepare(open_data(plan.config.data), plan.config, plan.blueprint, directory)
    check_material(plan, material)
    return material


def _trained(plan: Plan, directory: Path, team: Team) -> Material:
    material = _prepared(plan, directory)
    train_design(material, plan.config, plan.blueprint, directory, team)
    return material


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
