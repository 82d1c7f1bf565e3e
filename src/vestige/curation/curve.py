"""The removal curve: what taking out the top N of a ranking does to a model (CLIPMem, fig. 6; MultiMem, fig. 5d-f).

For every ranking, every N and every seed the models of a run are trained again without the top N, from fresh weights or
from the run's own, and measured: what the first model retrieves on the held-out samples, and the mean memorization of
what it still saw. The ranking is among the samples that the first model saw and that have a score; who sees what is
left, and the held-out samples, are those of the run at every point. With tasks on sources (`--task probe:SOURCE`) the
first model is evaluated on these too.

RUN/curve/designs/<point>/      who sees what, and the faults that were planted
RUN/curve/<point>/              a run of its own, `vestige run <point>/config.yaml` repeats it
RUN/curve.parquet               ranking, removed, seed, measure, value, low, high

A row with a seed is one training; a row without is the mean over seeds with its 95% interval (Student's t).
"""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import torch

from vestige.config import RunConfig, anchored, load_config, to_yaml
from vestige.curation.curvemeasures import Measures, tasks_named
from vestige.curation.ranking import MEMORIZATION, RANDOM, rank
from vestige.designs import Design
from vestige.errors import VestigeError
from vestige.files import read_table, write_table, write_text
from vestige.material import Material
from vestige.metrics import mean_interval
from vestige.models.blueprint import Trainable, blueprint_of
from vestige.openrun import open_run
from vestige.progress import say
from vestige.runs import execute
from vestige.training.job import cost_of
from vestige.training.loop import duration

FOLDER = "curve"
ALL = "all"
"""The point at which nothing is removed; all rankings share it."""

_SCHEMA = pa.schema(
    {
        "ranking": pa.string(),
        "removed": pa.int64(),
        "seed": pa.int64(),
        "measure": pa.string(),
        "value": pa.float64(),
        "low": pa.float64(),
        "high": pa.float64(),
    }
)


@dataclass(frozen=True)
class CurveConfig:
    """Train the models of a run again without the top of a ranking, and see what that costs and brings."""

    run: Path
    """A finished run with external samples."""
    removed: str = "0,50,100,200"
    """How many samples to take out, joined by commas."""
    by: str = "memorization,align_out,random"
    """Rankings, joined by commas: columns of the scores, and random."""
    seeds: int = 3
    """Trainings a point; the first has the seed of the run."""
    task: str = "retrieval"
    """What the first model is measured on, joined by commas: retrieval (on the held-out samples), probe:SOURCE,
    zero-shot:SOURCE (as vestige evaluate does)."""
    fine_tune: int | None = None
    """Go on from the run's models for so many epochs, instead of training anew."""


@dataclass(frozen=True)
class Point:
    """A place on a curve: one training of all the models of the design."""

    ranking: str
    removed: int
    seed: int

    @property
    def name(self) -> str:
        return f"{re.sub(r'[^A-Za-z0-9_]+', '_', self.ranking)}-{self.removed}-{self.seed}"


def curve(config: CurveConfig) -> pa.Table:
    """Train what has not been trained yet, measure all points, write the table.

    Raises:
        VestigeError: a run that is not finished or keeps no external samples, more removed than there are, or a task
            that the samples or the models do not fit.
    """
    sizes, rankings = _numbers(config.removed), [name.strip() for name in config.by.split(",")]
    tasks = tasks_named(config.task)
    if config.seeds < 1 or (config.fine_tune is not None and config.fine_tune < 1):
        raise VestigeError("--seeds and --fine-tune are 1 or more")
    run = open_run(config.run)
    if config.fine_tune is not None and run.config.paradigm != "contrastive":
        raise VestigeError(
            f"--fine-tune is for contrastive models, and the paradigm of {config.run} is {run.config.paradigm}:"
            " leave it out, and models are trained anew"
        )
    scores = read_table(config.run / "scores.parquet")
    if run.design.member.any(axis=0).all():
        raise VestigeError(f"{config.run}: a curve is measured on held-out samples: set design.external in the run")
    measures = Measures.of(tasks, run, config.run)
    points = {
        (name, removed, seed): Point(name if removed else ALL, removed, seed)
        for name in rankings
        for removed in sizes
        for seed in range(config.seeds)
    }
    jobs = {point: _configured(config, run.config, point) for point in dict.fromkeys(points.values())}
    left = {point: job for point, job in jobs.items() if not _finished(config.run, point, job)}
    designs = {point: _design(run.design, scores, point, run.config) for point in left}
    if left:
        # What the run's own model cannot be evaluated on, no other can: better known before hours of training.
        measures.on_sources(config.run)
        modalities = next(iter(run.encoders.values())).modalities
        blueprint = blueprint_of(run.config, lambda: modalities)
        _say_cost(config, run.config, run.material, blueprint, designs)
    for number, (point, job) in enumerate(left.items(), 1):
        say(f"point {number} of {len(left)}: {point.removed} removed by {point.ranking}, seed {point.seed}")
        _prepare(config.run, point, job, designs[point])
        execute(job, config.run / FOLDER / point.name)
    measured = {point: measures.at(_folder(config.run, point, job)) for point, job in jobs.items()}
    table = pa.Table.from_pylist(list(_rows(points, measured)), schema=_SCHEMA)
    write_table(config.run / "curve.parquet", table)
    return table


