"""Student's t: the quantile an interval for the mean of few values needs, which torch does not have.

P(|T| <= t),  theta = atan(t / sqrt(nu))                    Abramowitz & Stegun (1964), 26.7.3 and 26.7.4
nu odd   2/pi (theta + sin theta (cos theta + 2/3 cos^3 theta + ... + (2 4 .. nu-3)/(3 5 .. nu-2) cos^(nu-2) theta))
nu even  sin theta (1 + 1/2 cos^2 theta + ... + (1 3 .. nu-3)/(2 4 .. nu-2) cos^(nu-2) theta)
"""

import math
from statistics import NormalDist

from . import checks

MANY = 200  # degrees of freedom from where the expansion around the normal quantile is exact to 1e-9


def student_quantile(confidence: float, degrees: int) -> float:
    """The t with P(|T| <= t) = confidence, for whole degrees of freedom.

    Raises:
        ValueError: confidence outside (0, 1), degrees below 1.
    """
    checks.fraction("confidence", confidence)
    checks.count("degrees", degrees)
    if degrees > MANY:
        return _expansion(NormalDist().inv_cdf((1 + confidence) / 2), degrees)
    low, high = 0.0, 1.0
    while _within(high, degrees) < confidence:
        high *= 2
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if _within(middle, degrees) < confidence else (low, middle)
    return middle


def _within(t: float, degrees: int) -> float:
    """P(|T| <= t)."""
    theta = math.atan(t / math.sqrt(degrees))
    sine, cosine = math.sin(theta), math.cos(theta)
    odd = degrees % 2
    term = cosine if odd else 1.0
    total = term if degrees > 1 else 0.0
    for k in range(2 + odd, degrees - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    return 2 / math.pi * (theta + sine * total) if odd else sine * total


def _expansion(z: float, degrees: int) -> float:
    """Cornish-Fisher: Abramowitz & Stegun 26.7.5."""
    z3, z5, z7, z9 = z**3, z**5, z**7, z**9
    return (
        z
        + (z3 + z) / (4 * degrees)
        + (5 * z5 + 16 * z3 + 3 * z) / (96 * degrees**2)
        + (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * degrees**3)
        + (79 * z9 + 776 * z7 + 1482 * z5 - 1920 * z3 - 945 * z) / (92160 * degrees**4)
    )
