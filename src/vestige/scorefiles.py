"""Scoring from files to files: a finished run, two checkpoints, or embeddings that were kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from vestige.alignments import METRICS
from vestige.curation.suspicion import SUSPICION
from vestige.data import Source, open_source
from vestige.data.decoded import DecodedSource
from vestige.data.objects import with_objects
from vestige.data.prepared import prepared_source
from vestige.designs import Design
from vestige.embeddings import EmbeddingConfig, EmbeddingStore
from vestige.errors import VestigeError
from vestige.files import digest, read_table, remove, write_json, write_table
from vestige.models import Encoder
from vestige.recovery import RecoveryConfig
from vestige.samples import Modality
from vestige.scoring import DEJAVU, UNITMEM, ScoreResult, score, score_embeddings, score_models
from vestige.summary import means_by_role, summarise
from vestige.units import by_model, layer_means

LEXICAL = "lexical"
# Columns that describe a sample or the first metric of its table: a table that has them keeps its own.
KEPT = (
    *("group", "role", "caption", "planted"),
    *("memorization", "align_in", "align_out", "n_in", "n_out", "p_value", "q_value"),
)


@dataclass(frozen=True)
class ScoreConfig:
    """Score samples: of a finished run, with two checkpoints you trained, or from embeddings that were kept."""

    run: Path | None = None
    """A finished run: its models, its data, its membership; columns are added to its table."""
    f: Path | None = None
    """Checkpoint of the model that saw the samples (a folder of OpenCLIP or transformers, .safetensors, .pt,
    pretrained:TAG, hf-hub:NAME), or a folder of embeddings."""
    g: Path | None = None
    """The same of the reference model."""
    reference: str | None = None
    """For dejavu, instead of g: a reference of texts alone (the one-model test), the folder of a sentence encoder, or
    lexical, which is fitted to the captions of the public samples."""
    data: str | None = None
    """The samples: twemoji, csv:FILE, folder:DIR."""
    heldout: str | None = None
    """Samples neither model saw, named as data; not needed with a membership that has external samples."""
    heldout_f: Path | None = None
    """Embeddings of the held-out samples under f, where f is a folder of embeddings."""
    heldout_g: Path | None = None
    """The same under g."""
    model: str | None = None
    """Architecture of both (an OpenCLIP name or a JSON file), where the checkpoints do not say."""
    membership: Path | None = None
    """Parquet with which model saw what, as a run writes it; without it f saw all of the data and g none."""
    metric: str = "clipmem"
    """Metrics, joined by commas: clipmem, multimem, sslmem, labelmem, unitmem, dejavu, suspicion."""
    public: str | None = None
    """For dejavu: samples with objects that no model saw, named as data."""
    objects: Path | None = None
    """File with the objects of data, by key, where the source has none: JSON, csv or Parquet."""
    public_objects: Path | None = None
    """The same of the public samples."""
    objects_threshold: float = 0.0
    """Least score of an object that counts."""
    synonyms: Path | None = None
    """File with the names of objects that mean the same."""
    null: tuple[Literal["external", "shared"], ...] = ("external",)
    """Roles whose scores are the null of the p-values."""
    out: Path | None = None
    """The table of scores; scores.parquet, or that of the run, when not given."""
    options: dict[str, str] = field(default_factory=dict)
    """Options of data, heldout and public, for example image_column path."""
    recovery: RecoveryConfig = field(default_factory=RecoveryConfig)
    embedding: EmbeddingConfig = field(default_factory=EmbeddingConfig)
    seed: int = 0
    """Of the views."""

    @property
    def metrics(self) -> list[str]:
        return [name.strip() for name in self.metric.split(",")]


@dataclass(frozen=True)
class ScoredFiles:
    """What was scored, and where it lies.

    Attributes:
        table: all columns, those that were there before too.
        summary: `vestige.summary.summarise` of the table's first metric, and `means` by role of every score asked for
            (neither where only units were); `out`; `units` (mean UnitMem by model and layer) and `dejavu` where asked
            for.
        written: the files.
    """

    table: pa.Table
    summary: Mapping[str, Any]
    written: Sequence[Path]


def score_files(config: ScoreConfig) -> ScoredFiles:
    """Score, and write the table, and where asked for `<out>.units.parquet`, `<out>.dejavu.json` and what it retrieved.

    Where the table is that of a run which kept epochs, `unitmem` is taken of these too (`vestige.unitepochs`).

    Raises:
        VestigeError: inputs that do not go together, or as `vestige.scoring.score_models`.
    """
    if config.run is not None:
        result, models, out = _scored_run(config, config.run)
    elif config.f is not None and config.reference is not None:
        result, models, out = _scored_alone(config, config.f, config.reference)
    elif config.f is None or config.g is None:
        raise VestigeError("name a run (vestige score RUN), or two models with --f and --g")
    elif _is_store(config.f) or _is_store(config.g):
        result, models, out = _scored_stores(config, config.f, config.g)
    else:
        result, models, out = _scored_checkpoints(config, config.f, config.g)
    if config.run is not None and out.exists():
        result = replace(result, table=merged(read_table(out), result.table))
    files = _write(result, models, out, config)
    if config.run is None or config.out is not None or UNITMEM not in config.metrics:
        return files
    from vestige.unitepochs import score_unit_epochs

    return replace(files, written=[*files.written, *score_unit_epochs(config.run, config.embedding)])


def merged(table: pa.Table, new: pa.Table) -> pa.Table:
    """The table with the new one's columns, in place of its own of the same name, by key.

    What describes the samples, and what belongs to the first metric of a table, stays as the table has it.
    """
    row = {key: place for place, key in enumerate(new["key"].to_pylist())}
    order = pa.array([row.get(key) for key in table["key"].to_pylist()], pa.int64())
    for name in new.column_names:
        own = name in KEPT or name.startswith("align_")
        if name == "key" or (own and name in table.column_names):
            continue
        column = new[name].take(order)
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, column)
        else:
            table = table.append_column(name, column)
    return table


def _scored_run(config: ScoreConfig, directory: Path) -> tuple[ScoreResult, Sequence[str], Path]:
    # Imported here: scores from embeddings need no model library, and its import takes a quarter of a gigabyte.
    from vestige.openrun import open_run

    others = [
        name
        for name in ("f", "g", "reference", "data", "heldout", "membership", "model")
        if getattr(config, name) is not None
    ]
    if others == ["reference"]:
        raise VestigeError(
            f"a run has a reference, its g; for the one-model test: vestige score --f {directory / 'models' / 'f'}"
            f" --reference {config.reference} --data ..."
        )
    if others:
        raise VestigeError(f"a run brings its own models and data: leave out --{others[0]}")
    run = open_run(directory)
    samples = run.samples
    if config.objects is not None:
        # Beside what the run's own configuration says of objects.
        with_them = with_objects(samples, config.objects, threshold=config.objects_threshold, synonyms=config.synonyms)
        samples = DecodedSource(with_them, samples.examples)
    out = config.out or directory / "scores.parquet"
    work = _work(out, *(encoder.fingerprint for encoder in run.encoders.values()), str(config))
    result = score_models(
        run.encoders,
        samples,
        metrics=config.metrics,
        embedding=config.embedding,
        membership=run.design,
        public=_source(config.public, config, config.public_objects),
        recovery=config.recovery,
        directory=work,
        null=config.null,
        seed=run.config.seed,
    )
    return result, run.design.models, out


def _scored_checkpoints(config: ScoreConfig, f_path: Path, g_path: Path) -> tuple[ScoreResult, Sequence[str], Path]:
    from vestige.models.blueprint import load_encoder

    data = _source(config.data, config, config.objects)
    if data is None:
        raise VestigeError("name the samples with --data")
    device = config.embedding.device
    f, g = (load_encoder(path, config.model, device=device) for path in (f_path, g_path))
    out = config.out or Path("scores.parquet")
    result = score(
        f,
        g,
        data,
        _source(config.heldout, config, None),
        metrics=config.metrics,
        embedding=config.embedding,
        membership=None if config.membership is None else Design.load(config.membership),
        public=_source(config.public, config, config.public_objects),
        recovery=config.recovery,
        directory=_work(out, f.fingerprint, g.fingerprint, str(config)),
        null=config.null,
        seed=config.seed,
    )
    return result, ("f", "g"), out


def _scored_alone(config: ScoreConfig, f_path: Path, reference: str) -> tuple[ScoreResult, Sequence[str], Path]:
    """Deja Vu's one-model test: against what captions alone tell of the objects."""
    from vestige.models.blueprint import load_encoder

    if config.g is not None:
        raise VestigeError("name a second model (--g) or a reference of texts (--reference), not both")
    if config.metrics != [DEJAVU]:
        raise VestigeError(f"a reference of texts alone serves {DEJAVU}: give --metric {DEJAVU}")
    data, public = _source(config.data, config, config.objects), _source(config.public, config, config.public_objects)
    if data is None or public is None:
        raise VestigeError("name the samples with --data, and the public ones with --public")
    device = config.embedding.device
    f, g = load_encoder(f_path, config.model, device=device), _reference(reference, public, config)
    out = config.out or Path("scores.parquet")
    result = score(
        f,
        g,
        data,
        metrics=config.metrics,
        embedding=config.embedding,
        public=public,
        recovery=replace(config.recovery, reference_index=Modality.TEXT),
        directory=_work(out, f.fingerprint, g.fingerprint, str(config)),
        seed=config.seed,
    )
    return result, ("f", "g"), out


