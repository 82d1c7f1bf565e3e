"""Evaluation from files to files: the models of a run, or checkpoints, on any sources.

Beside the run (or in the folder that is named) lie then

evaluation.parquet    a row a figure: model, task, data, measure, value, low, high, n, chance, seeds
evaluation.json       the same
evaluation/<source>/  embeddings, and the figures of every model and task: what is done is not done again
"""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from filelock import FileLock, Timeout

from vestige.config import DataConfig, RunConfig, anchored, load_config
from vestige.data import BUILT_IN, FORMATS, Source, open_source
from vestige.designs import Design
from vestige.embeddings import EmbeddingConfig
from vestige.errors import VestigeError
from vestige.files import digest, read_json, read_table, write_json, write_table
from vestige.leakage import Seen
from vestige.models import Encoder
from vestige.models.blueprint import load_encoder
from vestige.progress import say
from vestige.utility.embedded import Embedder, Part
from vestige.utility.evaluate import RUNNERS, task_named
from vestige.utility.facts import facts_of
from vestige.utility.figures import SCHEMA, Figure, rows_of
from vestige.utility.job import Job
from vestige.utility.lars import LarsConfig
from vestige.utility.prompts import Prompts, read_names, read_templates
from vestige.utility.settings import LAYERS, Layer, UtilityConfig
from vestige.utility.unfit import Unfit

OWN_SPLITS: Mapping[str, Mapping[str, str]] = {"fashion-mnist": {"train": "train", "test": "test"}}
"""Sources that are published in two parts: what their option `split` calls them."""


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
    probe: Literal["exact", "lars"] = "exact"
    """exact: logistic regression, its penalty chosen on a part of the training part; lars: CLIPMem's schedule."""
    layers: str = "projector"
    """Probe: projector (the embedding), backbone (the features before the projection), or both, joined by a comma."""
    seeds: int = 1
    """Probe: how often it is trained, with other draws."""
    test_share: float = 0.2
    """Probe: share of the groups to test on, where a source has no test part of its own."""
    train_on: str | None = None
    """Probe: the source it is trained on; all samples of --on are then tested on."""
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
    models = _models(config)
    out = config.out or config.run or Path("evaluation")
    with _claimed(out):
        rows: list[dict[str, Any]] = []
        for name in names:
            job = _job(name, config, utility, templates, models, out)
            found = _run(job, tasks, models.encoders, config)
            rows += found
            _keep(rows_kept(out, found), out)
    return Evaluation(rows, out)


@dataclass(frozen=True)
class _Models:
    """The models by name; of a run, its folder, its configuration and what its models saw."""

    encoders: Mapping[str, Encoder]
    directory: Path | None = None
    config: RunConfig | None = None
    seen: Seen | None = None


def _models(config: EvaluateConfig) -> _Models:
    if config.run is None:
        given = {name: path for name in ("f", "g") if (path := getattr(config, name)) is not None}
        if not given:
            raise VestigeError("name a run (vestige evaluate RUN --on SOURCE), or checkpoints with --f and --g")
        say("nothing is known of what these models were trained on: figures on samples they saw say little")
        return _Models({name: load_encoder(path, config.model, device=config.device) for name, path in given.items()})
    others = [name for name in ("f", "g", "model") if getattr(config, name) is not None]
    if others:
        raise VestigeError(f"a run brings its own models: leave out --{others[0]}")
    directory = config.run
    if not (directory / "config.yaml").is_file():
        raise VestigeError(f"{directory}: no run lies there (no config.yaml)")
    if not (directory / "membership.parquet").is_file() or not (directory / "models").is_dir():
        raise VestigeError(f"{directory}: the run has no models yet: vestige run {directory / 'config.yaml'} goes on")
    design = Design.load(directory / "membership.parquet")
    lacking = [name for name in design.models if not (directory / "models" / name).is_dir()]
    if lacking:
        raise VestigeError(
            f"{directory}: the model {lacking[0]} is not trained: vestige run {directory / 'config.yaml'} goes on"
        )
    encoders = {name: load_encoder(directory / "models" / name, device=config.device) for name in design.models}
    return _Models(encoders, directory, load_config(directory / "config.yaml"), Seen.by(directory, design))


def _job(
    name: str, config: EvaluateConfig, utility: UtilityConfig, templates: Sequence[str], models: _Models, out: Path
) -> Job:
    test, train = _parts(name, config, models)
    facts = (test.facts,) if train is None else (test.facts, train.facts)
    labels = sorted({label for own in facts for label in own.labels if label is not None})
    names = {} if config.class_names is None else read_names(config.class_names, labels)
    folder = out / "evaluation" / _folder(name, config.options)
    embedder = Embedder(folder, EmbeddingConfig(batch_size=config.batch_size, device=config.device))
    return Job(name, test, train, utility, Prompts(tuple(templates), names), embedder)


