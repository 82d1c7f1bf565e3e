"""What the verbs share that take the configuration of a run: a file, or a source, and settings."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from vestige.config import DataConfig, RunConfig, anchored, load_config
from vestige.data import likely_name
from vestige.errors import VestigeError
from vestige.progress import say
from vestige.verbs.parsing import parsed

LISTS = ("--metrics", "--modalities", "--null", "--training.keep-epochs")
"""Settings whose values may be joined by commas. Not those with file names, which may hold one."""


@dataclass(frozen=True)
class OutputArguments:
    """Where the run goes, and how the result is printed."""

    out: Annotated[Path, tyro.conf.arg(help="folder of the run")]
    json: Annotated[bool, tyro.conf.arg(help="print the result as JSON")] = False


@dataclass(frozen=True)
class Chosen:
    """A configuration, the folder of its run, and whether the result is printed as JSON."""

    config: RunConfig
    out: Path
    json: bool


def configured(verb: str, arguments: Sequence[str]) -> Chosen:
    """What the arguments of a verb say that takes `CONFIG.yaml` or `--data SOURCE`, and settings.

    Raises:
        VestigeError: both, neither, or not a configuration.
    """
    program = f"vestige {verb}"
    if not arguments or arguments[0] in {"-h", "--help"}:
        say(f"usage: {program} CONFIG.yaml | --data SOURCE [--out DIR] [settings]")
        return settings(program, RunConfig(), Path("runs/NAME"), ["--help"])
    source, rest = _source_named(arguments)
    if source is not None:
        if rest and not rest[0].startswith("-"):
            raise VestigeError(
                f"a configuration names its samples: give {rest[0]!r} or --data, or change its data with --data.source"
            )
        return settings(program, RunConfig(data=DataConfig(source=source)), Path("runs") / _name_of(source), rest)
    if arguments[0].startswith("-"):
        raise VestigeError(f"{program} takes a configuration file first, or --data SOURCE; found {arguments[0]!r}")
    path = Path(arguments[0])
    if path.is_dir() or path.suffix not in {".yaml", ".yml"}:
        like = likely_name(arguments[0])
        if like is not None:
            raise VestigeError(f"{path} is no configuration; for samples: {program} --data {shlex.quote(like)}")
    # A configuration that lies in its run's folder is that run, taken up again; another gets a folder of its name.
    beside = (path.parent / "environment.json").exists()
    out = path.parent if beside else Path("runs") / path.stem
    return settings(f"{program} {path}", anchored(load_config(path), path.parent), out, arguments[1:])


def settings(program: str, default: RunConfig, out: Path, arguments: Sequence[str]) -> Chosen:
    """The settings that the arguments change, as a configuration, and where its run goes."""

    @dataclass(frozen=True)
    class Arguments:
        where: Annotated[OutputArguments, tyro.conf.arg(name="")] = field(default_factory=lambda: OutputArguments(out))
        config: Annotated[RunConfig, tyro.conf.arg(name="")] = field(default_factory=lambda: default)

    chosen = parsed(Arguments, _apart(arguments), program)
    return Chosen(chosen.config, chosen.where.out, chosen.where.json)


def _apart(arguments: Sequence[str]) -> list[str]:
    """The arguments, with the lists that are joined by commas (as `vestige score` takes them) as words of their own."""
    apart, listed = list[str](), False
    for word in arguments:
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            listed = name.replace("_", "-") in LISTS
            apart += [name, *value.split(",")] if listed and equals else [word]
        else:
            apart += word.split(",") if listed else [word]
    return apart


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
