"""What training costs: `python benchmarks/training.py [--model nano --batch 128 --epochs 3]`.

The same pictures and names (twemoji), model, batch size, precision and threads for

- `bare`: an eager loop of forward, loss, backward and step over tensors that lie in memory: the floor;
- `compiled`: the same with `torch.compile` (its own time beside it);
- `one`: Vestige training one model, with views, logs and a checkpoint an epoch;
- `pair`: Vestige training two matched models in step: samples per second and model;
- `open_clip`: `open_clip_train`, run once; a pair is two runs, so its rate for each model is half.

Each is a process of its own, so that its memory is its own. Rates leave out the first epoch (caches, allocation).
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
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from vestige.data import open_source
from vestige.data.canvases import canvas_of
from vestige.data.catalogue import open_canvases, read_catalogue
from vestige.data.examples import Drawn, Examples
from vestige.data.media import decode_picture
from vestige.data.views import View
from vestige.models import openclip
from vestige.models.architectures import architecture
from vestige.models.blueprint import Blueprint
from vestige.samples import Modality
from vestige.training import loop
from vestige.training.config import TrainingConfig
from vestige.training.loop import train_block, trainable
from vestige.training.objectives import Contrastive

WAYS = ("bare", "compiled", "one", "pair", "open_clip")
# Steps before the clock of the bare loops starts.
WARM = 5
MODALITIES = (Modality.IMAGE, Modality.TEXT)


def examples_of(model: str, folder: Path) -> Examples:
    """Twemoji as a run reads it."""
    source, blueprint = open_source("twemoji"), Blueprint(architecture(model), MODALITIES)
    kinds = {modality: canvas_of(read) for modality, read in blueprint.inputs.items()}
    found = read_catalogue(source, folder, kinds)
    canvases = open_canvases(source, found, folder, kinds)
    return Examples(found.keys, blueprint.inputs, canvases, found.sizes, found.captions, blueprint.tokenizer)


def bare(chosen: argparse.Namespace, *, compiled: bool) -> dict[str, float]:
    """Samples per second of the bare loop, and what compiling took."""
    config = TrainingConfig(batch_size=chosen.batch)
    with TemporaryDirectory() as folder:
        examples = examples_of(chosen.model, Path(folder))
        count = min(len(examples.keys) // chosen.batch, 16)
        batches = [examples.draw(np.arange(n * chosen.batch, (n + 1) * chosen.batch), View(0, 0)) for n in range(count)]
    state = trainable(openclip.build(architecture(chosen.model), seed=0), config, "cpu")
    objective = Contrastive()

    def forward(model: nn.Module, drawn: Drawn) -> torch.Tensor:
        return objective.loss(model, objective.features(model, [drawn], "cpu"), examples.rows(drawn.positions.numpy()))

    if compiled:
        state.model.compile()
        for name in ("encode_image", "encode_text"):
            setattr(state.model, name, torch.compile(getattr(state.model, name)))

    def step(number: int) -> None:
        forward(state.model, batches[number % count]).backward()
        state.optimizer.step()
        state.optimizer.zero_grad(set_to_none=True)

    start = time.perf_counter()
    for number in range(WARM):
        step(number)
    warm = time.perf_counter() - start
    start = time.perf_counter()
    for number in range(chosen.steps):
        step(number)
    return {"rate": chosen.steps * chosen.batch / (time.perf_counter() - start), "warm": warm}


def ours(chosen: argparse.Namespace, *, models: int) -> dict[str, float]:
    """Samples per second and model of `train_block`, from the end of the first epoch on."""
    config = TrainingConfig(epochs=chosen.epochs + 1, batch_size=chosen.batch)
    ends: list[float] = []
    save = loop.checkpoints.save

    def saved(*arguments) -> None:
        save(*arguments)
        ends.append(time.perf_counter())

    loop.checkpoints.save = saved
    with TemporaryDirectory() as folder:
        examples = examples_of(chosen.model, Path(folder) / "samples")
        slots = np.arange(len(examples.keys))[None].repeat(models, axis=0)
        built = {f"m{n}": openclip.build(architecture(chosen.model), seed=0) for n in range(models)}
        train_block(
            built,
            slots,
            examples,
            Contrastive(),
            config,
            seed=0,
            checkpoint_directory=Path(folder) / "checkpoints",
            log_directory=Path(folder) / "log",
        )
    return {"rate": chosen.epochs * len(examples.keys) * models / (ends[-1] - ends[0])}


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
            source = open_source("twemoji")
            for number, sample in enumerate(source.samples(source.keys())):
                path = folder / f"{number}.png"
                decode_picture(sample.media[Modality.IMAGE]).resize((side, side)).save(path)
                table.writerow((path, sample.captions[0]))
        code = (
            "import sys, open_clip; from pathlib import Path; open_clip.add_model_config(Path(sys.argv[1]));"
            "from open_clip_train.main import main; main(sys.argv[2:])"
        )
        command = [sys.executable, "-c", code, str(folder / "models"), "--model", "same", "--dataset-type", "csv"]
        command += ["--train-data", str(folder / "pairs.csv"), "--batch-size", str(chosen.batch), "--precision", "fp32"]
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
    """One way, in this process."""
    match way:
        case "bare" | "compiled":
            found = bare(chosen, compiled=way == "compiled")
        case "one" | "pair":
            found = ours(chosen, models=1 if way == "one" else 2)
        case _:
            found = open_clip_train(chosen)
    who = resource.RUSAGE_CHILDREN if way == "open_clip" else resource.RUSAGE_SELF
    return found | {"memory": resource.getrusage(who).ru_maxrss * 1024 / 1e9}


def report(chosen: argparse.Namespace) -> None:
    """Every way in a process of its own, and the ratios."""
    found = {}
    for way in chosen.ways:
        own = [sys.executable, __file__, "--measure", way, "--model", chosen.model, "--batch", str(chosen.batch)]
        own += ["--epochs", str(chosen.epochs), "--steps", str(chosen.steps), "--workers", str(chosen.workers)]
        done = subprocess.run(own, stdout=subprocess.PIPE, text=True, check=True)
        found[way] = json.loads(done.stdout.splitlines()[-1])
        print(f"{way}: {found[way]}", file=sys.stderr)
    threads = torch.get_num_threads()
    table = Table("way", title=f"training {chosen.model}: twemoji, batch {chosen.batch}, float32, {threads} threads")
    for column in ("samples/s", "of the bare loop", "of open_clip", "memory (GB)"):
        table.add_column(column, justify="right")
    for way, own in found.items():
        ratios = [
            f"{own['rate'] / found[other]['rate']:.2f}" if other in found else "" for other in ("bare", "open_clip")
        ]
        table.add_row(way, f"{own['rate']:,.0f}", *ratios, f"{own['memory']:.2f}")
    Console().print(table)
    if "compiled" in found:
        print(f"compiling, {WARM} steps: {found['compiled']['warm']:.0f} s; eager {found['bare']['warm']:.1f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=2, help="epochs that are timed")
    parser.add_argument("--steps", type=int, default=60, help="steps of the bare loops that are timed")
    parser.add_argument("--workers", type=int, default=1, help="of open_clip_train's loader")
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS)
    parser.add_argument("--measure", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments)))
    else:
        report(arguments)
