"""Which samples would go first, and with what error "these are memorized" is said.

A ranking orders samples by a column of the table of scores:

    memorization                highest first: what the model gained from having seen the sample
    align_out, align_in, ...    lowest first: captions that do not fit their picture
    random                      a seeded permutation: what any ranking has to beat
    any other column            highest first

The error comes with the table: `q_value` (Benjamini & Hochberg, 1995) is the smallest false-discovery rate at which a
sample would be among those called memorized. Candidates and independent samples are two families of tests, of the two
models they may lie in, and the rate holds in each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.types as types

from vestige.errors import VestigeError

MEMORIZATION, RANDOM = "memorization", "random"
# Alignments say how well a sample fits: what fits least goes first.
ALIGNMENT = "align_"
STREAM = int.from_bytes(b"rank", "little")
"""What leads these draws apart from others of the same seed."""

Order = Literal["usual", "highest", "lowest"]


@dataclass(frozen=True)
class Ranking:
    """Samples in the order in which they would go. All [N].

    Attributes:
        by: the column, or "random".
        keys: of the samples that have a score; the others are not ranked.
        scores: what they are ranked by; None for all at random.
        q_values: None where the table has none.
    """

    by: str
    keys: tuple[str, ...]
    scores: tuple[float | None, ...]
    q_values: tuple[float | None, ...]

    def __len__(self) -> int:
        return len(self.keys)

    def top(self, count: int) -> "Ranking":
        """The first so many.

        Raises:
            VestigeError: fewer than one asked for, or more than there are.
        """
        if not 1 <= count <= len(self):
            raise VestigeError(
                f"{count} samples asked for, and {len(self)} are ranked by {self.by}: ask for 1 to {len(self)}"
            )
        return self.at(range(count))

    def discoveries(self, rate: float) -> "Ranking":
        """Those called memorized at a false-discovery rate.

        Raises:
            VestigeError: a rate that is none, no q-values, or nothing found at this rate.
        """
        if not 0 < rate < 1:
            raise VestigeError(f"a false-discovery rate lies between 0 and 1, not {rate:g}")
        known = [q for q in self.q_values if q is not None]
        if not known:
            raise VestigeError(
                "no sample of this table has a q-value (they need external samples, 20 or more): choose by number"
                " instead, or set design.external in the run"
            )
        found = [place for place, q in enumerate(self.q_values) if q is not None and q <= rate]
        if not found:
            raise VestigeError(
                f"nothing is called memorized at a false-discovery rate of {rate:g}: the smallest q-value is"
                f" {min(known):.3g}; raise the rate, or choose by number"
            )
        return self.at(found)

    def at(self, places: Sequence[int]) -> "Ranking":
        """The samples at these places."""
        return Ranking(
            self.by,
            tuple(self.keys[place] for place in places),
            tuple(self.scores[place] for place in places),
            tuple(self.q_values[place] for place in places),
        )


def rank(scores: pa.Table, by: str = MEMORIZATION, *, order: Order = "usual", seed: int = 0) -> Ranking:
    """Rank the samples of a table of scores.

    Args:
        scores: `vestige.scores.score_table`, or any table with `key` and the column.
        by: a column of numbers, or "random".
        order: which end goes first; "usual" is lowest for alignments, highest for all else.
        seed: of the random ranking, which takes the samples that have a memorization score.

    Samples without a score are left out: a missing score is not a score of 0. Equal scores go in the order of their
    keys, so the ranking does not depend on the order of the table.

    Raises:
        VestigeError: no such column, one that holds no numbers, or no sample with a score.
    """
    column = MEMORIZATION if by == RANDOM else by
    values = _numbers(scores, column)
    rows = np.flatnonzero(~np.isnan(values)).tolist()
    if not rows:
        raise VestigeError(f"no sample of the table has a score by {column}: nothing can be ranked")
    keys: list[str] = scores["key"].to_pylist()
    if by == RANDOM:
        rows.sort(key=keys.__getitem__)
        drawn = np.random.Generator(np.random.Philox([seed, STREAM])).permutation(len(rows))
        rows = [rows[place] for place in drawn.tolist()]
        values = np.full(len(values), np.nan)
    else:
        lowest = by.startswith(ALIGNMENT) if order == "usual" else order == "lowest"
        signed = (values if lowest else -values).tolist()
        rows.sort(key=lambda row: (signed[row], keys[row]))
    q_values = scores["q_value"].to_pylist() if "q_value" in scores.column_names else [None] * len(keys)
    own = [None if np.isnan(value) else float(value) for value in values[rows]]
    return Ranking(by, tuple(keys[row] for row in rows), tuple(own), tuple(q_values[row] for row in rows))


def _numbers(scores: pa.Table, column: str) -> np.ndarray:
    """A column as float64, NaN where it is null."""
    numeric = [
        name
        for name, kind in zip(scores.column_names, scores.schema.types, strict=True)
        if types.is_floating(kind) or types.is_integer(kind) or types.is_boolean(kind)
    ]
    if column not in numeric:
        what = "holds no numbers" if column in scores.column_names else "is not in the table of scores"
        raise VestigeError(f"the column {column!r} {what}: rank by one of {', '.join(numeric)}, or at {RANDOM}")
    return np.array(scores[column].cast(pa.float64()).to_numpy(), np.float64)
