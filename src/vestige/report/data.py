"""What the scripts of the page read of the samples: columns, and their nearest neighbours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vestige.embeddings import Embeddings, all_keys
from vestige.report.blame import blamed
from vestige.report.measures import Measure, numbers, pair_columns, ranges
from vestige.report.neighbours import nearest
from vestige.report.pagemedia import PIECE
from vestige.report.text import brief, cut, short

LONGEST_CAPTION = 500
MOST_CAPTIONS = 10
LONGEST_NAME = 32


@dataclass(frozen=True)
class PageRows:
    """The samples on the page.

    Attributes:
        rows: their rows in the table; those that the gallery lists, then those that are neighbours only.
        listed: how many are listed.
        pictured: how many, from the first on, have their media on the page.
        neighbours: by modality, for every listed sample (page row, similarity) of the nearest others.
    """

    rows: list[int]
    listed: int
    pictured: int
    neighbours: Mapping[str, list[list[tuple[int, float]]]]


def with_neighbours(
    scores: pa.Table, listed: NDArray[np.int64], stores: Mapping[str, Embeddings], count: int, room: int
) -> PageRows:
    """The listed samples and their nearest neighbours among all that are in the table.

    Args:
        scores: the table.
        listed: rows of the table.
        stores: embeddings by model; without any there are no neighbours.
        count: neighbours of each.
        room: how many neighbours that are not listed get their media on the page, those of the first samples first.
    """
    keys = scores["key"].to_pylist()
    of_table = {key: row for row, key in enumerate(keys)}
    names = all_keys(next(iter(stores.values()))) if stores else []
    embedded = set(names)
    queries = [keys[row] for row in listed.tolist() if keys[row] in embedded]
    asked = {key: place for place, key in enumerate(queries)}
    found = nearest(stores, queries, count)
    rows = listed.tolist()
    of_page = {row: place for place, row in enumerate(rows)}
    near: dict[str, list[list[tuple[int, float]]]] = {str(modality): [] for modality in found}
    for key in [keys[row] for row in listed.tolist()]:
        for modality, own in found.items():
            at = slice(asked[key], asked[key] + 1) if key in asked else slice(0)
            pairs = zip(own.rows[at].flatten().tolist(), own.similarity[at].flatten().tolist(), strict=True)
            # What is embedded but not in the table (held-out samples from elsewhere) no model saw.
            known = [(of_table[names[row]], value) for row, value in pairs if row >= 0 and names[row] in of_table]
            for row, _ in known:
                if row not in of_page:
                    of_page[row] = len(rows)
                    rows.append(row)
            near[str(modality)].append([(of_page[row], round(value, 3)) for row, value in known])
    return PageRows(rows, len(listed), min(len(rows), len(listed) + room), near)


def page_data(
    scores: pa.Table,
    page: PageRows,
    found: Sequence[Measure],
    captions: Mapping[str, Sequence[str]],
    models: Sequence[str],
) -> dict[str, Any]:
    """Columns of the samples on the page, an entry a sample; numbers are short, what is unknown is null.

    Args:
        scores: the table.
        page: which of its rows are shown.
        found: the columns to rank by.
        captions: by key, all captions of a sample; where it has none, the one of the table is taken.
        models: names of the models.
    """
    table = scores.select([name for name in scores.column_names if name in _READ]).take(pa.array(page.rows, pa.int64()))
    roles = scores["role"].cast(pa.string()).to_numpy(zero_copy_only=False)
    names = sorted(set(roles.tolist()))
    keys, rows = table["key"].to_pylist(), np.array(page.rows, np.int64)
    texts = [captions.get(key) or [text or ""] for key, text in zip(keys, table["caption"].to_pylist(), strict=True)]
    x, y = axes(scores, models)
    pairs = pair_columns(scores.column_names)
    return {
        "models": [brief(model, LONGEST_NAME) for model in models],
        "listed": page.listed,
        "pictured": page.pictured,
        "piece": PIECE,
        "roles": names,
        "totals": {role: int((roles == role).sum()) for role in names},
        "measures": [_described(measure, roles) for measure in found],
        "values": {measure.name: shortened(measure.values[rows]) for measure in found},
        "errors": {m.name: shortened(m.error[rows]) for m in found if m.error is not None},
        "key": keys,
        "group": _groups(table["group"].to_pylist(), keys),
        "role": [names.index(role) for role in table["role"].to_pylist()],
        "captions": [_shown_captions(own) for own in texts],
        "planted": [int(bool(planted)) for planted in table["planted"].to_pylist()],
        **{name: shortened(numbers(scores, name)[rows]) for name in ("align_in", "align_out", "p_value", "q_value")},
        "axes": None if x is None or y is None else [x, y],
        "x": None if x is None else shortened(numbers(scores, x)[rows]),
        "y": None if y is None else shortened(numbers(scores, y)[rows]),
        "pairs": [{"of": pair, "name": name} for pair, name in pairs.items()] if len(pairs) > 1 else [],
        "blame": _blame(scores, roles, pairs, page),
        "neighbours": page.neighbours,
    }


_READ = ("key", "group", "role", "caption", "planted")


def axes(scores: pa.Table, models: Sequence[str]) -> tuple[str | None, str | None]:
    """The columns of the scatter: g across and f up, or unseen and seen where there are not two models."""
    wanted = [f"align_{model}" for model in reversed(models)] if len(models) == 2 else []
    if len(wanted) == 2 and set(wanted) <= set(scores.column_names):
        return wanted[0], wanted[1]
    return ("align_out", "align_in") if {"align_in", "align_out"} <= set(scores.column_names) else (None, None)


def _described(measure: Measure, roles: NDArray[np.object_]) -> dict[str, Any]:
    sets = ranges(measure, roles) if measure.contrast else {}
    return {
        "name": measure.name,
        "title": measure.title,
        "over": measure.source,
        "contrast": measure.contrast,
        "ranges": {name: [short(low), short(high)] for name, (low, high) in sets.items()},
    }


def _groups(groups: Sequence[str | None], keys: Sequence[str]) -> list[str | None]:
    """The group of every sample; None where it is the sample's own key, as for most."""
    return [None if group == key else group for group, key in zip(groups, keys, strict=True)]


def _shown_captions(captions: Sequence[str]) -> list[str]:
    kept = [cut(caption.strip(), LONGEST_CAPTION) for caption in captions[:MOST_CAPTIONS]]
    more = len(captions) - len(kept)
    return [*kept, f"… and {more} more"] if more > 0 else kept


def _blame(
    scores: pa.Table, roles: NDArray[np.object_], pairs: Mapping[tuple[str, str], str], page: PageRows
) -> list[Any] | None:
    """For every sample on the page [modality, p], or None where no modality can be blamed."""
    if len(pairs) < 3:
        return None
    named = blamed({pair: numbers(scores, name) for pair, name in pairs.items()}, roles)
    return [None if (own := named.get(row)) is None else [own.modality, short(own.p)] for row in page.rows]


def shortened(values: NDArray[np.float64]) -> list[float | None]:
    """Numbers with as many digits as anybody reads."""
    return [short(value) for value in values.tolist()]