def _parts(name: str, config: EvaluateConfig, models: _Models) -> tuple[Part, Part | None]:
    """The samples to test on, which no model of a run saw, and those to train a probe on where they are others."""
    options = dict(config.options)
    splits = OWN_SPLITS.get(name) if "split" not in options else None
    train: Part | None = None
    if config.train_on is not None:
        train = _whole(open_source(config.train_on, **config.train_options), label="reading labels (training part)")
    elif splits is not None:
        train = _whole(open_source(name, **options, split=splits["train"]), label="reading labels (training part)")
    if splits is not None:
        options["split"] = splits["test"]
    if models.seen is None or models.config is None or models.directory is None:
        return _whole(open_source(name, **options)), train
    same = anchored(RunConfig(data=DataConfig(source=name))).data.source == models.config.data.source
    if same and splits is None:
        return _held_out(name, models.directory, models.seen, train)
    source = open_source(name, **options)
    facts = facts_of(source, contents=True)
    rows = models.seen.unseen(facts, same_source=same)
    if not rows:
        raise VestigeError(f"{name}: all of its {len(facts)} samples are among the training data of the run")
    if len(rows) < len(facts):
        say(f"{name}: {len(facts) - len(rows)} of {len(facts)} samples are left out: the run was trained on them")
    return Part(source, facts.at(rows)), train


def _held_out(name: str, directory: Path, seen: Seen, train: Part | None) -> tuple[Part, Part]:
    """Of the run's own samples: those that no model saw, and the others."""
    # Imported here: opening the samples of a run needs what training needs.
    from vestige.runs import open_run

    samples = open_run(directory).samples
    facts = facts_of(samples)
    held = set(seen.external)
    at: dict[bool, list[int]] = {True: [], False: []}
    for row, key in enumerate(facts.keys):
        at[key in held].append(row)
    say(
        f"{name}: the models were trained on it: the {len(at[True])} of {len(facts)} samples that no model saw are"
        " tested on" + (", a probe is trained on the others" if train is None else "")
    )
    return Part(samples, facts.at(at[True])), train or Part(samples, facts.at(at[False]))


def _whole(source: Source, *, label: str = "reading labels") -> Part:
    return Part(source, facts_of(source, label=label))


def _run(job: Job, tasks: Sequence[str], encoders: Mapping[str, Encoder], config: EvaluateConfig) -> list[dict]:
    """The figures of all tasks; those that were not named may not fit."""
    rows: list[dict[str, Any]] = []
    reasons: list[str] = []
    for task in tasks or RUNNERS:
        try:
            rows += _task(job, task, encoders, config)
        except Unfit as error:
            if tasks:
                raise
            reasons.append(f"{task}: {error}")
    if not rows:
        raise VestigeError(f"no task is for these samples; {'; '.join(reasons)}")
    for reason in reasons:
        say(f"left out: {reason}")
    return rows


def _task(job: Job, task: str, encoders: Mapping[str, Encoder], config: EvaluateConfig) -> list[dict[str, Any]]:
    """The figures of a task; those of models that were done before are read."""
    train = () if job.train is None else job.train.facts.keys
    settings = json.dumps([asdict(job.config), asdict(job.prompts)], sort_keys=True)
    labels = json.dumps([job.test.facts.labels, job.test.facts.objects, job.test.facts.captions])
    found: dict[str, list[Figure]] = {}
    paths, abouts = dict[str, Path](), dict[str, str]()
    for name, encoder in encoders.items():
        paths[name] = job.embedder.directory / "figures" / f"{name}-{task}.json"
        abouts[name] = digest(encoder.fingerprint, settings, labels, *job.test.facts.keys, "", *train)
        if paths[name].exists() and (kept := read_json(paths[name]))["about"] == abouts[name]:
            found[name] = [Figure(**own) for own in kept["figures"]]
    todo = {name: encoder for name, encoder in encoders.items() if name not in found}
    if todo:
        for name, figures in RUNNERS[task](todo, job):
            write_json(paths[name], {"about": abouts[name], "figures": [asdict(own) for own in figures]})
            found[name] = figures
    return rows_of({name: found[name] for name in encoders})


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
def _claimed(out: Path):
    """While the block runs, no other process writes figures there."""
    if out.exists() and not out.is_dir():
        raise VestigeError(f"{out} is a file: name a folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / ".evaluation.lock", timeout=0):
            yield
    except Timeout as error:
        raise VestigeError(f"{out}: another process evaluates there: wait for it, or stop it") from error


def sources_named(names: str) -> list[str]:
    """Names of sources from one string; a comma within a name (webdataset:a.tar,b.tar) does not part it.

    Raises:
        VestigeError: none.
    """
    found: list[str] = []
    for piece in names.split(","):
        known = piece.strip() in BUILT_IN or piece.strip().partition(":")[0] in FORMATS
        if found and not known:
            found[-1] += f",{piece}"
        elif piece.strip():
            found.append(piece.strip())
    if not found:
        raise VestigeError("name the sources to evaluate on: --on fashion-mnist,emoji-google,csv:FILE")
    return list(dict.fromkeys(found))


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
        probe=config.probe,
        layers=tuple(layers),
        seeds=config.seeds,
        test_share=config.test_share,
        lars=config.lars,
        seed=config.seed,
    )


def _folder(name: str, options: Mapping[str, str]) -> str:
    """A folder name for a source: its own where it is built in and has no options."""
    if name in BUILT_IN and not options:
        return name
    told = json.dumps([name, sorted(options.items())])
    return f"{re.sub(r'[^A-Za-z0-9]+', '-', name).strip('-')[-40:]}-{digest(told)}"
