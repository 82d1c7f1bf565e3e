"""Two finished runs side by side: what each memorized, how far they agree, and which samples moved.

Samples are joined by key. Memorization of a sample is the alignment of the models that saw it minus that of the models
that did not; of two models it is the score of a candidate (f minus g), and minus the score of an independent sample, so
a sample can be compared that f saw in one run and g in the other. The change is B minus A.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from vestige.config import changed
from vestige.designs import Role
from vestige.errors import VestigeError
from vestige.finished import FinishedRun
from vestige.metrics import Interval, RankAgreement, grouped_mean_interval, rank_agreement, top_overlap
from vestige.summary import means_by_role
from vestige.usefulness import Figure, usefulness

# Of how many at the top it is said how many both runs have there.
TOP = 20
SIGNS = {Role.CANDIDATE: 1.0, Role.MIXED: 1.0, Role.INDEPENDENT: -1.0}


@dataclass(frozen=True)
class Both:
    """The samples that have a memorization score in both runs, [N] each.

    Attributes:
        keys: their keys, in the order of A.
        row_a, row_b: their rows in the two tables.
        role_a, role_b: their roles.
        a, b: how much each run memorized of them.
        group: a number for the group of each, that of A.
    """

    keys: Sequence[str]
    row_a: NDArray[np.int64]
    row_b: NDArray[np.int64]
    role_a: NDArray[np.object_]
    role_b: NDArray[np.object_]
    a: NDArray[np.float64]
    b: NDArray[np.float64]
    group: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def change(self) -> NDArray[np.float64]:
        return self.b - self.a

    def moved(self, shown: int) -> tuple[list[int], list[int]]:
        """Places of the samples that rose most and of those that fell most, the largest changes first."""
        order = np.argsort(-self.change, kind="stable")
        rose = [int(place) for place in order[:shown] if self.change[place] > 0]
        fell = [int(place) for place in order[::-1][:shown] if self.change[place] < 0]
        return rose, fell


@dataclass(frozen=True)
class Comparison:
    """What two runs have in common and what not.

    Attributes:
        a, b: the runs.
        metric: the score that is compared.
        both: the samples scored in both.
        common: how many samples are in both tables.
        only_a, only_b: how many are in one table alone.
        captions: how many of the common samples have different captions.
        roles: by role, the means of the score in A and in B, each over all its own samples.
        changes: by role, the mean change of the score over the samples that have this role in both; None for none.
        change: the mean change of memorization over `both`; None where it is empty.
        agreement: the rank correlation of memorization over `both`; None for fewer than two samples.
        top: (k, how many of the k most memorized both have), or None.
        useful: what the models are good for: the figures of A and of B, side by side; None where one has none.
        settings: (name, value of A, value of B) of the settings that differ.
    """

    a: FinishedRun
    b: FinishedRun
    metric: str
    both: Both
    common: int
    only_a: int
    only_b: int
    captions: int
    roles: Mapping[str, tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]]
    changes: Mapping[str, Interval | None]
    change: Interval | None
    agreement: RankAgreement | None
    top: tuple[int, int] | None
    useful: Sequence[tuple[Figure | None, Figure | None]]
    settings: Sequence[tuple[str, Any, Any]]


def compare(a: FinishedRun, b: FinishedRun) -> Comparison:
    """Compare two finished runs.

    Raises:
        VestigeError: no score that both have, or no sample in common.
    """
    metric = _metric(a, b)
    row_of_b = {key: row for row, key in enumerate(b.scores["key"].to_pylist())}
    keys = a.scores["key"].to_pylist()
    rows = [(row, row_of_b[key]) for row, key in enumerate(keys) if key in row_of_b]
    if not rows:
        raise VestigeError(f"{a.directory} and {b.directory} have no sample in common: compare runs over the same data")
    row_a, row_b = np.array(rows, np.int64).T
    both = _both(a, b, metric, row_a, row_b)
    return Comparison(
        a=a,
        b=b,
        metric=metric,
        both=both,
        common=len(rows),
        only_a=len(a.scores) - len(rows),
        only_b=len(b.scores) - len(rows),
        captions=int((_column(a.scores, "caption")[row_a] != _column(b.scores, "caption")[row_b]).sum()),
        roles=_roles(a, b, metric),
        changes=_changes(a, b, metric, row_a, row_b),
        change=_mean(both.change, both.group),
        agreement=_agreement(both),
        top=_top(both),
        useful=_usefulness(a, b),
        settings=changed(a.config, b.config),
    )


def _metric(a: FinishedRun, b: FinishedRun) -> str:
    for name, other in ((a.summary["metric"], b), (b.summary["metric"], a)):
        if name in other.scores.column_names:
            return name
    raise VestigeError(
        f"{a.directory} has {a.summary['metric']} and {b.directory} {b.summary['metric']}: score one with the metric of"
        f" the other, vestige score {b.directory} --metric {a.summary['metric']}"
    )


def _both(a: FinishedRun, b: FinishedRun, metric: str, row_a: NDArray[np.int64], row_b: NDArray[np.int64]) -> Both:
    first, second = _memorization(a, metric)[row_a], _memorization(b, metric)[row_b]
    known = np.isfinite(first) & np.isfinite(second)
    row_a, row_b = row_a[known], row_b[known]
    return Both(
        keys=_column(a.scores, "key")[row_a].tolist(),
        row_a=row_a,
        row_b=row_b,
        role_a=_column(a.scores, "role")[row_a],
        role_b=_column(b.scores, "role")[row_b],
        a=first[known],
        b=second[known],
        group=_groups(a.scores)[row_a],
    )


def _memorization(run: FinishedRun, metric: str) -> NDArray[np.float64]:
    """Seen minus not seen, [N]; NaN where no or every model saw the sample."""
    score = _numbers(run.scores, metric)
    signs = np.array([SIGNS.get(role, np.nan) for role in _column(run.scores, "role")])
    return score * signs


def _roles(a: FinishedRun, b: FinishedRun, metric: str) -> dict[str, tuple[Any, Any]]:
    first, second = (means_by_role(run.scores, [metric])[metric] for run in (a, b))
    return {str(role): (first.get(role), second.get(role)) for role in Role if role in first or role in second}


def _changes(
    a: FinishedRun, b: FinishedRun, metric: str, row_a: NDArray[np.int64], row_b: NDArray[np.int64]
) -> dict[str, Interval | None]:
    role, same = _column(a.scores, "role")[row_a], _column(b.scores, "role")[row_b]
    change = _numbers(b.scores, metric)[row_b] - _numbers(a.scores, metric)[row_a]
    group = _groups(a.scores)[row_a]
    found: dict[str, Interval | None] = {}
    for name in map(str, Role):
        rows = (role == name) & (same == name) & np.isfinite(change)
        found[name] = _mean(change[rows], group[rows])
    return found


def _mean(values: NDArray[np.float64], group: NDArray[np.int64]) -> Interval | None:
    if not len(values):
        return None
    return grouped_mean_interval(torch.from_numpy(values), torch.from_numpy(group))


def _agreement(both: Both) -> RankAgreement | None:
    if len(both) < 2:
        return None
    return rank_agreement(torch.from_numpy(both.a), torch.from_numpy(both.b), torch.from_numpy(both.group))


def _top(both: Both) -> tuple[int, int] | None:
    # Among fewer than twice as many, that some are in both says nothing.
    if len(both) < 2 * TOP:
        return None
    return TOP, round(TOP * top_overlap(torch.from_numpy(both.a), torch.from_numpy(both.b), TOP))


def _usefulness(a: FinishedRun, b: FinishedRun) -> list[tuple[Figure | None, Figure | None]]:
    first, second = ({figure.subject: figure for figure in usefulness(run)} for run in (a, b))
    return [(first.get(subject), second.get(subject)) for subject in first | second]


def _column(table: pa.Table, name: str) -> NDArray[np.object_]:
    return np.array(table[name].to_pylist(), dtype=object)


def _numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    return table[name].cast(pa.float64()).to_numpy(zero_copy_only=False)


def _groups(table: pa.Table) -> NDArray[np.int64]:
    return np.unique(_column(table, "group"), return_inverse=True)[1].astype(np.int64)