def _reference(name: str, public: Source, config: ScoreConfig) -> Encoder:
    from vestige.models.lexical import LexicalEncoder
    from vestige.models.sentences import SentenceEncoder

    if name != LEXICAL:
        return SentenceEncoder.load(Path(name), device=config.embedding.device)
    captions = [caption for sample in public.samples(public.keys()) for caption in sample.captions]
    return LexicalEncoder(captions, seed=config.seed)


def _scored_stores(config: ScoreConfig, f: Path, g: Path) -> tuple[ScoreResult, Sequence[str], Path]:
    fit = (*METRICS, SUSPICION)
    unfit = [name for name in config.metrics if name not in fit]
    if unfit:
        raise VestigeError(f"{unfit[0]} needs the models: embeddings alone give {', '.join(fit)}")
    if (config.heldout_f is None) != (config.heldout_g is None):
        raise VestigeError("name the held-out embeddings of both models, with --heldout-f and --heldout-g")
    away = None
    if config.heldout_f is not None and config.heldout_g is not None:
        away = {"f": EmbeddingStore(config.heldout_f), "g": EmbeddingStore(config.heldout_g)}
    result = score_embeddings(
        {"f": EmbeddingStore(f), "g": EmbeddingStore(g)},
        away,
        metrics=config.metrics,
        membership=None if config.membership is None else Design.load(config.membership),
        null=config.null,
    )
    rows = len(result.table)
    table = result.table.append_column("caption", pa.array([""] * rows, pa.string()))
    table = table.append_column("planted", pa.array([False] * rows, pa.bool_()))
    return replace(result, table=table), ("f", "g"), config.out or Path("scores.parquet")


