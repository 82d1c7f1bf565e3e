"""How well wrong captions are found, and what it takes: `python benchmarks/detection.py --out runs/detection`.

Planted: captions are exchanged among 1, 5 and 10% of the samples of a collection, models are trained on it, and every
finder of `finders.py` ranks the samples. Natural: openclipart as it is, with the titles that `wrong_titles.py` calls
wrong by their text alone; the half of its groups that is judged is drawn by their names, the other half is left for
choosing. Nothing here is chosen: what `suspicion` combines was fixed on twemoji with the seeds `TUNED_WITH`.

Two designs on the same samples and faults: `two` models, each trained on one half, or `one`, trained on all; both leave
out the same tenth, which is not judged. Every training is a run in its own folder below --out: a call that was stopped
goes on where it was. The tables are written to detection.md and detection.json there.
"""

import argparse
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import Tensor

from finders import FINDERS, Trained
from vestige.config import DataConfig, DesignConfig, PlantConfig, RunConfig, to_yaml
from vestige.data import open_source
from vestige.errors import VestigeError
from vestige.files import read_json, write_json, write_text
from vestige.metrics import auc, average_precision, mean_interval, precision_at
from vestige.progress import say
from vestige.runs import execute
from vestige.training.config import TrainingConfig
from wrong_titles import wrong_titles

NATURAL = "openclipart-titles"
DATASETS = ("twemoji", "openclipart", "emoji-google", NATURAL)
TUNED_WITH = (100, 101, 102, 103)
# Planting in pictures whose title is wrong anyway would plant nothing.
OPTIONS: Mapping[str, dict[str, str]] = {"openclipart": {"titles": "own"}}
DESIGNS = {
    "two": DesignConfig(name="halves", pairs=1),
    "one": DesignConfig(name="subsets", models=1, share=1),
}
MEASURES = ("AUC", "AP", "precision at n")
LEARNING_RATE = 2e-3


@dataclass(frozen=True)
class Case:
    """Samples with wrong captions: a collection, how many are planted (0: those it has), and the seed of everything."""

    data: str
    rate: float
    seed: int

    def folder(self, out: Path) -> Path:
        return out / re.sub(r"[^\w.-]+", "-", self.data).strip("-") / f"{self.rate:g}" / str(self.seed)

    def config(self, design: str, options: argparse.Namespace) -> RunConfig:
        source = "openclipart" if self.data == NATURAL else self.data
        return RunConfig(
            data=DataConfig(source=source, options=OPTIONS.get(self.data, {})),
            design=DESIGNS[design],
            plant=PlantConfig(captions=self.rate),
            model=options.model,
            training=TrainingConfig(epochs=options.epochs, batch_size=options.batch_size, learning_rate=LEARNING_RATE),
            metrics=("clipmem", "multimem"),
            seed=self.seed,
        )


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """All that is to be measured."""
    for data in options.datasets:
        for rate in (0.0,) if data == NATURAL else options.rates:
            yield from (Case(data, rate, seed) for seed in options.seeds)


def train(config: RunConfig, folder: Path) -> None:
    """One run, on one thread: side by side they take less than one after the other on all."""
    torch.set_num_threads(1)
    if not (folder / "report.html").exists():
        execute(config, folder)


def train_all(todo: Sequence[tuple[RunConfig, Path]], jobs: int) -> None:
    """The runs that are not finished, so many at a time."""
    if jobs == 1:
        for config, folder in todo:
            train(config, folder)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for done in [pool.submit(train, config, folder) for config, folder in todo]:
            done.result()


def judge(case: Case, options: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    """By kind of fault, the figures of every finder; kept in a file, so that they are computed once."""
    place = case.folder(options.out) / "figures.json"
    configs = {design: to_yaml(case.config(design, options)) for design in DESIGNS}
    if place.exists() and (kept := read_json(place))["configs"] == configs:
        return kept["figures"]
    runs = {design: Trained(case.folder(options.out) / design) for design in DESIGNS}
    truth = {design: truth_of(case, run) for design, run in runs.items()}
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in truth["one"]}
    for finder in FINDERS:
        score = finder.score(runs[finder.design])
        for kind, (rows, wrong) in truth[finder.design].items():
            found[kind].append(figures(score[rows], wrong[rows]))
    for kind, rows in found.items():
        if len({(one["n"], one["wrong"]) for one in rows}) != 1:
            raise VestigeError(f"{place.parent}: the two designs do not judge the same samples ({kind}): remove it")
    write_json(place, {"configs": configs, "figures": found})
    return found


def figures(score: Tensor, wrong: Tensor) -> dict[str, float]:
    """What one finder finds."""
    n = int(wrong.sum())
    values = (auc(score, wrong).value, average_precision(score, wrong), precision_at(score, wrong, n))
    return dict(zip(MEASURES, values, strict=True)) | {"n": len(score), "wrong": n}


