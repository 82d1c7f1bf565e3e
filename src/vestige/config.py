"""The configuration of a run: all that is needed to do it again, as dataclasses and as YAML."""

import dataclasses
import difflib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from vestige.data import FORMATS
from vestige.data.augmentation import AugmentationConfig
from vestige.embeddings import EmbeddingConfig
from vestige.errors import VestigeError
from vestige.paradigms import DinoConfig, Paradigm, SupervisedConfig
from vestige.report.options import ReportConfig
from vestige.training.config import TrainingConfig
from vestige.training.mitigations.config import MitigationConfig


@dataclass(frozen=True)
class DataConfig:
    """Where the samples come from."""

    source: str = "twemoji"
    """A built-in source (twemoji, openclipart, ...), or FORMAT:LOCATION (csv:FILE, webdataset:FILES, hf:NAME, ...)."""
    options: dict[str, str] = field(default_factory=dict)
    """Options of the source, for example image_column for csv."""
    extra_captions: tuple[str, ...] = ()
    """Files with more captions, as `vestige caption` writes them."""
    objects: str | None = None
    """File with the objects of the samples, by key: JSON, csv or Parquet, or what `vestige annotate` writes."""
    objects_threshold: float = 0.0
    """Least score of an object that counts."""
    synonyms: str | None = None
    """File with the names of objects that mean the same."""
    max_unreadable: float = 0.05
    """Share of unreadable samples above which the run stops instead of leaving them out."""
    cache_gigabytes: float = 4.0
    """Space on disk for decoded media; a collection that needs more is decoded anew each epoch."""


DATA_FILES = ("objects", "synonyms")
"""Settings of `DataConfig` that are paths."""


@dataclass(frozen=True)
class DesignConfig:
    """Which model sees which samples. Sizes below 1 are shares of the data, others are numbers of samples."""

    name: Literal["roles", "halves", "subsets", "disjoint", "file"] = "roles"
    """roles: f sees shared and candidate samples, g shared and independent ones; halves: complementary halves;
    subsets: random subsets; disjoint: two disjoint sets; file: as a file says."""
    file: str | None = None
    """file: a membership.parquet; samples that it does not name are left out, and faults that were planted there
    (planted.parquet, copies.parquet beside it) are planted again."""
    candidates: float = 0.1
    """roles: samples that f alone sees, and as many that g alone sees; disjoint: size of each set."""
    external: float = 0.1
    """Samples no model sees: the held-out set and the null distribution."""
    pairs: int = 1
    """halves: how often the samples are halved."""
    models: int = 8
    """subsets: how many models."""
    share: float = 0.7
    """subsets: share of the samples that each model sees."""


@dataclass(frozen=True)
class PlantConfig:
    """Faults put in on purpose, to see whether they are found."""

    captions: float = 0.0
    """Candidates given one another's captions: a share below 1, or a number."""
    labels: float = 0.0
    """Candidates given the label of another class, where models learn labels."""
    image: float = 0.0
    """Candidates given one another's picture."""
    audio: float = 0.0
    """Candidates given one another's sound."""
    video: float = 0.0
    """Candidates given one another's film."""
    copies: float = 0.0
    """Samples, of any role, that are there twice, byte for byte."""
    near_copies: float = 0.0
    """Samples that are there twice, the second time with the picture cropped, shifted or compressed anew."""
    copy_group: Literal["own", "original"] = "own"
    """Group of a copy: one of its own (nobody noticed), or that of the original."""


