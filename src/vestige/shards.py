"""A long pass over samples, shard by shard: what was done before a kill is not done again."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vestige.errors import VestigeError
from vestige.files import digest, read_json, read_table, remove, write_json, write_table
from vestige.progress import progress

ABOUT = b"vestige"


def table_in_shards(
    out: Path,
    *,
    label: str,
    about: Mapping[str, str | int | float | None],
    keys: Sequence[str],
    schema: pa.Schema,
    shard: int,
    records: Callable[[Sequence[str]], Sequence[Mapping[str, Any]]],
) -> pa.Table:
    """A table with a row a sample, made shard by shard and then written as one file.

    Finished shards lie in `.NAME.parts` beside the file until it is whole. The file keeps what it was made of in
    its metadata: the same call again reads it, and a call with other samples or settings is refused.

    Args:
        out: the table, a `.parquet` file.
        label: what is done, for the progress bar.
        about: the settings the rows follow from.
        keys: the samples.
        schema: of the table.
        shard: samples a shard.
        records: rows of a shard, one a sample with its `key`, in its order; must be a function of the keys and of the
            settings alone.

    Raises:
        VestigeError: keys occur twice, or there is a file, or a part of one, of other samples or settings.
    """
    if out.suffix.lower() != ".parquet":
        raise VestigeError(f"{out}: the table is written as Parquet: name a file that ends in .parquet")
    if len(set(keys)) != len(keys):
        raise VestigeError(f"the data hold the key {Counter(keys).most_common(1)[0][0]!r} twice: keys must be unique")
    asked = {**about, "shard": shard, "samples": digest(*keys)}
    if out.exists():
        _same(_about(out), asked, out, out)
        return read_table(out)
    parts = out.with_name(f".{out.name}.parts")
    if (parts / "about.json").exists():
        _same(read_json(parts / "about.json"), asked, out, parts)
    else:
        write_json(parts / "about.json", asked)
    shards = [keys[start : start + shard] for start in range(0, len(keys), shard)]
    paths = [parts / f"{number:06d}.parquet" for number in range(len(shards))]
    done = sum(len(part) for part, path in zip(shards, paths, strict=True) if path.exists())
    with progress(label, len(keys), done=done) as advance:
        for part, path in zip(shards, paths, strict=True):
            if not path.exists():
                rows = list(records(part))
                if [row["key"] for row in rows] != list(part):
                    raise ValueError(f"{label}: the rows of a shard are not those of its samples")
                write_table(path, pa.Table.from_pylist(rows, schema=schema))
                advance(len(part))
    table = pa.concat_tables([schema.empty_table(), *(read_table(path) for path in paths)])
    write_table(out, table.replace_schema_metadata({ABOUT: json.dumps(asked).encode()}))
    remove(parts)
    return table


def _about(path: Path) -> Mapping[str, Any]:
    try:
        return json.loads((pq.read_schema(path).metadata or {}).get(ABOUT, b"{}"))
    except (OSError, ValueError):
        # Neither a table nor ours: it differs from what is asked in everything.
        return {}


def _same(found: Mapping[str, Any], asked: Mapping[str, Any], out: Path, what: Path) -> None:
    names = [name for name in asked if found.get(name) != asked[name]]
    if not names:
        return
    state = "is there already" if what == out else "was begun"
    why = f"with other {', '.join(names)}" if found else "and was not made by this command"
    raise VestigeError(f"{out}: {state} {why}: name another --out, or remove {what}")
