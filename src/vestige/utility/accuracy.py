"""Accuracy: is the class of a sample among the k with the highest scores?

    hit_i(k) = [ #{c != y_i : s_ic >= s_iy_i} < k ]

A tie with a wrong class counts against the model: one whose scores are all the same gets nothing right.

Shapes: N samples, C classes.
"""

import torch
from torch import Tensor

from vestige.metrics import checks

# Scores held at a time.
CELLS = 4_000_000


def top_hits(scores: Tensor, labels: Tensor, k: int = 1) -> Tensor:
    """Which samples have their class among the k highest scores, bool [N].

    Args:
        scores: [N, C].
        labels: long [N].
        k: at least 1.

    Raises:
        ValueError: wrong shape or dtype, NaN, labels outside [0, C).
    """
    checks.numbers("scores", scores, "[N, C]", (None, None))
    checks.integers("labels", labels, "[N]", (len(scores),), low=0, high=scores.shape[1])
    checks.count("k", k)
    if not len(scores):
        return torch.zeros(0, dtype=torch.bool, device=scores.device)
    rows = max(1, CELLS // scores.shape[1])
    parts = zip(scores.split(rows), labels.split(rows), strict=True)
    # The class itself is among those that are at least as high: one is taken off.
    ranks = [(own >= own.gather(1, of[:, None])).sum(1) - 1 for own, of in parts]
    return torch.cat(ranks) < k
