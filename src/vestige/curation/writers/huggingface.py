"""`hf:NAME-OR-FOLDER`: a folder as `save_to_disk` writes it, without the rows of samples that go."""

from pathlib import Path
from typing import Any, cast

from vestige.curation.writers.changes import Changes, Origin, Written, no_captions_here
from vestige.data.formats.hub import HuggingFace
from vestige.data.formats.huggingface import load


def write(origin: Origin, changes: Changes, out: Path) -> Written:
    """The split that was read, with its features; media stay encoded. `datasets.load_from_disk` opens it."""
    source = cast(HuggingFace, origin.source)
    data = load(origin.place, origin.options.get("split", ""), origin.options.get("config", ""), origin.name)
    keys = list(source.key_of_rows(data))
    rows = [row for row, key in enumerate(keys) if not changes.drops(key)]
    kept = data if len(rows) == len(keys) else data.select(rows)
    if changes.captions:
        kept = _recaptioned(origin, source, kept, keys, changes)
    kept.save_to_disk(str(out))
    options = {name: value for name, value in origin.options.items() if name not in {"split", "config"}}
    counted = source.numbered and not changes.captions
    return Written("hf", options=options, renumbered="a key is the number of a row, and rows have gone" * counted)


def _recaptioned(origin: Origin, source: HuggingFace, data: Any, keys: list[str | None], changes: Changes) -> Any:
    column = source.captions
    feature = data.features.get(column)
    several = getattr(getattr(feature, "feature", None), "dtype", None) in {"string", "large_string"}
    if column is None or not (several or getattr(feature, "dtype", None) in {"string", "large_string"}):
        raise no_captions_here(origin, f"the column {column!r} holds no texts")

    def change(caption: Any, row: int) -> dict[str, Any]:
        new = changes.captions.get(keys[row] or "")
        return {column: caption if new is None else list(new) if several else new[0]}

    return data.map(change, input_columns=[column], with_indices=True, features=data.features, keep_in_memory=True)
