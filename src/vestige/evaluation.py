"""Evaluation from files to files: the models of a run, or checkpoints, on any sources.

Beside the run (or in the folder that is named) lie then

evaluation.parquet    a row a figure: model, task, data, measure, value, low, high, n, chance, seeds
evaluation.json       the same
evaluation/<source>/  embeddings, and the figures of every model and task: what is done is not done again
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from filelock import FileLock, Timeout

from vestige.data import BUILT_IN
from vestige.embeddings import EmbeddingConfig
from vestige.errors import VestigeError
from vestige.evaluated import Models, evaluated_models, evaluated_parts, sources_named, training_part
from vestige.files import digest, read_json, read_table, write_json, write_table
from vestige.models import Encoder
from vestige.progress import say
from vestige.utility.embedded import Embedder
from vestige.utility.evaluate import RUNNERS, task_named
from vestige.utility.figures import SCHEMA, Figure, rows_of
from vestige.utility.job import Job
from vestige.utility.lars import LarsConfig
from vestige.utility.prompts import Prompts, read_names, read_templates
from vestige.utility.settings import LAYERS, Layer, UtilityConfig
from vestige.utility.unfit import Unfit

SETTINGS: Mapping[str, tuple[str, ...]] = {
    "probe": ("probe", "layers", "seeds", "test_share", "lars", "seed"),
    "zero-shot": (),
    "retrieval": ("k", "captions", "one_per_group"),
}
"""What of `UtilityConfig` a task reads: others can change, and its figures stay."""


@dataclass(frozen=True)
class EvaluateConfig:
    """What models are still good for: linear probe, zero-shot classification, retrieval."""

    run: Path | None = None
    """A run: all its models are evaluated."""
    on: str = ""
    """Sources to evaluate on, joined by commas: fashion-mnist,emoji-google,csv:FILE."""
    task: str = ""
    """Tasks, joined by commas: probe, zero-shot, retrieval; those the samples allow when not given."""
    k: str = "1,5,10"
    """Retrieval: rates of queries with a correct target among the k nearest."""
    captions: Literal["first", "all"] = "first"
    """Retrieval: the first caption of every sample, or all: any of them is correct for its sample."""
    one_per_group: bool = False
    """Retrieval: among the first sample of every group instead of all, where copies and series share their captions."""
    probe: Literal["exact", "lars"] = "exact"
    """exact: logistic regression, its penalty chosen on a part of the training part; lars: CLIPMem's schedule."""
    layers: str = "projector"
    """Probe: projector (the embedding), backbone (the features before the projection), or both, joined by a comma."""
    seeds: int = 1
    """Probe: how often it is trained, with other draws."""
    test_share: float = 0.2
    """Probe: share of the groups to test on, where a source has no test part of its own."""
    train_on: str | None = None
    """Probe: the source it is trained on, without what is tested on; all samples of --on are then tested on."""
    templates: Path | None = None
    """Zero-shot: file of sentences, one a line, with {} for the name of the class."""
    class_names: Path | None = None
    """Zero-shot: JSON file of what classes are called: {"label": "name"} or {"label": ["name", "another"]}."""
    f: Path | None = None
    """Instead of a run: a checkpoint (a folder in OpenCLIP's layout, .safetensors, .pt)."""
    g: Path | None = None
    """Another."""
    model: str | None = None
    """Architecture of both (an OpenCLIP name or a JSON file), where the checkpoints do not say."""
    out: Path | None = None
    """Folder for the figures; the run, or `evaluation`, when not given."""
    options: dict[str, str] = field(default_factory=dict)
    """Options of the sources, for example split test."""
    train_options: dict[str, str] = field(default_factory=dict)
    """The same of --train-on."""
    lars: LarsConfig = field(default_factory=LarsConfig)
    batch_size: int = 256
    """Samples in a forward pass."""
    device: str = "cpu"
    """Where the models compute."""
    seed: int = 0
    """Of the division into training and test part, and of the first probe."""


@dataclass(frozen=True)
class Evaluation:
    """What was found.

    Attributes:
        rows: the figures of this call, as `vestige.utility.figures.SCHEMA` has them.
        directory: where `evaluation.parquet` and `evaluation.json` lie, with the figures of earlier calls too.
    """

    rows: list[dict[str, Any]]
    directory: Path


def evaluate_files(config: EvaluateConfig) -> Evaluation:
    """Evaluate, and write the figures.

    Raises:
        VestigeError: inputs that are not there or do not go together, or samples that fit none of the tasks.
    """
    names = sources_named(config.on)
    tasks = [task_named(name) for name in _listed(config.task)]
    utility = _utility(config)
    templates = () if config.templates is None else read_templates(config.templates)
    models = evaluated_models(config.run, config.f, config.g, config.model, config.device)
    out = config.out or config.run or Path("evaluation")
    with figures_claimed(out):
        rows: list[dict[str, Any]] = []
        for name in names:
            job = _job(name, config, utility, templates, models, out)
            found = _run(job, tasks, models.encoders)
            rows += found
            _keep(rows_kept(out, found), out)
    return Evaluation(rows, out)


