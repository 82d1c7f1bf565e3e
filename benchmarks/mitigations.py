"""What mitigations do to memorization and to retrieval, side by side: `python benchmarks/mitigations.py`.

For every mitigation and seed a pair of models is trained (design `roles`, a tenth of the data candidates, a tenth held
out) and scored. A row has the mean CLIPMem and MultiMem of the candidates and the held-out retrieval (mean of T@1 and
I@1 over both models), each as the mean over seeds with Student's 95% interval, and the difference to the baseline of
the same seed, which has the same samples, initialisation and batches. Early stopping costs nothing: it is the
baseline's own models of an earlier epoch. Removal fine-tunes the baseline without a tenth of the scored samples, and is
measured on all candidates, removed ones too: its rows are to be compared with the random one.

Each training is a run in a folder of its own and is not done twice; killed, the next call goes on. Trainings go one
after the other. The table is written as Markdown and as JSON beside the runs.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from rich.console import Console

from vestige.config import DataConfig, RunConfig
from vestige.data.augmentation import AugmentationConfig
from vestige.embeddings import EmbeddingConfig, EmbeddingStore
from vestige.embeddings.store import all_keys
from vestige.epochs import figures
from vestige.files import read_json, read_table, write_json, write_text
from vestige.metrics import mean_interval
from vestige.models.blueprint import load_encoder
from vestige.runs import execute
from vestige.training.config import TrainingConfig
from vestige.training.finetune import fine_tune, trained_on
from vestige.training.mitigations.config import MitigationConfig

console = Console(width=140)
METRICS = ("clipmem", "multimem")
# Of a pair of nano models on twemoji, on two cores: training an epoch, and reading, embedding and scoring a run.
SECONDS_AN_EPOCH, SECONDS_A_RUN = 8, 15
FINE_TUNING_EPOCHS = 2
REMOVED = 0.1


@dataclass(frozen=True)
class Setting:
    """A mitigation.

    Attributes:
        change: of the baseline's configuration.
        papers: what the source papers report of memorization and utility.
        extra: whether it is left out unless asked for.
    """

    change: Callable[[RunConfig], RunConfig]
    papers: str
    extra: bool = False


def mitigated(**settings: object) -> Callable[[RunConfig], RunConfig]:
    return lambda config: replace(config, mitigations=MitigationConfig(**settings))  # pyright: ignore[reportArgumentType]


def trained(**settings: object) -> Callable[[RunConfig], RunConfig]:
    return lambda config: replace(config, training=replace(config.training, **settings))  # pyright: ignore


def cropped(scale: float) -> Callable[[RunConfig], RunConfig]:
    return lambda config: replace(config, augmentation=AugmentationConfig(crop_scale=scale))


def regrouped(by: Literal["contrast", "alignment"]) -> Callable[[RunConfig], RunConfig]:
    """Scored after every quarter of a training."""

    def change(config: RunConfig) -> RunConfig:
        every = max(1, config.training.epochs // 4)
        return replace(config, mitigations=MitigationConfig(regroup_every=every, regroup_by=by))

    return change


CLIPMEM, DEJA_VU, MULTIMEM = "CLIPMem", "Déjà Vu", "MultiMem"
LESS_BETTER, LESS_WORSE = "less memorization, better", "less memorization, worse"
SETTINGS: Mapping[str, Setting] = {
    "baseline": Setting(lambda config: config, ""),
    "text noise 0.15": Setting(mitigated(text_noise=0.15), f"{CLIPMEM}: {LESS_BETTER}"),
    "captions balanced": Setting(trained(captions="balanced"), f"{CLIPMEM}: {LESS_BETTER}"),
    "text mask 0.3": Setting(mitigated(text_mask=0.3), f"{DEJA_VU}: {LESS_WORSE}"),
    "crop scale 0.5": Setting(cropped(0.5), ""),
    "logit scale 25": Setting(mitigated(logit_scale=25), f"{DEJA_VU}: more memorization, worse (against 100)"),
    "logit scale 100": Setting(mitigated(logit_scale=100), f"{DEJA_VU}: its baseline"),
    "weight decay 0.3": Setting(trained(weight_decay=0.3), f"{DEJA_VU}: {LESS_BETTER}"),
    "regrouping": Setting(regrouped("contrast"), f"{MULTIMEM}: {LESS_BETTER}"),
    "text noise 0.05": Setting(mitigated(text_noise=0.05), f"{CLIPMEM}: {LESS_BETTER}", True),
    "text noise 0.5": Setting(mitigated(text_noise=0.5), f"{CLIPMEM}: more memorization, worse", True),
    "text noise relative 0.5": Setting(mitigated(text_noise=0.5, noise_scale="relative"), "", True),
    "image noise relative 0.5": Setting(mitigated(image_noise=0.5, noise_scale="relative"), "", True),
    "captions random": Setting(trained(captions="random"), f"{CLIPMEM}: less memorization, the same or worse", True),
    "text mask 0.5": Setting(mitigated(text_mask=0.5), f"{DEJA_VU}: {LESS_WORSE}", True),
    "logit scale 200": Setting(mitigated(logit_scale=200), f"{DEJA_VU}: the same, worse (against 100)", True),
    "weight decay 0.03": Setting(trained(weight_decay=0.03), f"{DEJA_VU}: more memorization, worse", True),
    "regrouping by alignment": Setting(regrouped("alignment"), "", True),
}
REMOVALS = {
    "removal of memorized": f"{MULTIMEM}: {LESS_BETTER}",
    "removal of least similar": f"{MULTIMEM}: less effective",
    "removal at random": f"{MULTIMEM}: less effective",
}
Figures = dict[str, float]


def base(source: str, epochs: int, seed: int) -> RunConfig:
    return RunConfig(
        data=DataConfig(source=source),
        training=TrainingConfig(epochs=epochs, learning_rate=2e-3, keep_epochs=(max(1, epochs // 2),)),
        embedding=EmbeddingConfig(),
        metrics=METRICS,
        seed=seed,
    )


def of_rows(rows: Sequence[Mapping[str, object]]) -> Figures:
    """The figures of a benchmark's row from those of an epoch (`vestige.epochs`)."""

    def mean(role: str, names: Sequence[str]) -> float:
        return float(np.mean([row["mean"] for row in rows if row["role"] == role and row["metric"] in names]))  # pyright: ignore

    retrieval = [f"{model} {side}@1" for model in "fg" for side in "TI"]
    return {name: mean("candidate", [name]) for name in METRICS} | {"retrieval": mean("heldout", retrieval)}