def _write(result: ScoreResult, models: Sequence[str], out: Path, config: ScoreConfig) -> ScoredFiles:
    written = [out]
    summary: dict[str, Any] = {}
    if result.columns:
        summary = summarise(result.table, models) | {"means": means_by_role(result.table, result.columns)}
    write_table(out, result.table)
    if UNITMEM in config.metrics:
        written.append(out.with_suffix(".units.parquet"))
        write_table(written[-1], by_model(result.units))
        summary["units"] = {name: layer_means(table) for name, table in result.units.items()}
    if result.dejavu is not None:
        written.append(out.with_suffix(".dejavu.json"))
        write_json(written[-1], result.dejavu)
        summary["dejavu"] = result.dejavu
    if result.retrieved is not None:
        written.append(out.with_suffix(".retrieved.parquet"))
        write_table(written[-1], result.retrieved)
    for left in out.parent.glob(f".{out.name}.work-*"):
        remove(left)
    return ScoredFiles(result.table, summary | {"out": str(out)}, written)


def _work(out: Path, *parts: str) -> Path:
    """Where embeddings are kept until the table is written; named after all they depend on.

    A call that was killed finds its own and no others.
    """
    return out.with_name(f".{out.name}.work-{digest(*parts)}")


def _is_store(path: Path) -> bool:
    return (path / "about.json").is_file()


def _source(name: str | None, config: ScoreConfig, objects: Path | None) -> Source | None:
    if name is None:
        return None
    synonyms = None if objects is None else config.synonyms
    source = open_source(name, **config.options)
    return prepared_source(source, objects=objects, objects_threshold=config.objects_threshold, synonyms=synonyms)