def truth_of(case: Case, run: Trained) -> dict[str, tuple[Tensor, Tensor]]:
    """By kind of fault: which samples are judged, and which of them are wrong; bool [N] each."""
    if case.data != NATURAL:
        wrong = torch.tensor(run.table["planted"].to_pylist())
        return {f"{case.rate:.0%} planted": (torch.ones_like(wrong), wrong)}
    source = open_source("openclipart")
    what = wrong_titles({sample.key: sample.captions[0] for sample in source.samples(source.keys())})
    judged = torch.tensor([_judged(group) for group in run.table["group"].to_pylist()])
    kinds = [what.get(key, "") for key in run.keys]
    fine = torch.tensor([not kind for kind in kinds])
    found = {"any wrong title": (judged, ~fine)}
    for name, own in (("shared by more than 50", ("shared",)), ("foreign or corrupt", ("foreign", "corrupt"))):
        wrong = torch.tensor([kind in own for kind in kinds])
        found[name] = (judged & (fine | wrong), wrong)
    return found


def _judged(group: str) -> bool:
    """A half of the groups, the same on every machine."""
    return blake2b(group.encode(), digest_size=1).digest()[0] % 2 == 1


def summaries(options: argparse.Namespace) -> list[dict]:
    """A row for every collection, kind of fault and finder: means over seeds with their 95% intervals."""
    rows = []
    for data in options.datasets:
        for rate in (0.0,) if data == NATURAL else options.rates:
            per_seed = [judge(Case(data, rate, seed), options) for seed in options.seeds]
            for kind, first in per_seed[0].items():
                for place, finder in enumerate(FINDERS):
                    own = [seed[kind][place] for seed in per_seed]
                    row = {"data": data, "kind": kind, "finder": finder.name, "trainings": finder.trainings}
                    row |= {name: first[place][name] for name in ("n", "wrong")}
                    rows.append(row | {name: _interval([one[name] for one in own]) for name in MEASURES})
    return rows


def _interval(values: Sequence[float]) -> dict[str, float | list[float] | None]:
    found = mean_interval(torch.tensor(values, dtype=torch.float64))
    known = len(values) > 1
    return {
        "mean": found.mean,
        "low": found.low if known else None,
        "high": found.high if known else None,
        "seeds": list(values),
    }


def markdown(rows: Sequence[dict], options: argparse.Namespace) -> str:
    """A table for every collection and kind of fault, the best on top."""
    lines = [
        f"Model {options.model}, {options.epochs} epochs, seeds {', '.join(map(str, options.seeds))}; mean over seeds"
        " and its 95% interval.",
    ]
    for data, kind in dict.fromkeys((row["data"], row["kind"]) for row in rows):
        own = [row for row in rows if (row["data"], row["kind"]) == (data, kind)]
        lines += ["", f"### {data}, {kind}: {own[0]['wrong']} of {own[0]['n']:,} wrong", ""]
        lines += ["| Finder | Trainings | AUC | Average precision | Precision at n |", "|---|---|---|---|---|"]
        for row in sorted(own, key=lambda row: -row["AUC"]["mean"]):
            cells = [row["finder"], str(row["trainings"]), *(_cell(row[name]) for name in MEASURES)]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(value: Mapping) -> str:
    if value["low"] is None:
        return f"{value['mean']:.3f}"
    # An interval from three seeds may leave the range of what it is of.
    low, high = max(0.0, value["low"]), min(1.0, value["high"])
    return f"{value['mean']:.3f} [{low:.3f}, {high:.3f}]"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of runs and tables")
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS), help=f"default {' '.join(DATASETS)}")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.01, 0.05, 0.1], help="shares that are planted")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help=f"not {TUNED_WITH}: they chose")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time, of one thread each")
    parser.add_argument("--quick", action="store_true", help="twemoji, 5%%, one seed, three epochs: does it work?")
    options = parser.parse_args(arguments)
    if options.quick:
        options.datasets, options.rates, options.seeds, options.epochs = options.datasets[:1], [0.05], [0], 3
    if tuned := sorted(set(options.seeds) & set(TUNED_WITH)):
        parser.error(f"--seeds: {tuned[0]} chose what suspicion combines, and cannot judge it")
    return options


def main(arguments: Sequence[str]) -> None:
    """Train what is missing, judge, write."""
    options = parse(arguments)
    if find_spec("cleanlab") is None:
        raise VestigeError("the comparison with cleanlab needs it: pip install cleanlab")
    start = time.perf_counter()
    todo = [
        (case.config(design, options), case.folder(options.out) / design)
        for case in cases(options)
        for design in DESIGNS
    ]
    train_all(todo, options.jobs)
    rows = summaries(options)
    write_json(options.out / "detection.json", rows)
    write_text(options.out / "detection.md", text := markdown(rows, options))
    print(text)
    say(f"{len(todo)} runs, {(time.perf_counter() - start) / 60:.1f} min; {options.out / 'detection.md'}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except VestigeError as error:
        sys.exit(f"error: {error}")
