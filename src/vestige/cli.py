"""The command line: verbs only. Each is a configuration and one call; every refusal is one line and exit code 2."""

import errno
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import tyro
from safetensors import SafetensorError

from vestige.errors import VestigeError
from vestige.progress import say

DEBUG = "VESTIGE_DEBUG"

USAGE = """usage: vestige VERB ...

  demo     train two small models on emoji and show what one of them memorized
  run      the same for your data and model: vestige run --data SOURCE [--out DIR] [--training.epochs 30 ...],
           or vestige run CONFIG.yaml
  score    score samples with two checkpoints you trained, or a run with more metrics:
           vestige score RUN --metric clipmem,multimem,sslmem,unitmem
  data     what is in a source, and the built-in ones: vestige data check SOURCE, data list, data fetch NAME
  caption  write more captions for data that have one each:
           vestige caption DATA --with wordnet --count 4 --out captions.parquet
  annotate find the objects in the pictures of data with a detector of yours:
           vestige annotate DATA --detector PATH --out objects.parquet

`vestige VERB --help` lists the settings of a verb."""


@dataclass(frozen=True)
class OutputArguments:
    """Where the run goes, and how its summary is printed."""

    out: Annotated[Path, tyro.conf.arg(help="folder of the run")]
    json: Annotated[bool, tyro.conf.arg(help="print the summary as JSON")] = False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; the exit code is 0, 2 for bad input, 130 when interrupted, 1 for a fault of Vestige."""
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
        return _refuse(f"unknown verb {verb!r}: one of {', '.join(VERBS)}")
    try:
        VERBS[verb](rest)
    # The metrics and pyarrow say what is wrong with a tensor or a file in the one line of a ValueError.
    except (VestigeError, ValueError) as error:
        return _refuse(" ".join(str(error).split()))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            where = f" for {error.filename}" if error.filename else ""
            return _refuse(f"no space left on the disk{where}: free some and give the same command again to go on")
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            return _refuse(f"{error.strerror}: {error.filename}: name another place with --out")
        return _refuse(" ".join(str(error).split()))
    except SafetensorError as error:
        if f"os error {errno.ENOSPC}" in str(error):
            return _refuse("no space left on the disk: free some and give the same command again to go on")
        return _refuse(f"a file of tensors cannot be read or written: {error}")
    except MemoryError:
        return _refuse("out of memory: lower the batch size, or choose a smaller model")
    except KeyboardInterrupt:
        say("")
        say("stopped: give the same command again to go on from here")
        return 130
    except Exception as error:
        # A fault of ours: one line for the user, and the way to what a report of it needs.
        if os.environ.get(DEBUG):
            raise
        _refuse(
            f"unexpected {type(error).__name__}: {' '.join(str(error).split())} ({DEBUG}=1 shows where; please report)"
        )
        return 1
    return 0


def _refuse(message: str) -> int:
    say(f"vestige: {message}")
    return 2


def _demo(arguments: Sequence[str]) -> None:
    from vestige.config import PlantConfig, RunConfig
    from vestige.training.loop import TrainingConfig

    default = RunConfig(plant=PlantConfig(captions=0.1), training=TrainingConfig(epochs=10, learning_rate=2e-3))
    _configured_run("vestige demo", default, Path("runs/demo"), arguments)


def _run(arguments: Sequence[str]) -> None:
    from vestige.config import DataConfig, RunConfig, anchored, load_config
    from vestige.data import likely_name

    if not arguments or arguments[0] in {"-h", "--help"}:
        say("usage: vestige run CONFIG.yaml | --data SOURCE [--out DIR] [settings]")
        _configured_run("vestige run", RunConfig(), Path("runs/NAME"), ["--help"])
    source, rest = _source_named(arguments)
    if source is not None:
        if rest and not rest[0].startswith("-"):
            raise VestigeError(
                f"a configuration names its samples: give {rest[0]!r} or --data, or change its data with --data.source"
            )
        _configured_run("vestige run", RunConfig(data=DataConfig(source=source)), Path("runs") / _name_of(source), rest)
        return
    if arguments[0].startswith("-"):
        raise VestigeError(f"vestige run takes a configuration file first, or --data SOURCE; found {arguments[0]!r}")
    path = Path(arguments[0])
    if path.is_dir() or path.suffix not in {".yaml", ".yml"}:
        like = likely_name(arguments[0])
        if like is not None:
            raise VestigeError(f"{path} is no configuration; for samples: vestige run --data {shlex.quote(like)}")
    # A configuration that lies in its run's folder is that run, taken up again; another gets a folder of its name.
    beside = (path.parent / "environment.json").exists()
    out = path.parent if beside else Path("runs") / path.stem
    _configured_run(f"vestige run {path}", anchored(load_config(path), path.parent), out, arguments[1:])


def _source_named(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """What `--data` names, and the other arguments."""
    rest, sources, words = list[str](), list[str](), iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if name != "--data":
            rest.append(word)
            continue
        source = value if equals else next(words, "")
        if not source or source.startswith("--"):
            raise VestigeError("name the samples after --data: twemoji, csv:FILE, webdataset:FILES, ...")
        sources.append(source)
    if len(sources) > 1:
        raise VestigeError(f"a run has one source of samples, found --data {' and --data '.join(sources)}: join them")
    return (sources[0] if sources else None), rest


def _name_of(source: str) -> str:
    """A name for a run over a source: that of a built-in one, or of the file or folder."""
    kind, separator, location = source.partition(":")
    return re.sub(r"[^\w.-]+", "-", Path(location).name.partition(".")[0]).strip("-.") or kind if separator else kind


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


def _score(arguments: Sequence[str]) -> None:
    from vestige.report.terminal import show_scores
    from vestige.scorefiles import ScoreConfig, score_files

    @dataclass(frozen=True)
    class Arguments:
        config: Annotated[ScoreConfig, tyro.conf.arg(name="")]
        json: Annotated[bool, tyro.conf.arg(help="print the summary as JSON")] = False

    # A run is named without a flag, as for every verb: vestige score RUN --metric ...
    named = ["--run", *arguments] if arguments and not arguments[0].startswith("-") else list(arguments)
    chosen = tyro.cli(Arguments, args=named, prog="vestige score")
    scored = score_files(chosen.config)
    if chosen.json:
        print(json.dumps(dict(scored.summary), ensure_ascii=False))
    else:
        show_scores(scored)


def _data(arguments: Sequence[str]) -> None:
    from vestige.datacli import main as data

    data(arguments)


def _caption(arguments: Sequence[str]) -> None:
    from vestige.captioning import CaptionConfig, write_captions

    @dataclass(frozen=True)
    class Arguments:
        config: Annotated[CaptionConfig, tyro.conf.arg(name="")]
        json: Annotated[bool, tyro.conf.arg(help="print the summary as JSON")] = False

    chosen = tyro.cli(Arguments, args=_with_data(arguments), prog="vestige caption DATA")
    _tell(write_captions(chosen.config).summary, "captions", chosen.json)


def _annotate(arguments: Sequence[str]) -> None:
    from vestige.annotate import AnnotateConfig, annotate

    @dataclass(frozen=True)
    class Arguments:
        config: Annotated[AnnotateConfig, tyro.conf.arg(name="")]
        json: Annotated[bool, tyro.conf.arg(help="print the summary as JSON")] = False

    chosen = tyro.cli(Arguments, args=_with_data(arguments), prog="vestige annotate DATA")
    _tell(annotate(chosen.config).summary, "objects", chosen.json)


def _with_data(arguments: Sequence[str]) -> list[str]:
    """The samples are named without a flag: vestige caption DATA --with wordnet."""
    return ["--data", *arguments] if arguments and not arguments[0].startswith("-") else list(arguments)


def _tell(summary: Mapping[str, Any], what: str, as_json: bool) -> None:
    """What a pass over samples wrote: as JSON, or as a line and the commonest reasons of what is missing."""
    if as_json:
        print(json.dumps(dict(summary), ensure_ascii=False))
        return
    print(f"{summary['out']}: {summary[what]:,} {what} for {summary['samples']:,} samples, {summary['provenance']}")
    for reason, count in [*summary["reasons"].items()][:5]:
        print(f"  {count:,} {'sample' if count == 1 else 'samples'} with fewer: {reason}")


VERBS: Mapping[str, Callable[[Sequence[str]], None]] = {
    "demo": _demo,
    "run": _run,
    "score": _score,
    "data": _data,
    "caption": _caption,
    "annotate": _annotate,
}
