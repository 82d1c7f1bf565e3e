"""The command line: verbs only. Each is a configuration and one call; every refusal is one line and exit code 2."""

import errno
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Annotated

import tyro
from rich.text import Text
from safetensors import SafetensorError

from vestige.embeddings import EmbeddingConfig
from vestige.errors import VestigeError
from vestige.files import digest
from vestige.progress import console as messages

USAGE = """usage: vestige VERB ...

  demo     train two small models on emoji and show what one of them memorized
  run      the same for your data and model: vestige run CONFIG.yaml [--out DIR] [--training.epochs 30 ...]
  score    score samples with two checkpoints you trained

`vestige VERB --help` lists the settings of a verb."""


@dataclass(frozen=True)
class OutputArguments:
    """Where the run goes, and how its summary is printed."""

    out: Annotated[Path, tyro.conf.arg(help="folder of the run")]
    json: Annotated[bool, tyro.conf.arg(help="print the summary as JSON")] = False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; the exit code is 0, 2 for bad input, 130 when interrupted."""
    # Nothing is fetched at run time; libraries that would like to are told so before they are imported.
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        os.environ.setdefault(name, "1")
    verb, *rest = sys.argv[1:] if arguments is None else arguments or [""]
    if verb in {"", "-h", "--help"}:
        print(USAGE)
        return 0 if verb else 2
    if verb == "--version":
        print(metadata.version("vestige"))
        return 0
    if verb not in VERBS:
        messages.print(f"vestige: unknown verb {verb!r}: one of {', '.join(VERBS)}", highlight=False)
        return 2
    try:
        VERBS[verb](rest)
    except VestigeError as error:
        return _refuse(str(error))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            where = f" for {error.filename}" if error.filename else ""
            return _refuse(f"no space left on the disk{where}: free some and give the same command again to go on")
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            return _refuse(f"{error.strerror}: {error.filename}: name another place with --out")
        raise
    except SafetensorError as error:
        if f"os error {errno.ENOSPC}" not in str(error):
            raise
        return _refuse("no space left on the disk: free some and give the same command again to go on")
    except MemoryError:
        return _refuse("out of memory: lower the batch size, or choose a smaller model")
    except KeyboardInterrupt:
        messages.print("\nstopped: give the same command again to go on from here")
        return 130
    return 0


def _refuse(message: str) -> int:
    # As text: a message holds file names and captions, which are not markup.
    messages.print(Text(f"vestige: {message}"), soft_wrap=True)
    return 2


def _demo(arguments: Sequence[str]) -> None:
    from vestige.config import PlantConfig, RunConfig
    from vestige.training.loop import TrainingConfig

    default = RunConfig(plant=PlantConfig(captions=0.1), training=TrainingConfig(epochs=12, learning_rate=2e-3))
    _configured_run("vestige demo", default, Path("runs/demo"), arguments)


def _run(arguments: Sequence[str]) -> None:
    from vestige.config import RunConfig, anchored, load_config

    if not arguments or arguments[0] in {"-h", "--help"}:
        messages.print("usage: vestige run CONFIG.yaml [--out DIR] [settings]", highlight=False)
        _configured_run("vestige run CONFIG.yaml", RunConfig(), Path("runs/NAME"), ["--help"])
    if arguments[0].startswith("-"):
        raise VestigeError(f"vestige run takes a configuration file first, found {arguments[0]!r}")
    path = Path(arguments[0])
    # A configuration that lies in its run's folder is that run, taken up again; another gets a folder of its name.
    beside = (path.parent / "environment.json").exists()
    out = path.parent if beside else Path("runs") / path.stem
    _configured_run(f"vestige run {path}", anchored(load_config(path), path.parent), out, arguments[1:])


def _configured_run(program: str, default, out: Path, arguments: Sequence[str]) -> None:
    from vestige.config import RunConfig
    from vestige.report.terminal import show
    from vestige.runs import execute

    @dataclass(frozen=True)
    class Arguments:
        where: Annotated[OutputArguments, tyro.conf.arg(name="")] = field(default_factory=lambda: OutputArguments(out))
        config: Annotated[RunConfig, tyro.conf.arg(name="")] = field(default_factory=lambda: default)

    chosen = tyro.cli(Arguments, args=list(arguments), prog=program)
    result = execute(chosen.config, chosen.where.out)
    if chosen.where.json:
        print(json.dumps(dict(result.summary), ensure_ascii=False))
    else:
        show(result.summary, result.scores, report=result.directory / "report.html")


@dataclass(frozen=True)
class ScoreArguments:
    """Score samples with two models you trained: f, which saw them, and g, which did not."""

    f: Path
    """Checkpoint of the model that saw the samples: a folder in OpenCLIP's layout, .safetensors or .pt."""
    g: Path
    """Checkpoint of the reference model."""
    data: str
    """The samples: twemoji, csv:FILE, folder:DIR."""
    heldout: str | None = None
    """Samples neither model saw, named as --data; or leave it out and name a --membership with external samples."""
    model: str | None = None
    """Architecture of both (an OpenCLIP name or a JSON file), where the checkpoints do not say."""
    membership: Path | None = None
    """Parquet with which model saw what, as a run writes it; without it f saw all of --data and g none."""
    metric: str = "clipmem"
    """Metrics, joined by commas: clipmem, multimem, sslmem."""
    out: Path = Path("scores.parquet")
    """The table of scores."""
    options: dict[str, str] = field(default_factory=dict)
    """Options of --data and --heldout, for example image_column path."""
    embedding: EmbeddingConfig = field(default_factory=EmbeddingConfig)
    seed: int = 0
    """Of the views."""
    json: bool = False
    """Print a summary as JSON."""


def _score(arguments: Sequence[str]) -> None:
    from vestige.data import open_source
    from vestige.designs import Design
    from vestige.files import remove, write_table
    from vestige.models.openclip import OpenCLIPEncoder
    from vestige.report.terminal import show
    from vestige.scoring import score
    from vestige.summary import summarise

    chosen = tyro.cli(ScoreArguments, args=list(arguments), prog="vestige score")
    data = open_source(chosen.data, **chosen.options)
    heldout = None if chosen.heldout is None else open_source(chosen.heldout, **chosen.options)
    membership = None if chosen.membership is None else Design.load(chosen.membership)
    device = chosen.embedding.device
    f, g = (OpenCLIPEncoder.load(path, chosen.model, device=device) for path in (chosen.f, chosen.g))
    # Named after all it depends on: a call that was killed finds its own embeddings and no others.
    work = chosen.out.with_name(f".{chosen.out.name}.{digest(f.fingerprint, g.fingerprint, str(chosen))}")
    table = score(
        f, g, data, heldout,
        metrics=chosen.metric.split(","), embedding=chosen.embedding, membership=membership, directory=work,
        seed=chosen.seed,
    )  # fmt: skip
    write_table(chosen.out, table)
    remove(work)
    summary = summarise(table, ("f", "g"))
    if chosen.json:
        print(json.dumps(summary, ensure_ascii=False))
    else:
        show(summary, table)
        print(f"scores: {chosen.out}")


VERBS: Mapping[str, Callable[[Sequence[str]], None]] = {"demo": _demo, "run": _run, "score": _score}