def _job(
    name: str, config: EvaluateConfig, utility: UtilityConfig, templates: Sequence[str], models: Models, out: Path
) -> Job:
    test, train = evaluated_parts(name, config.options, models)
    if config.train_on is not None:
        same = (config.train_on, config.train_options) == (name, config.options)
        train = training_part(config.train_on, config.train_options, test, same_source=same)
    facts = (test.facts,) if train is None else (test.facts, train.facts)
    labels = sorted({label for own in facts for label in own.labels if label is not None})
    names = {} if config.class_names is None else read_names(config.class_names, labels)
    folder = kept_at(out, name, config.options)
    embedder = Embedder(folder, EmbeddingConfig(batch_size=config.batch_size, device=config.device))
    return Job(name, test, train, utility, Prompts(tuple(templates), names), embedder)


def _run(job: Job, tasks: Sequence[str], encoders: Mapping[str, Encoder]) -> list[dict[str, Any]]:
    """The figures of all tasks; those that were not named may not fit."""
    rows: list[dict[str, Any]] = []
    reasons: list[str] = []
    for task in tasks or RUNNERS:
        try:
            rows += task_rows(job, task, encoders)
        except Unfit as error:
            if tasks:
                raise
            reasons.append(f"{task}: {error}")
    if not rows:
        raise VestigeError(f"no task is for these samples; {'; '.join(reasons)}")
    for reason in reasons:
        say(f"left out: {reason}")
    return rows


def task_rows(job: Job, task: str, encoders: Mapping[str, Encoder]) -> list[dict[str, Any]]:
    """The figures of a task, as `SCHEMA` has them; those of models that were done before are read.

    Raises:
        VestigeError: samples or models that do not fit the task (`Unfit`), or none that can be read.
    """
    follows = _follows_from(job, task)
    found: dict[str, list[Figure]] = {}
    paths, abouts = dict[str, Path](), dict[str, str]()
    for name, encoder in encoders.items():
        paths[name] = job.embedder.directory / "figures" / f"{name}-{task}.json"
        abouts[name] = digest(encoder.fingerprint, follows)
        if paths[name].exists() and (kept := read_json(paths[name]))["about"] == abouts[name]:
            found[name] = [Figure(**own) for own in kept["figures"]]
    todo = {name: encoder for name, encoder in encoders.items() if name not in found}
    if todo:
        for name, figures in RUNNERS[task](todo, job):
            write_json(paths[name], {"about": abouts[name], "figures": [asdict(own) for own in figures]})
            found[name] = figures
    return rows_of({name: found[name] for name in encoders})


def _follows_from(job: Job, task: str) -> str:
    """What the figures of a task follow from besides the model: samples, and those settings that the task reads."""
    config = asdict(job.config)
    settings = {name: config[name] for name in SETTINGS[task]}
    facts = [job.test.facts, *(() if job.train is None else (job.train.facts,))]
    samples = [(own.keys, own.groups, own.labels, own.objects, own.captions) for own in facts]
    return json.dumps([settings, asdict(job.prompts) if task == "zero-shot" else None, samples], sort_keys=True)


def rows_kept(out: Path, new: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The figures that lie there and the new ones, which take the place of their own measures."""

    def name(row: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(row[column] for column in ("model", "task", "data", "measure"))

    path = out / "evaluation.parquet"
    before = read_table(path).to_pylist() if path.exists() else []
    fresh = {name(row) for row in new}
    return [*(row for row in before if name(row) not in fresh), *map(dict, new)]


def _keep(rows: list[dict[str, Any]], out: Path) -> None:
    write_json(out / "evaluation.json", rows)
    write_table(out / "evaluation.parquet", pa.Table.from_pylist(rows, schema=SCHEMA))


@contextmanager
def figures_claimed(out: Path) -> Iterator[None]:
    """While the block runs, no other process writes figures there."""
    if out.exists() and not out.is_dir():
        raise VestigeError(f"{out} is a file: name a folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / ".evaluation.lock", timeout=0):
            yield
    except Timeout as error:
        raise VestigeError(f"{out}: another process evaluates there: wait for it, or stop it") from error


def _listed(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _utility(config: EvaluateConfig) -> UtilityConfig:
    try:
        ks = tuple(sorted({int(k) for k in _listed(config.k)}))
    except ValueError as error:
        raise VestigeError(f"k: expected whole numbers joined by commas, found {config.k!r}") from error
    layers: list[Layer] = []
    for name in _listed(config.layers):
        if name not in LAYERS:
            raise VestigeError(f"layers: expected {' or '.join(LAYERS)}, found {name!r}")
        layers.append(name)
    return UtilityConfig(
        k=ks,
        captions=config.captions,
        one_per_group=config.one_per_group,
        probe=config.probe,
        layers=tuple(layers),
        seeds=config.seeds,
        test_share=config.test_share,
        lars=config.lars,
        seed=config.seed,
    )


def kept_at(out: Path, name: str, options: Mapping[str, str]) -> Path:
    """The folder of a source: of its own name where it is built in and has no options."""
    if name in BUILT_IN and not options:
        return out / "evaluation" / name
    told = json.dumps([name, sorted(options.items())])
    return out / "evaluation" / f"{re.sub(r'[^A-Za-z0-9]+', '-', name).strip('-')[-40:]}-{digest(told)}"
