"""What training costs: `python benchmarks/training.py [--model nano --batch 128 --epochs 2 --rounds 3]`.

The same pictures and names (twemoji), model, batch size, precision and threads for

- `bare`: an eager loop of forward, loss, backward and step over tensors that lie in memory: the floor;
- `compiled`: the same with `torch.compile` (its own time beside it);
- `one`: Vestige training one model, with views, logs and kept states;
- `alternating`: the same, each step followed by one of the bare loop in the same process;
- `pair`: Vestige training two matched models in step: samples per second and model;
- `regrouped`: a pair of the design `roles` that is scored and regrouped after every epoch (figures: `EVERY`);
- `processes`: one model trained by two processes under torchrun, which share the threads and every batch;
- `open_clip`: `open_clip_train`, run once; a pair is two runs, so its rate for each model is half.

Each is a process of its own, so that its memory is its own, and runs the bare loop before and after: processors are
shared with others and slow down for minutes, so rates are compared with the floor of the same minute (`alternating`: of
the same second). Rounds repeat all ways in turn. Rates leave out the first epoch (caches, allocation).
"""

import argparse
import csv
import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from vestige.data import Source, open_source
from vestige.data.canvases import canvas_of
from vestige.data.catalogue import open_canvases, read_catalogue
from vestige.data.examples import Examples
from vestige.data.media import decode_picture
from vestige.data.subset import Subset
from vestige.data.views import View
from vestige.designs import roles
from vestige.models import openclip
from vestige.models.architectures import architecture
from vestige.models.blueprint import Blueprint
from vestige.samples import Modality
from vestige.training.batches import batch_count
from vestige.training.config import TrainingConfig
from vestige.training.loop import train_block, trainable
from vestige.training.mitigations.config import MitigationConfig
from vestige.training.mitigations.regroup import overhead
from vestige.training.objectives import Contrastive
from vestige.training.steering import Place, Steering
from vestige.training.team import launched

WAYS = ("compiled", "one", "alternating", "pair", "regrouped", "processes", "open_clip")
# Epochs between two scorings whose cost is reported (the paper's).
EVERY = 10
# Steps before the clock of the bare loops starts.
WARM = 5
PROCESSES = 2
# What open_clip_train calls the precisions.
OPEN_CLIP_PRECISIONS = {"float32": "fp32", "bfloat16": "amp_bf16"}
MODALITIES = (Modality.IMAGE, Modality.TEXT)


def pictures_of(chosen: argparse.Namespace) -> Source:
    """Twemoji, or the first samples of it."""
    source = open_source("twemoji")
    return source if chosen.samples is None else Subset(source, list(source.keys())[: chosen.samples])


def examples_of(chosen: argparse.Namespace, folder: Path) -> Examples:
    """The pictures as a run reads them."""
    source, blueprint = pictures_of(chosen), Blueprint(architecture(chosen.model), MODALITIES)
    kinds = {modality: canvas_of(read) for modality, read in blueprint.inputs.items()}
    found = read_catalogue(source, folder, kinds)
    canvases = open_canvases(source, found, folder, kinds)
    return Examples(found.keys, blueprint.inputs, canvases, found.sizes, found.captions, blueprint.tokenizer)