def train(config: RunConfig, folder: Path, *, last: bool) -> Figures:
    """A run, and the figures of its last or its first kept epoch."""
    execute(config, folder)
    table = read_table(folder / "epochs.parquet").to_pylist()
    epoch = (max if last else min)(row["epoch"] for row in table)
    return of_rows([row for row in table if row["epoch"] == epoch])


def removed_keys(run: Path, how: str, seed: int) -> list[str]:
    """A tenth of the samples that have a score."""
    table = read_table(run / "scores.parquet", ["key", "role", "memorization"])
    rows = [row for row in table.to_pylist() if row["role"] in ("candidate", "independent")]
    count = round(REMOVED * len(rows))
    if how == "removal at random":
        order = np.random.Generator(np.random.Philox(seed)).permutation(len(rows))
        return [rows[place]["key"] for place in order[:count].tolist()]
    if how == "removal of memorized":
        return [row["key"] for row in sorted(rows, key=lambda row: -row["memorization"])[:count]]
    similar = {
        role: similarities(run / "embeddings" / model) for role, model in (("candidate", "f"), ("independent", "g"))
    }
    return [row["key"] for row in sorted(rows, key=lambda row: similar[row["role"]][row["key"]])[:count]]


def similarities(folder: Path) -> dict[str, float]:
    """The cosine of picture and text of every sample under a model."""
    store = EmbeddingStore(folder)
    shards = [store.shard(number) for number in range(len(store.shard_keys()))]
    found = torch.cat([(shard["image"].float() * shard["text"].float()).sum(dim=1) for shard in shards])
    return dict(zip(all_keys(store), found.tolist(), strict=True))


def remove(run: Path, folder: Path, how: str, config: RunConfig) -> Figures:
    """Fine-tune a run without some samples, and its figures."""
    path = folder / "figures.json"
    if not path.exists():
        epochs = min(FINE_TUNING_EPOCHS, config.training.epochs)
        training = replace(
            config.training, epochs=epochs, learning_rate=config.training.learning_rate / 5, keep_epochs=()
        )
        keys = removed_keys(run, how, config.seed)
        folders = fine_tune(run, folder, remove=keys, training=training)
        material, config, _ = trained_on(run)
        encoders = {name: load_encoder(own) for name, own in folders.items()}
        write_json(path, of_rows(figures(encoders, material, config, METRICS, folder / "embeddings")))
    return read_json(path)


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """A mean over seeds with its interval; no interval of one seed."""
    found = mean_interval(torch.tensor(values, dtype=torch.float64))
    one = len(values) < 2
    return {"mean": found.mean, "low": None if one else found.low, "high": None if one else found.high}