def _numbers(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise VestigeError(f"--removed holds whole numbers joined by commas, not {text!r}")
    return sorted({int(part) for part in parts})


def _configured(config: CurveConfig, run: RunConfig, point: Point) -> RunConfig:
    """The run of a point; the run itself where nothing differs."""
    if point.removed == 0 and point.seed == 0 and config.fine_tune is None:
        return run
    file = config.run / FOLDER / "designs" / point.name / "membership.parquet"
    job = replace(run, design=replace(run.design, name="file", file=str(file.resolve())), seed=run.seed + point.seed)
    if config.fine_tune is not None:
        # Warm-up follows the epochs, which are fewer now.
        started = str(config.run.resolve())
        training = replace(run.training, epochs=config.fine_tune, warmup_epochs=None, init_from=started)
        job = replace(job, training=training)
    return anchored(job)


def _folder(run: Path, point: Point, job: RunConfig) -> Path:
    return run / FOLDER / point.name if job.design.name == "file" and job.design.file else run


def _finished(run: Path, point: Point, job: RunConfig) -> bool:
    folder = _folder(run, point, job)
    if folder == run:
        return True
    config = folder / "config.yaml"
    # Another curve lies there: `execute` says which settings differ.
    return (folder / "summary.json").exists() and config.exists() and load_config(config) == job


def _design(design: Design, scores: pa.Table, point: Point, run: RunConfig) -> Design:
    """The design without the top of the ranking, among what the first model saw and has a score."""
    if not point.removed:
        return design
    seen = dict(zip(design.keys, design.member[0].tolist(), strict=True))
    rows = zip(scores["key"].to_pylist(), scores[MEMORIZATION].to_pylist(), strict=True)
    among = scores.filter(pa.array([seen[key] and score is not None for key, score in rows]))
    ranking = rank(among, point.ranking, seed=run.seed + point.seed if point.ranking == RANDOM else 0)
    if point.removed > len(ranking):
        raise VestigeError(
            f"--removed {point.removed}: the first model saw {len(ranking)} samples that have a score by"
            f" {point.ranking}: remove fewer"
        )
    return design.without(frozenset(ranking.keys[: point.removed]))


def _prepare(run: Path, point: Point, job: RunConfig, design: Design) -> None:
    """Write down who sees what, and begin the folder of the point with what the run has read of the data."""
    place = run / FOLDER / "designs" / point.name
    membership = place / "membership.parquet"
    if membership.exists() and Design.load(membership).keys != design.keys:
        raise VestigeError(
            f"{membership}: the scores of the run have changed since this point was begun: remove {run / FOLDER}"
        )
    place.mkdir(parents=True, exist_ok=True)
    for name in ("planted.parquet", "copies.parquet"):
        if (run / name).exists():
            shutil.copyfile(run / name, place / name)
    design.save(membership)
    folder = run / FOLDER / point.name
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "config.yaml").exists():
        write_text(folder / "config.yaml", to_yaml(job))
    if not (folder / "samples").exists():
        # Canvases are made once; the link holds where the run is moved as a whole.
        (folder / "samples").symlink_to(Path("..", "..", "samples"))


def _say_cost(
    config: CurveConfig, run: RunConfig, material: Material, blueprint: Trainable, designs: Mapping[Point, Design]
) -> None:
    models = len(material.design.models)
    training = run.training if config.fine_tune is None else replace(run.training, epochs=config.fine_tune)
    cost = cost_of(material, replace(run, training=training), blueprint)
    smallest = min(int(design.member.sum(axis=1).min()) for design in designs.values())
    if smallest < run.training.batch_size:
        raise VestigeError(
            f"training.batch_size is {run.training.batch_size} and at the last point a model would see {smallest}"
            " samples: remove fewer"
        )
    size = sum(file.stat().st_size for file in (config.run / "models").rglob("*") if file.is_file())
    points = "1 point" if len(designs) == 1 else f"{len(designs)} points"
    say(
        f"{points} x {models} models to train: about {duration(cost.seconds * len(designs))},"
        f" {size * len(designs) / 1e6:,.0f} MB of models"
    )


def _rows(
    points: Mapping[tuple[str, int, int], Point], measured: Mapping[Point, Mapping[str, float]]
) -> Iterator[dict[str, object]]:
    by_place: dict[tuple[str, int], list[tuple[int, Mapping[str, float]]]] = {}
    for (ranking, removed, seed), point in points.items():
        by_place.setdefault((ranking, removed), []).append((seed, measured[point]))
    for (ranking, removed), trainings in by_place.items():
        for measure in trainings[0][1]:
            values = [(seed, found[measure]) for seed, found in trainings if measure in found]
            place = {"ranking": ranking, "removed": removed, "measure": measure}
            for seed, value in values:
                yield {**place, "seed": seed, "value": value, "low": None, "high": None}
            yield {**place, "seed": None, **_interval([value for _, value in values])}


def _interval(values: Sequence[float]) -> dict[str, float | None]:
    found = mean_interval(torch.tensor(values, dtype=torch.float64))
    alone = len(values) < 2
    return {"value": found.mean, "low": None if alone else found.low, "high": None if alone else found.high}