class Bare:
    """The bare loop: batches that were drawn before, and a model of its own."""

    def __init__(self, chosen: argparse.Namespace, *, compiled: bool = False) -> None:
        config = TrainingConfig(batch_size=chosen.batch)
        with TemporaryDirectory() as folder:
            self._examples = examples_of(chosen, Path(folder))
            count = min(len(self._examples.keys) // chosen.batch, 16)
            positions = np.arange(count * chosen.batch).reshape(count, chosen.batch)
            self._batches = [self._examples.draw(own, View(0, 0)) for own in positions]
        self._state = trainable(openclip.build(architecture(chosen.model), seed=0), config, "cpu")
        self._objective, self._steps, self._batch = Contrastive(), chosen.steps, chosen.batch
        self._bfloat16 = chosen.precision == "bfloat16"
        if compiled:
            for name in ("encode_image", "encode_text"):
                setattr(self._state.model, name, torch.compile(getattr(self._state.model, name)))

    def step(self, number: int) -> None:
        drawn, model = self._batches[number % len(self._batches)], self._state.model
        rows = self._examples.rows(drawn.positions.numpy())
        with torch.autocast("cpu", torch.bfloat16, enabled=self._bfloat16):
            features = self._objective.features(model, [drawn], "cpu")
        whole = {name: feature.float() for name, feature in features.items()}
        self._objective.loss(model, whole, rows).backward()
        self._state.optimizer.step()
        self._state.optimizer.zero_grad(set_to_none=True)

    def warm(self) -> float:
        """Seconds of the first steps."""
        start = time.perf_counter()
        for number in range(WARM):
            self.step(number)
        return time.perf_counter() - start

    def rate(self) -> float:
        """Samples per second."""
        start = time.perf_counter()
        for number in range(self._steps):
            self.step(number)
        return self._steps * self._batch / (time.perf_counter() - start)


def compiled(chosen: argparse.Namespace) -> dict[str, float]:
    """Samples per second of the compiled loop, and what compiling took."""
    loop = Bare(chosen, compiled=True)
    return {"warm": loop.warm(), "rate": loop.rate()}


def ours(
    chosen: argparse.Namespace, *, models: int, regroup: bool = False, beside: Bare | None = None
) -> dict[str, float]:
    """Samples per second and model of `train_block`, from the end of the first epoch on.

    A pair sees the same samples; a regrouped one a tenth of them each to itself, and another tenth is held out. With a
    bare loop `beside`, which has a step after every one of these, the rate of that is `bare`.
    """
    config = TrainingConfig(epochs=chosen.epochs + 1, batch_size=chosen.batch, precision=chosen.precision)
    team = launched("cpu")
    with TemporaryDirectory() as name:
        folder = Path(name)
        examples = examples_of(chosen, folder / "samples")
        total = len(examples.keys)
        slots, heldout = np.arange(total)[None].repeat(models, axis=0), None
        if regroup:
            tenth = total // 10
            design = roles(examples.keys, examples.keys, candidates=tenth, external=tenth, seed=0)
            slots, heldout = design.slots(), np.flatnonzero(~design.member.any(axis=0))
        steering = Timed(
            slots,
            examples,
            Contrastive(),
            config,
            team=team,
            mitigations=MitigationConfig(regroup_every=1 if regroup else None),
            heldout=heldout,
            place=Place(folder / "log.jsonl", 0, lambda epoch: None),
            beside=beside,
        )
        train_block(
            {f"m{n}": openclip.build(architecture(chosen.model), seed=0) for n in range(models)},
            slots,
            examples,
            Contrastive(),
            config,
            seed=0,
            checkpoint_directory=folder / "checkpoints",
            log_directory=folder / "tensorboard",
            team=team,
            steering=steering,
        )
        other = steering.besides[-1] - steering.besides[0]
        seconds = steering.ends[-1] - steering.ends[0] - other
        found = {"rate": float(chosen.epochs * (slots[0] >= 0).sum() * models / seconds)}
        if beside is not None:
            found["bare"] = chosen.epochs * batch_count(slots, chosen.batch) * chosen.batch / other
        return found | (overheads(folder / "log.jsonl") if regroup else {})


class Timed(Steering):
    """Notes when epochs end, whatever else it does, and how long a loop beside it has taken until then."""

    def __init__(self, *arguments: Any, beside: Bare | None, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.ends: list[float] = []
        self.besides: list[float] = []
        self._beside, self._taken, self._steps = beside, 0.0, 0

    def noted(self, name: str, seconds: float) -> None:
        super().noted(name, seconds)
        if self._beside is not None:
            start = time.perf_counter()
            self._beside.step(self._steps)
            self._steps += 1
            self._taken += time.perf_counter() - start

    def after_epoch(self, epoch: int, models: Mapping[str, nn.Module], device: str) -> dict[str, dict[str, float]]:
        figures = super().after_epoch(epoch, models, device)
        self.ends.append(time.perf_counter())
        self.besides.append(self._taken)
        return figures


def overheads(log: Path) -> dict[str, float]:
    """What scoring every `EVERY` epochs adds to the training of the first model, as shares of its time."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    scored = [line for line in lines if line["mitigation"] == "regroup"]
    means = {
        what: {name: float(np.mean([line[what] for line in scored if line["model"] == name])) for name in ("m0", "m1")}
        for what in ("seconds", "epoch_seconds")
    }
    found = overhead(means["seconds"], means["epoch_seconds"], EVERY)
    return {name: share for name, share in found.items() if share is not None}


def processes(chosen: argparse.Namespace) -> dict[str, float]:
    """Samples per second of one model, trained by `PROCESSES` that share this one's threads."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(PROCESSES)]
    command += [__file__, "--member", *settings(chosen)]
    threads = max(1, torch.get_num_threads() // PROCESSES)
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)}
    )
    return json.loads(done.stdout.splitlines()[-1])