def summarised(found: Mapping[str, Mapping[int, Figures]], papers: Mapping[str, str]) -> list[dict[str, object]]:
    """A row for each mitigation: every figure, and its difference to the baseline of the same seed."""
    rows = []
    for name, by_seed in found.items():
        row: dict[str, object] = {"mitigation": name, "papers": papers.get(name, ""), "seeds": sorted(by_seed)}
        for figure in (*METRICS, "retrieval"):
            row[figure] = spread([by_seed[seed][figure] for seed in sorted(by_seed)])
            paired = [by_seed[seed][figure] - found["baseline"][seed][figure] for seed in sorted(by_seed)]
            row[f"{figure} difference"] = None if name == "baseline" else spread(paired)
        rows.append(row)
    return rows


def markdown(rows: Sequence[Mapping[str, object]], title: str) -> str:
    def shown(value: object, digits: int, signed: bool = False) -> str:
        if not isinstance(value, dict):
            return ""
        plus = "+" if signed else ""
        mean, low, high = (value[end] for end in ("mean", "low", "high"))
        ends = "" if low is None else f" ({low:{plus}.{digits}f} to {high:{plus}.{digits}f})"
        return f"{mean:{plus}.{digits}f}{ends}"

    columns = [*METRICS, "retrieval"]
    head = ["mitigation", *(part for own in columns for part in (own, "difference")), "the papers"]
    lines = [title, "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        cells = [part for own in columns for part in (shown(row[own], 3), shown(row[f"{own} difference"], 3, True))]
        lines.append("| " + " | ".join([str(row["mitigation"]), *cells, str(row["papers"])]) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="twemoji", help="a source, as vestige run --data takes it")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark-mitigations"))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="; ".join([*SETTINGS, *REMOVALS]))
    parser.add_argument("--all", action="store_true", help="all settings, also those that are left out by default")
    parser.add_argument("--quick", action="store_true", help="2 epochs and one seed: whether it works, no result")
    given = parser.parse_args()
    known = [*SETTINGS, *REMOVALS, "early stopping"]
    if unknown := [name for name in given.only if name not in known]:
        parser.error(f"no mitigation {unknown[0]!r}; there are: {', '.join(known)}")
    epochs, seeds = (2, 1) if given.quick else (given.epochs, given.seeds)
    wanted = given.only or [name for name in known if given.all or name not in SETTINGS or not SETTINGS[name].extra]
    settings = {name: own for name, own in SETTINGS.items() if name in wanted or name == "baseline"}
    removals = [name for name in REMOVALS if name in wanted]
    runs = seeds * len(settings)
    tuning = seeds * len(removals) * (min(FINE_TUNING_EPOCHS, epochs) * SECONDS_AN_EPOCH + SECONDS_A_RUN)
    cost = runs * (epochs * SECONDS_AN_EPOCH + SECONDS_A_RUN) + tuning
    console.print(
        f"{len(settings)} settings x {seeds} seeds x {epochs} epochs, {seeds * len(removals)} fine-tunings: about"
        f" {cost / 60:.0f} minutes for twemoji on two quiet cores; finished ones are not done again"
    )
    found: dict[str, dict[int, Figures]] = {name: {} for name in settings}
    where = given.out / f"{given.data.replace('/', '-').replace(':', '-')}-{epochs}-epochs"
    for seed in range(seeds):
        config = base(given.data, epochs, seed)
        first = where / "baseline" / f"seed-{seed}"
        for name, setting in settings.items():
            console.print(f"{name}, seed {seed}")
            folder = where / name.replace(" ", "-") / f"seed-{seed}"
            found[name][seed] = train(setting.change(config), folder, last=True)
        if "early stopping" in wanted:
            found.setdefault("early stopping", {})[seed] = train(config, first, last=False)
        for name in removals:
            console.print(f"{name}, seed {seed}")
            folder = where / name.replace(" ", "-") / f"seed-{seed}"
            found.setdefault(name, {})[seed] = remove(first, folder, name, config)
        papers = {name: own.papers for name, own in settings.items()} | REMOVALS
        papers["early stopping"] = f"{DEJA_VU}: {LESS_WORSE}"
        rows = summarised({name: own for name, own in found.items() if own}, papers)
        # Whole after every seed: a benchmark that is stopped has said something.
        write_json(where / "mitigations.json", {"data": given.data, "epochs": epochs, "rows": rows})
        seeds_so_far = f"{seed + 1} seed{'s' if seed else ''}"
        title = f"{given.data}, nano, {epochs} epochs, {seeds_so_far}; early stopping: epoch {max(1, epochs // 2)}"
        write_text(where / "mitigations.md", markdown(rows, title))
    console.print(json.dumps({"table": str(where / "mitigations.md")}))
    console.print((where / "mitigations.md").read_text(encoding="utf-8"), soft_wrap=True, markup=False)


if __name__ == "__main__":
    main()