@dataclass(frozen=True)
class RunConfig:
    """A run: samples, design, models, training, embeddings, scores."""

    data: DataConfig = field(default_factory=DataConfig)
    design: DesignConfig = field(default_factory=DesignConfig)
    plant: PlantConfig = field(default_factory=PlantConfig)
    paradigm: Paradigm = "contrastive"
    """What the models are trained to do: contrastive (CLIP and its like), dino, supervised, blip."""
    model: str = "nano"
    """nano, tiny, small, any OpenCLIP architecture, or a JSON file."""
    modalities: tuple[str, ...] = ()
    """What the models embed, of image, text, audio, video; when empty, what at least half of the samples have."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    mitigations: MitigationConfig = field(default_factory=MitigationConfig)
    dino: DinoConfig = field(default_factory=DinoConfig)
    supervised: SupervisedConfig = field(default_factory=SupervisedConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    embedding: EmbeddingConfig = field(default_factory=EmbeddingConfig)
    metrics: tuple[str, ...] = ()
    """What to score: clipmem, multimem, sslmem, labelmem. The first is the one the report is about; when empty, clipmem
    for pictures and texts, multimem for other modalities, sslmem for dino, labelmem for supervised."""
    null: tuple[Literal["external", "shared"], ...] = ("external",)
    """Roles whose scores are the null of the p-values; shared samples spread less than external ones."""
    report: ReportConfig = field(default_factory=ReportConfig)
    seed: int = 0
    """Everything random follows from it."""


def size_of(value: float, total: int) -> int:
    """A size given as a share (below 1) or a number of samples."""
    return round(value * total) if value < 1 else round(value)


def to_yaml(config: RunConfig) -> str:
    return yaml.safe_dump(_plain(config), sort_keys=False, allow_unicode=True)


def load_config(path: Path) -> RunConfig:
    """Read a configuration; what it does not mention keeps its default.

    Raises:
        VestigeError: no such file, not YAML, a name that does not exist, or a value of the wrong kind.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise VestigeError(f"{path}: no such configuration file") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise VestigeError(f"{path}: cannot be read as YAML: {' '.join(str(error).split())}") from error
    return _built(RunConfig, {} if values is None else values, str(path))


def anchored(config: RunConfig, folder: Path | None = None) -> RunConfig:
    """The configuration with absolute paths, so that it means the same from everywhere.

    Args:
        config: the configuration.
        folder: where relative paths are looked up when they lead nowhere from the current folder (that of the YAML).
    """

    def absolute(path: str) -> str:
        found = Path(path).expanduser()
        if folder is not None and not found.exists() and (folder / found).exists():
            found = folder / found
        return str(found.resolve())

    data = config.data
    kind, separator, location = data.source.partition(":")
    # A name on a hub is no path, unless a folder of that name is there.
    named = separator and location and kind in FORMATS and (kind != "hf" or Path(location).expanduser().exists())
    files: dict[str, Any] = {name: absolute(own) for name in DATA_FILES if (own := getattr(data, name)) is not None}
    files["extra_captions"] = tuple(absolute(path) for path in data.extra_captions)
    data = dataclasses.replace(data, source=f"{kind}:{absolute(location)}" if named else data.source, **files)
    model = absolute(config.model) if config.model.endswith(".json") else config.model
    design, training = config.design, config.training
    if design.file is not None:
        design = dataclasses.replace(design, file=absolute(design.file))
    if training.init_from is not None:
        training = dataclasses.replace(training, init_from=absolute(training.init_from))
    return dataclasses.replace(config, model=model, data=data, design=design, training=training)


def changed(one: RunConfig, other: RunConfig) -> list[tuple[str, Any, Any]]:
    """The settings in which two configurations differ, as (name, value of one, value of other)."""
    first, second = dict(_flat(_plain(one))), dict(_flat(_plain(other)))
    return [(name, first.get(name), second.get(name)) for name in first | second if first.get(name) != second.get(name)]


def differences(one: RunConfig, other: RunConfig) -> list[str]:
    """The settings in which two configurations differ, as `name: value of one, now value of other`."""
    return [f"{name}: {was}, now {now}" for name, was, now in changed(one, other)]


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return list(value) if isinstance(value, tuple) else value


def _flat(values: dict[str, Any], prefix: str = "") -> typing.Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _built(cls: Any, values: Any, where: str) -> Any:
    if not isinstance(values, dict):
        raise VestigeError(f"{where}: expected settings by name, found {values!r}")
    hints = typing.get_type_hints(cls)
    for name in values:
        if name not in hints:
            near = difflib.get_close_matches(str(name), hints, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(hints)}"
            raise VestigeError(f"{where}: unknown setting {name!r}{hint}")
    return cls(**{name: _value(hints[name], value, f"{where}: {name}") for name, value in values.items()})


def _value(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _built(kind, value, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        if value in arguments:
            return value
        raise VestigeError(f"{where}: one of {', '.join(map(str, arguments))}, not {value!r}")
    if origin is tuple and isinstance(value, list):
        return tuple(_value(arguments[0], item, where) for item in value)
    if origin is dict and isinstance(value, dict):
        return {str(key): _value(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if origin in (typing.Union, types.UnionType):
        return None if value is None else _value(next(a for a in arguments if a is not type(None)), value, where)
    if kind is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            # YAML 1.1 reads 1e-3 as a string.
            return float(value)
        except ValueError:
            pass
    elif kind in (int, str, bool) and type(value) is kind:
        return value
    raise VestigeError(f"{where}: expected {getattr(origin or kind, '__name__', kind)}, found {value!r}")
