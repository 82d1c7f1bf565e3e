"""Which samples the page holds: all that are ranked, up to a number, and some of every other role to compare with."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

DRAWN = 100
"""Samples of every role that is not ranked."""


def chosen_rows(
    score: NDArray[np.float64],
    roles: NDArray[np.object_],
    planted: NDArray[np.bool_],
    ranked: Sequence[str],
    limit: int,
    seed: int,
) -> NDArray[np.int64]:
    """Row numbers, the ranked roles first and each role from the highest score down; missing scores come last.

    Args:
        score: [N], NaN where missing.
        roles: [N].
        planted: [N]; these are kept before all others.
        ranked: roles that are ranked, in the order of their importance; together at most `limit` rows.
        limit: of the ranked rows.
        seed: of what is drawn at random.
    """
    random = np.random.default_rng(seed)
    chosen: list[NDArray[np.int64]] = []
    for role in ranked:
        rows = np.flatnonzero(roles == role)
        chosen.append(_limited(rows, score, planted, limit - sum(map(len, chosen)), random))
    for role in sorted(set(roles.tolist()) - set(ranked)):
        rows = np.flatnonzero(roles == role)
        chosen.append(random.choice(rows, min(DRAWN, len(rows)), replace=False))
    parts = [rows[_downwards(score[rows])] for rows in map(np.sort, chosen)]
    return np.concatenate([*parts, np.empty(0, np.int64)]).astype(np.int64)


def _limited(
    rows: NDArray[np.int64],
    score: NDArray[np.float64],
    planted: NDArray[np.bool_],
    limit: int,
    random: np.random.Generator,
) -> NDArray[np.int64]:
    """All rows, or: planted ones, then a third of what is left from either end of the ranking, the rest at random."""
    if len(rows) <= limit:
        return rows
    wrong = rows[planted[rows]][:limit]
    others = rows[~planted[rows]]
    others = others[_downwards(score[others])]
    known = int(np.isfinite(score[others]).sum())
    end = min((limit - len(wrong)) // 3, known // 2)
    top, bottom = others[:end], others[known - end : known]
    middle = np.concatenate([others[end : known - end], others[known:]])
    rest = random.choice(middle, limit - len(wrong) - 2 * end, replace=False)
    return np.concatenate([wrong, top, bottom, rest])


def _downwards(score: NDArray[np.float64]) -> NDArray[np.int64]:
    """The order from the highest score to the lowest; equal ones as they come, missing ones last."""
    return np.argsort(-score, kind="stable")
