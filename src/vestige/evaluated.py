"""What is evaluated: the models of a run, or checkpoints, and the samples of a source that they did not see."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vestige.config import DataConfig, RunConfig, anchored, load_config
from vestige.data import BUILT_IN, FORMATS, Source, open_source
from vestige.data.subset import Subset
from vestige.designs import Design
from vestige.errors import VestigeError
from vestige.leakage import Seen
from vestige.models import Encoder
from vestige.models.blueprint import load_encoder
from vestige.progress import say
from vestige.utility.embedded import Part
from vestige.utility.facts import facts_of

OWN_SPLITS: Mapping[str, Mapping[str, str]] = {"fashion-mnist": {"train": "train", "test": "test"}}
"""Sources that are published in two parts: what their option `split` calls them."""


@dataclass(frozen=True)
class Models:
    """The models by name; of a run, its folder, its configuration and what its models saw."""

    encoders: Mapping[str, Encoder]
    directory: Path | None = None
    config: RunConfig | None = None
    seen: Seen | None = None


def evaluated_models(run: Path | None, f: Path | None, g: Path | None, model: str | None, device: str) -> Models:
    """The models of a run, or one or two checkpoints.

    Raises:
        VestigeError: both or neither, or no models there.
    """
    given = {name: path for name, path in (("f", f), ("g", g)) if path is not None}
    if run is None:
        if not given:
            raise VestigeError("name a run (vestige evaluate RUN --on SOURCE), or checkpoints with --f and --g")
        say("nothing is known of what these models were trained on: figures on samples they saw say little")
        return Models({name: load_encoder(path, model, device=device) for name, path in given.items()})
    others = [*given, *(() if model is None else ("model",))]
    if others:
        raise VestigeError(f"a run brings its own models: leave out --{others[0]}")
    directory = run
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
    encoders = {name: load_encoder(directory / "models" / name, device=device) for name in design.models}
    return Models(encoders, directory, load_config(directory / "config.yaml"), Seen.by(directory, design))


def evaluated_parts(name: str, options: Mapping[str, str], models: Models) -> tuple[Part, Part | None]:
    """The samples to test on, which no model of a run saw, and those to train a probe on where they are others.

    Raises:
        VestigeError: no such source, or the run was trained on all of it.
    """
    options = dict(options)
    splits = OWN_SPLITS.get(name) if "split" not in options else None
    train: Part | None = None
    if splits is not None:
        train = whole(open_source(name, **options, split=splits["train"]), label="reading labels (training part)")
        options["split"] = splits["test"]
    if models.seen is None or models.config is None or models.directory is None:
        return whole(open_source(name, **options)), train
    same = anchored(RunConfig(data=DataConfig(source=name))).data.source == models.config.data.source
    if same and options in ({}, dict(models.config.data.options)):
        return _held_out(name, models.directory, models.seen)
    source = open_source(name, **options)
    facts = facts_of(source, contents=True)
    rows = models.seen.unseen(facts, same_source=same)
    if not rows:
        raise VestigeError(f"{name}: all of its {len(facts)} samples are among the training data of the run")
    if len(rows) < len(facts):
        say(f"{name}: {len(facts) - len(rows)} of {len(facts)} samples are left out: the run was trained on them")
    return Part(source, facts.at(rows)), train


def _held_out(name: str, directory: Path, seen: Seen) -> tuple[Part, Part]:
    """Of the run's own samples: those that no model saw, and the others."""
    # Imported here: opening the samples of a run needs what training needs.
    from vestige.openrun import open_run

    samples = open_run(directory).samples
    facts = facts_of(samples)
    held = set(seen.external)
    at: dict[bool, list[int]] = {True: [], False: []}
    for row, key in enumerate(facts.keys):
        at[key in held].append(row)
    say(
        f"{name}: the models were trained on it: the {len(at[True])} of {len(facts)} samples that no model saw are"
        " tested on, the others are the training part of a probe"
    )
    return Part(samples, facts.at(at[True])), Part(samples, facts.at(at[False]))


def training_part(name: str, options: Mapping[str, str], test: Part, *, same_source: bool) -> Part:
    """The samples of a source that a probe is trained on, without those that it is tested on.

    Args:
        name, options: the source.
        test: the samples that are tested on.
        same_source: whether they are of this source, so that keys and groups mean the same in both.

    Raises:
        VestigeError: no such source, or all of it is tested on.
    """
    source = open_source(name, **options)
    facts = facts_of(source, contents=True, label="reading labels (training part)")
    tested = facts_of(Subset(test.source, test.facts.keys), contents=True, label="reading what is tested on")
    rows = Seen.of(tested).unseen(facts, same_source=same_source)
    if not rows:
        raise VestigeError(f"--train-on {name}: all of its {len(facts)} samples are tested on: name others to train on")
    if len(rows) < len(facts):
        say(f"--train-on {name}: {len(facts) - len(rows)} of {len(facts)} samples are left out: they are tested on")
    return Part(source, facts.at(rows))


def whole(source: Source, *, label: str = "reading labels") -> Part:
    """All samples of a source."""
    return Part(source, facts_of(source, label=label))


def sources_named(names: str) -> list[str]:
    """Names of sources from one string; a comma within a name (webdataset:a.tar,b.tar) does not part it.

    Raises:
        VestigeError: no source is named.
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
