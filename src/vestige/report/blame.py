"""The modality to blame: the one whose pairs carry the score of a sample, tested against the sample's other pairs.

    z_p(i) = (s_p(i) - median of s_p over the role of i) / spread of s_p over the external samples
    D_j(i) = mean over pairs p with j of z_p(i)  -  mean over pairs without j of z_p(i)
    z_j(i) = D_j(i) / spread of D_j over the external samples

Pairs differ in how much of them is memorized at all (text and sound more than picture and sound) and in how much chance
moves them, so each is taken from what is usual for it, in units of chance. The modality with the largest z_j is named
where that is as rare as `CLEAR` among external samples, which no model saw (the largest of theirs is taken too, as the
choice of j is part of the chance), and its pairs score above the usual. The spread is 1.4826 times the median absolute
deviation, which few wrong samples do not move.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CLEAR = 0.05
FEWEST = 20
"""Samples of a role needed to know what is usual, and external ones to know what is chance."""
# f minus g of what g alone saw: memorized is what is low.
SIGNS = {"candidate": 1.0, "mixed": 1.0, "independent": -1.0}

Numbers = NDArray[np.float64]
Pair = tuple[str, str]


@dataclass(frozen=True)
class Blamed:
    """What stands out in a sample.

    Attributes:
        modality: whose pairs score high.
        p: share of external samples in which some modality stands out as much.
    """

    modality: str
    p: float


def blamed(pairs: Mapping[Pair, Numbers], roles: NDArray[np.object_]) -> dict[int, Blamed]:
    """The samples of which a modality can be blamed, by row.

    Args:
        pairs: scores of pairs of modalities, [N] each, NaN where a sample lacks one; three pairs or more.
        roles: [N].
    """
    modalities = list(dict.fromkeys(modality for pair in pairs for modality in pair))
    complete = np.isfinite(np.stack(list(pairs.values()))).all(0)
    null = np.flatnonzero((roles == "external") & complete)
    units = {pair: _spread(scores[null]) for pair, scores in pairs.items()} if len(null) >= FEWEST else {}
    if not all(unit > 0 for unit in units.values()) or not units:
        return {}
    found: dict[int, Blamed] = {}
    for role, sign in SIGNS.items():
        rows = np.flatnonzero((roles == role) & complete)
        if len(rows) < FEWEST:
            continue
        chance = _contrasts({pair: _usual(sign * s[null]) / units[pair] for pair, s in pairs.items()}, modalities)
        z = {pair: _usual(sign * scores[rows]) / units[pair] for pair, scores in pairs.items()}
        scale = np.array([_spread(own) for own in chance])[:, None]
        if not (scale > 0).all():
            continue
        contrasts = _contrasts(z, modalities) / scale
        extremes = (chance / scale).max(0)
        for at, row in enumerate(rows.tolist()):
            best = int(contrasts[:, at].argmax())
            p = float((1 + (extremes >= contrasts[best, at]).sum()) / (1 + len(extremes)))
            own = np.mean([z[pair][at] for pair in z if modalities[best] in pair])
            if p <= CLEAR and own > 0:
                found[row] = Blamed(modalities[best], p)
    return found


def _contrasts(z: Mapping[Pair, Numbers], modalities: Sequence[str]) -> Numbers:
    """D_j of every modality and sample, [J, n]."""
    return np.stack(
        [
            np.mean([z[pair] for pair in z if j in pair], 0) - np.mean([z[pair] for pair in z if j not in pair], 0)
            for j in modalities
        ]
    )


def _usual(values: Numbers) -> Numbers:
    return values - np.median(values)


def _spread(values: Numbers) -> float:
    return 1.4826 * float(np.median(np.abs(_usual(values))))
