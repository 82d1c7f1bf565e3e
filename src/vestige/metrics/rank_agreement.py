"""How far two scores of the same samples agree in their order, with its uncertainty.

    rho = corr(rank a, rank b)
    tanh(artanh(rho) +- z s),   s^2 = (1 + rho^2 / 2) / (G - 3)        Bonett & Wright (2000)

G is the number of groups: samples of one group are seen, hence scored, together, and count as one observation, which
is never too bold. The interval is of the samples: that of other seeds is wider.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

from torch import Tensor

from . import checks
from .statistics import spearman

# G - 3 is the denominator of the variance.
LEAST_GROUPS = 4


@dataclass(frozen=True, slots=True)
class RankAgreement:
    """Spearman's rank correlation of two scores.

    Attributes:
        rho: in [-1, 1]; NaN where all values of one score are equal.
        low: lower end of the interval; NaN where none can be given.
        high: upper end.
        confidence: share of repetitions with other samples in which the interval holds the true correlation.
        n: samples.
        groups: of them, in how many groups.
    """

    rho: float
    low: float
    high: float
    confidence: float
    n: int
    groups: int


def rank_agreement(a: Tensor, b: Tensor, group: Tensor, *, confidence: float = 0.95) -> RankAgreement:
    """Spearman's rank correlation with the interval of Bonett and Wright, groups taken as units.

    Args:
        a: [N], N >= 2.
        b: [N], the same samples.
        group: long [N], the group of each sample, any non-negative numbers.
        confidence: between 0 and 1.

    Returns:
        `RankAgreement`; no interval for fewer than four groups, nor for a perfect correlation (artanh is infinite).

    Raises:
        ValueError: wrong shape, dtype or device, NaN, fewer than two values, confidence outside (0, 1).
    """
    checks.fraction("confidence", confidence)
    rho, n = spearman(a, b), a.numel()
    checks.integers("group", group, "[N]", (n,), low=0, high=None)
    groups = len(group.unique())
    if groups < LEAST_GROUPS or not abs(rho) < 1:
        return RankAgreement(rho, math.nan, math.nan, confidence, n, groups)
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt((1 + rho**2 / 2) / (groups - 3))
    middle = math.atanh(rho)
    return RankAgreement(rho, math.tanh(middle - reach), math.tanh(middle + reach), confidence, n, groups)
