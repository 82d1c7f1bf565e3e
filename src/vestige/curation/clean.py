"""From a table of scores to a cleaned set: choose samples, write the data without them, say what went and why.

PATH                  the set, in the format of the data
PATH.manifest.csv     a row for every sample of the data: key, action, reason, score, q_value, rank
PATH.clean.json       the command, what was read, counts, the version
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import tyro

from vestige.curation.choice import Choice, choose, without_strangers
from vestige.curation.keyfiles import read_keys
from vestige.curation.manifest import Row, write_manifest
from vestige.curation.ranking import MEMORIZATION, Order, Ranking, rank
from vestige.curation.writers import Changes, Origin, Written, writer_of
from vestige.data import BUILT_IN, open_source
from vestige.data.generation.captions import read_captions
from vestige.errors import VestigeError
from vestige.files import read_table, remove, replacing, write_json
from vestige.progress import say

SCORES = "scores.parquet"
# Columns of the scores beside that of the ranking.
NEEDED = ("key", "group", "q_value", MEMORIZATION)
RENAMED = "archives that held the same key no longer do"


@dataclass(frozen=True)
class CleanConfig:
    """Take samples out of data, by a run's scores or by name, and write what is left in the format of the data."""

    run: Path
    """A finished run, or a table of scores (Parquet; then name the data too)."""
    out: Path
    """The cleaned set: a file where the data are one, else a folder. It must not be there yet."""
    top: int | None = None
    """Choose the first so many of the ranking."""
    fdr: float | None = None
    """Choose those called memorized at this false-discovery rate."""
    keys: Path | None = None
    """Choose those a file names: marks of the report (csv `key,mark`), a JSON list, or a key a line."""
    by: str = MEMORIZATION
    """Ranking: memorization, align_out, align_in, random, or another column of the table."""
    order: Order = "usual"
    """Which end of the column goes first; usual: the lowest alignments, the highest of all else."""
    whole_groups: bool = False
    """Choose all samples of a chosen sample's group too (byte-identical copies are one group)."""
    keep: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Keep the chosen alone, instead of taking them out."""
    recaption: Path | None = None
    """Give the chosen new captions instead: a file as `vestige caption` writes it."""
    media: Literal["link", "copy"] = "link"
    """Media of folders: links to the files of the data, or copies."""
    manifest: Path | None = None
    """Where to say what went and why, csv or Parquet; PATH.manifest.csv when not given."""
    data: str | None = None
    """The data, where a table of scores is given; named as for vestige run."""
    options: dict[str, str] = field(default_factory=dict)
    """Options of these data, for example image_column path."""
    seed: int = 0
    """Of the random ranking."""


@dataclass(frozen=True)
class CleanResult:
    """What was written.

    Attributes:
        out: the cleaned set.
        summary: what lies in PATH.clean.json.
    """

    out: Path
    summary: Mapping[str, Any]


def clean(config: CleanConfig) -> CleanResult:
    """Choose, write, read back, and say what was done.

    Raises:
        VestigeError: nothing to rank or to choose, files that do not fit the data, or a place that is taken.
    """
    origin, scores = _opened(config)
    manifest = config.manifest or _beside(config.out, ".manifest.csv")
    _check_place(config.out, manifest, origin)
    ranking = _ranked(config, scores)
    named = None if config.keys is None else read_keys(config.keys)
    # The data may be much larger than the table: their keys pass by, and only those in question are kept.
    wanted = {*scores["key"].to_pylist(), *(named.keys if named else ())}
    known = {key for key in origin.source.keys() if key in wanted}
    ranking, strangers = without_strangers(ranking, known) if len(ranking) else (ranking, 0)
    groups = scores if config.whole_groups else None
    choice = choose(ranking, known, top=config.top, fdr=config.fdr, keys=named, groups=groups)
    changes, without = _changes(config, choice, len(origin.source))
    with replacing(config.out) as temporary:
        written = writer_of(origin.form)(origin, changes, temporary)
    written = _in_place(written, config.out)
    counted, same = _read_back(origin, changes, written, config.out)
    rows = _rows(origin.source.keys(), ranking, choice, changes)
    actions = write_manifest(manifest, rows)
    summary = {
        "command": _command(config),
        "run": str(config.run),
        "data": {"source": origin.name, "options": dict(origin.options)},
        "ranked_by": config.by,
        "counts": {
            "samples": len(origin.source),
            "ranked": len(ranking),
            "chosen": len(choice.reasons),
            "removed": actions["removed"],
            "recaptioned": actions["recaptioned"],
            "kept": actions["kept"],
            "without_new_caption": len(without),
            "scores_of_no_sample": strangers,
        },
        "false_discovery_rate": choice.false_discovery_rate,
        "marks": choice.marks,
        "out": str(config.out),
        "open": {"source": _name(written, config.out), "options": dict(written.options)},
        "manifest": str(manifest),
        "samples_read_back": counted,
        "keys_stay": same,
        "notes": [*written.notes, *([] if same else [f"keys have changed: {written.renumbered or RENAMED}"])],
        "seed": config.seed,
        "version": metadata.version("vestige"),
    }
    write_json(_beside(config.out, ".clean.json"), summary)
    return CleanResult(config.out, summary)


def _opened(config: CleanConfig) -> tuple[Origin, pa.Table]:
    """The data, without what the run planted in them, and the scores."""
    if config.run.is_dir() or not config.run.exists():
        # Imported here: a table of scores alone needs no model library.
        from vestige.config import load_config

        if not (config.run / "config.yaml").is_file():
            raise VestigeError(f"{config.run}: no run lies there (no config.yaml), and no table of scores")
        if config.data is not None:
            raise VestigeError("a run brings its own data: leave out --data")
        if not (config.run / SCORES).is_file():
            raise VestigeError(
                f"{config.run}: the run has no scores yet: vestige run {config.run / 'config.yaml'} goes on"
            )
        data = load_config(config.run / "config.yaml").data
        name, options, table = data.source, data.options, config.run / SCORES
    elif config.data is None:
        raise VestigeError(f"{config.run}: a table of scores does not say what it is of: name the data with --data")
    else:
        name, options, table = config.data, config.options, config.run
    try:
        names = pq.read_schema(table).names
        # The table may hold captions of millions of samples: they are left where they are.
        scores = read_table(table, None if config.by not in names else [n for n in names if n in {*NEEDED, config.by}])
    except pa.ArrowInvalid as error:
        raise VestigeError(f"{table}: not a table of scores in Parquet ({' '.join(str(error).split())})") from error
    if "key" not in scores.column_names:
        raise VestigeError(f"{table}: a table of scores has the column 'key'; found {', '.join(scores.column_names)}")
    form, _, location = name.partition(":")
    place = None if form in BUILT_IN else Path(location)
    return Origin(open_source(name, **options), form, place, options), scores


def _ranked(config: CleanConfig, scores: pa.Table) -> Ranking:
    """The ranking; an empty one where samples are named and the models give no contrast to rank by."""
    unscored = MEMORIZATION not in scores.column_names or scores[MEMORIZATION].null_count == len(scores)
    if config.keys is not None and config.by == MEMORIZATION and unscored:
        return Ranking(config.by, (), (), ())
    return rank(scores, config.by, order=config.order, seed=config.seed)


def _check_place(out: Path, manifest: Path, origin: Origin) -> None:
    for path in (out, manifest, _beside(out, ".clean.json")):
        if path.exists() or path.is_symlink():
            raise VestigeError(f"{path} is there already: name another place with --out, or remove it")
    if manifest.suffix not in {".csv", ".parquet"}:
        raise VestigeError(f"--manifest ends in .csv or .parquet, not {manifest.name!r}")
    inside = origin.location is not None and origin.location.is_dir()
    if inside and out.resolve().is_relative_to(origin.place.resolve()):
        raise VestigeError(f"{out} lies within the data ({origin.location}), of which it would be a part: name another")


def _changes(config: CleanConfig, choice: Choice, total: int) -> tuple[Changes, Sequence[str]]:
    """What becomes of the chosen, and those that were to get new captions and have none."""
    chosen = frozenset(choice.reasons)
    copy = config.media == "copy"
    if config.recaption is None:
        if not config.keep and len(chosen) == total:
            raise VestigeError(f"all {total} samples of the data are chosen, and none would be left: choose fewer")
        if config.keep and choice.marks:
            raise VestigeError(f"{config.keys}: marks say what to take out: leave out --keep")
        return Changes(chosen, keep=config.keep, copy=copy), ()
    if config.keep:
        raise VestigeError("--recaption changes the chosen and --keep leaves out the others: do one after the other")
    entries = read_captions(config.recaption)
    captions = {key: entries[key][0] for key in choice.reasons if entries.get(key, ((), ""))[0]}
    without = [key for key in choice.reasons if key not in captions]
    if not captions:
        raise VestigeError(
            f"{config.recaption}: none of the {len(chosen)} chosen samples has a caption there, the first is"
            f" {without[0]!r}: is it of these data?"
        )
    if without:
        say(
            f"{config.recaption}: {len(without)} of the {len(chosen)} chosen samples have no caption there and stay as"
            f" they are, the first is {without[0]!r}"
        )
    return Changes(captions=captions, copy=copy), without


def _in_place(written: Written, out: Path) -> Written:
    """What was written, its options naming the place it was moved to."""
    partial = str(out.with_name(f".{out.name}.partial"))
    options = {name: str(out) if value == partial else value for name, value in written.options.items()}
    return Written(written.form, written.location, options, written.renumbered, written.notes)


def _name(written: Written, out: Path) -> str:
    return f"{written.form}:{out / written.location if written.location else out}"


def _read_back(origin: Origin, changes: Changes, written: Written, out: Path) -> tuple[int, bool]:
    """How many samples the cleaned set has, opened, and whether under their old keys.

    Raises:
        VestigeError: it cannot be opened, or has not as many as stay. Such a set is not left there.
    """
    name = _name(written, out)
    try:
        found = open_source(name, **written.options).keys()
    except VestigeError:
        remove(out)
        raise
    expected = (key for key in origin.source.keys() if not changes.drops(key))
    count, same = 0, True
    for key, own in zip_longest(expected, found):
        count += key is not None
        same = same and key == own
    if count != len(found):
        remove(out)
        raise VestigeError(f"{name}: the cleaned set reads back as {len(found)} samples, not {count}: please report")
    return count, same


def _rows(keys: Sequence[str], ranking: Ranking, choice: Choice, changes: Changes) -> Iterator[Row]:
    place = {key: position for position, key in enumerate(ranking.keys)}
    for key in keys:
        at = place.get(key)
        action = "removed" if changes.drops(key) else "recaptioned" if key in changes.captions else "kept"
        yield Row(
            key=key,
            action=action,
            reason=choice.reasons.get(key, "not chosen" if changes.keep else None),
            score=None if at is None else ranking.scores[at],
            q_value=None if at is None else ranking.q_values[at],
            rank=None if at is None else at + 1,
        )


def _beside(out: Path, ending: str) -> Path:
    return out.with_name(out.name + ending)


def _command(config: CleanConfig) -> str:
    words = ["vestige", "clean", str(config.run)]
    default = CleanConfig(config.run, config.out)
    for name in ("top", "fdr", "keys", "by", "order", "recaption", "media", "data", "seed", "manifest"):
        value = getattr(config, name)
        if value != getattr(default, name):
            words += [f"--{name}", str(value)]
    for name in ("keep", "whole_groups"):
        words += [f"--{name.replace('_', '-')}"] if getattr(config, name) else []
    words += ["--options", *(word for pair in config.options.items() for word in pair)] if config.options else []
    return shlex.join([*words, "--out", str(config.out)])
