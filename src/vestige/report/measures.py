"""The columns of a table of scores that can be ranked by, and how uncertain each of their numbers is."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from vestige.metrics import normalise
from vestige.metrics.student import student_quantile
from vestige.samples import Modality

Numbers = NDArray[np.float64]

TITLES = {
    "clipmem": "CLIPMem",
    "multimem": "MultiMem",
    "multimem_mean_pair": "MultiMem (mean pair)",
    "sslmem": "SSLMem",
    "memorization": "seen minus unseen",
    "align_in": "alignment, seen",
    "align_out": "alignment, unseen",
}
# Of the first metric; they rank samples too, and `align_out` finds wrong captions as well as any.
OF_THE_FIRST = ("memorization", "align_in", "align_out")
NO_MEASURES = ("p_value", "q_value")
CONFIDENCE = 0.95
NORMAL = 1.959963984540054


@dataclass(frozen=True)
class Measure:
    """A column to rank by.

    Attributes:
        name: of the column.
        title: for a reader.
        values: [N], NaN where missing.
        error: half the width of the 95% interval of each, [N], NaN where unknown; None where there is none.
        source: what the interval is over: `models`, or `held-out samples`; empty without one.
        contrast: whether it is a score (seen against unseen), not an alignment.
    """

    name: str
    title: str
    values: Numbers
    error: Numbers | None
    source: str
    contrast: bool


def measures(scores: pa.Table, metric: str) -> list[Measure]:
    """Every column to rank by: the metric of the report, then the others, then what is kept of the metric itself."""
    floating = [field.name for field in scores.schema if pa.types.is_floating(field.type)]
    own = [
        name
        for name in floating
        if not name.endswith("_se") and not name.startswith("align_") and name not in (*OF_THE_FIRST, *NO_MEASURES)
    ]
    names = [metric, *(name for name in own if name != metric), *(name for name in OF_THE_FIRST if name in floating)]
    return [_measure(scores, name) for name in names]


def _measure(scores: pa.Table, name: str) -> Measure:
    error, source = _error(scores, name)
    contrast = name not in ("align_in", "align_out")
    return Measure(name, title_of(name), numbers(scores, name), error, source, contrast)


def _error(scores: pa.Table, name: str) -> tuple[Numbers | None, str]:
    """Over models where a standard error over models is known (few of them: Student's t), else over held-out sets."""
    if f"{name}_se" in scores.column_names and {"n_in", "n_out"} <= set(scores.column_names):
        degrees = np.nan_to_num(numbers(scores, "n_in") + numbers(scores, "n_out") - 2).astype(int)
        quantiles = {d: student_quantile(CONFIDENCE, d) if d > 0 else np.nan for d in np.unique(degrees).tolist()}
        return numbers(scores, f"{name}_se") * np.array([quantiles[d] for d in degrees.tolist()]), "models"
    if f"{name}_heldout_se" in scores.column_names:
        return numbers(scores, f"{name}_heldout_se") * NORMAL, "held-out samples"
    return None, ""


def numbers(scores: pa.Table, column: str) -> Numbers:
    """A column as float64; what is null or not finite is NaN."""
    found = scores[column].cast(pa.float64()).to_numpy()
    return np.where(np.isfinite(found), found, np.nan)


def title_of(name: str) -> str:
    """A measure as a reader knows it: `MultiMem image–text` for `multimem_image_text`."""
    if name in TITLES:
        return TITLES[name]
    first, *rest = name.split("_")
    if first in TITLES and rest:
        return f"{TITLES[first]} {'–'.join(rest) if tuple(rest) in _PAIRS else ' '.join(rest)}"
    return name.replace("_", " ")


_PAIRS = set(combinations((str(modality) for modality in Modality), 2))


def pair_columns(columns: list[str]) -> dict[tuple[str, str], str]:
    """The columns that score a pair of modalities, by that pair."""
    named = {pair: f"multimem_{pair[0]}_{pair[1]}" for pair in combinations((str(m) for m in Modality), 2)}
    return {pair: name for pair, name in named.items() if name in columns}


def ranges(measure: Measure, roles: NDArray[np.object_]) -> dict[str, tuple[float, float]]:
    """Smallest and largest value over the sets whose range scores are divided by (`vestige.metrics.normalise`).

    Args:
        measure: the scores.
        roles: role of every sample, [N].

    Returns:
        by `candidate` (candidates, or the mixed samples where there are none) and `union` (with the independent
        ones); a set with fewer than two different scores is left out.
    """
    seen = "candidate" if (roles == "candidate").any() else "mixed"
    found = {}
    for name, members in (("candidate", (seen,)), ("union", (seen, "independent"))):
        scores = torch.from_numpy(measure.values[np.isin(roles, members)])
        if len(scores[~scores.isnan()].unique()) > 1:
            normal = normalise(scores, scores)
            found[name] = (normal.low, normal.high)
    return found