def open_clip_train(chosen: argparse.Namespace) -> dict[str, float]:
    """Samples per second of `open_clip_train` over a csv of the same pictures, after its first epoch.

    Pictures are written as PNG in the size the model's canvases have, so that it decodes no more than it must.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        description = architecture(chosen.model)
        (folder / "models").mkdir()
        own = {key: value for key, value in description.items() if key in ("embed_dim", "vision_cfg", "text_cfg")}
        (folder / "models" / "same.json").write_text(json.dumps(own))
        side = round(description["vision_cfg"]["image_size"] * 1.5)
        with (folder / "pairs.csv").open("w", newline="") as lines:
            table = csv.writer(lines, delimiter="\t")
            table.writerow(("filepath", "title"))
            source = pictures_of(chosen)
            for number, sample in enumerate(source.samples(source.keys())):
                path = folder / f"{number}.png"
                decode_picture(sample.media[Modality.IMAGE]).resize((side, side)).save(path)
                table.writerow((path, sample.captions[0]))
        code = (
            "import sys, open_clip; from pathlib import Path; open_clip.add_model_config(Path(sys.argv[1]));"
            "from open_clip_train.main import main; main(sys.argv[2:])"
        )
        command = [sys.executable, "-c", code, str(folder / "models"), "--model", "same", "--dataset-type", "csv"]
        command += ["--train-data", str(folder / "pairs.csv"), "--batch-size", str(chosen.batch)]
        command += ["--precision", OPEN_CLIP_PRECISIONS[chosen.precision]]
        command += ["--epochs", str(chosen.epochs + 1), "--workers", str(chosen.workers), "--lr", "1e-3"]
        command += ["--warmup", "50", "--logs", str(folder / "logs"), "--log-every-n-steps", "1", "--device", "cpu"]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONWARNINGS": "ignore"}
        )
    text = done.stderr + done.stdout
    # Its own clock, by step: time since the last one, and of that the wait for data.
    found = re.findall(r"Train Epoch: (\d+) .*?Batch \(t\): ([\d.]+)", text)
    times = [float(seconds) for epoch, seconds in found if int(epoch) > 0]
    if done.returncode or not times:
        raise SystemExit(f"open_clip_train failed:\n{text[-2000:]}")
    return {"rate": chosen.batch * len(times) / sum(times)}


def measure(way: str, chosen: argparse.Namespace) -> dict[str, float]:
    """One way in this process, between two runs of the bare loop."""
    bare = Bare(chosen)
    bare.warm()
    floor = [bare.rate()]
    match way:
        case "compiled":
            found = compiled(chosen)
        case "alternating":
            found = ours(chosen, models=1, beside=bare)
        case "one" | "pair" | "regrouped":
            found = ours(chosen, models=1 if way == "one" else 2, regroup=way == "regrouped")
        case "processes":
            found = processes(chosen)
        case _:
            found = open_clip_train(chosen)
    floor.append(bare.rate())
    # Of several processes, the largest.
    who = resource.RUSAGE_CHILDREN if way in ("processes", "open_clip") else resource.RUSAGE_SELF
    return {"bare": sum(floor) / 2} | found | {"memory": resource.getrusage(who).ru_maxrss * 1024 / 1e9}


def settings(chosen: argparse.Namespace) -> list[str]:
    """The options of this call, for a process that measures."""
    found = ["--model", chosen.model, "--batch", str(chosen.batch), "--epochs", str(chosen.epochs)]
    found += ["--steps", str(chosen.steps), "--workers", str(chosen.workers), "--precision", chosen.precision]
    return found if chosen.samples is None else [*found, "--samples", str(chosen.samples)]


def rounds(chosen: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    """Every way in a process of its own, all in turn, as often as asked for."""
    found: dict[str, list[dict[str, float]]] = {way: [] for way in chosen.ways}
    for number in range(chosen.rounds):
        for way, own in found.items():
            command = [sys.executable, __file__, "--measure", way, *settings(chosen)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            own.append(json.loads(done.stdout.splitlines()[-1]))
            print(f"round {number + 1}, {way}: {own[-1]}", file=sys.stderr)
    return found


def report(chosen: argparse.Namespace) -> None:
    """Rates, and their ratios to the floor and to `open_clip_train`: medians, and least and largest of the rounds."""
    found = rounds(chosen)
    ratios = {way: [one["rate"] / one["bare"] for one in own] for way, own in found.items()}
    threads = torch.get_num_threads()
    title = f"training {chosen.model}: twemoji, batch {chosen.batch}, {chosen.precision}, {threads} threads, "
    title += f"{chosen.rounds} rounds"
    table = Table("way", title=title)
    for column in ("samples/s", "bare loop", "of the bare loop", "of open_clip", "memory (GB)"):
        table.add_column(column, justify="right")
    for way, own in found.items():
        rate, bare, memory = (np.median([one[what] for one in own]) for what in ("rate", "bare", "memory"))
        beside = ""
        if "open_clip" in ratios:
            beside = spread([a / b for a, b in zip(ratios[way], ratios["open_clip"], strict=True)])
        table.add_row(way, f"{rate:,.0f}", f"{bare:,.0f}", spread(ratios[way]), beside, f"{memory:.2f}")
    Console(width=120).print(table)
    for one in found.get("compiled", ()):
        print(f"compiling and {WARM} steps: {one['warm']:.0f} s")
    for one in found.get("regrouped", ()):
        print(
            f"scoring every {EVERY} epochs adds {one['overhead_f']:.2%} to the training of f;"
            f" with g's scoring and training {one['overhead_with_g']:.1%}"
        )


def spread(values: list[float]) -> str:
    """Their median, with the least and the largest."""
    return f"{np.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=2, help="epochs that are timed")
    parser.add_argument("--steps", type=int, default=30, help="steps of the bare loops that are timed")
    parser.add_argument("--samples", type=int, help="how many pictures; all when not given")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1, help="of open_clip_train's loader")
    parser.add_argument("--precision", default="float32", choices=tuple(OPEN_CLIP_PRECISIONS), help="of all ways")
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS)
    parser.add_argument("--measure", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--member", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.member:
        rate = ours(arguments, models=1)
        if int(os.environ["RANK"]) == 0:
            print(json.dumps(rate))
    elif arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments)))
    else:
        report(arguments)
