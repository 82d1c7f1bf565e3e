"""Scores by role, as an Altair chart: binned here, so that the page does not grow with the samples.

Every role is divided by its own number of samples: a role of 50 is as visible as one of 50,000. The vertical scale is a
square root (Tukey's rootogram): the null is many times narrower, hence higher, than the scores of the candidates.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from vestige.report.text import percent

MOST_BINS = 72
FEWEST_BINS = 12
HEIGHT = 300
# Told apart by dashes as well as by colour; the colours are those of style.css, which knows light, dark and paper.
DASHES = {"independent": [8, 3], "external": [2, 2], "planted": [5, 3]}
GREY = "var(--muted)"


@dataclass(frozen=True)
class Histogram:
    """A histogram of each of several series over the same bins.

    Attributes:
        edges: [B + 1], round numbers; zero is one of them or outside.
        counts: by series, [B] whole numbers; no series is empty.
    """

    edges: NDArray[np.float64]
    counts: Mapping[str, NDArray[np.int64]]


def histogram(series: Mapping[str, NDArray[np.float64]]) -> Histogram | None:
    """Bin each series; None where there is no score at all.

    Args:
        series: scores by name, [N] each; those that are not finite are left out.
    """
    finite = {name: scores[np.isfinite(scores)] for name, scores in series.items()}
    kept = {name: scores for name, scores in finite.items() if len(scores)}
    if not kept:
        return None
    low, high = min(s.min() for s in kept.values()), max(s.max() for s in kept.values())
    typical = float(np.median([len(scores) for scores in kept.values()]))
    bins = min(MOST_BINS, max(FEWEST_BINS, 3 * math.sqrt(typical)))
    width = _round(float(high - low or abs(high) or 1) / bins)
    edges = np.arange(math.floor(low / width), math.floor(high / width) + 2) * width
    return Histogram(edges, {name: np.histogram(scores, edges)[0] for name, scores in kept.items()})


def _round(width: float) -> float:
    """The nearest number with one digit, or 15 and 25."""
    unit = 10.0 ** math.floor(math.log10(width))
    return unit * min((1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10), key=lambda step: abs(step - width / unit))


def outlines(found: Histogram) -> list[dict[str, Any]]:
    """Corners of the outlines of each series: `series, run, score, share`; a share holds up to the next corner.

    Each run of bins that are not empty is an outline of its own, which begins and ends at zero.
    """
    rows = []
    for name, counts in found.counts.items():
        full = np.flatnonzero(counts)
        for run, bins in enumerate(np.split(full, np.flatnonzero(np.diff(full) > 1) + 1)):
            edges = found.edges[[bins[0], *bins, bins[-1] + 1]]
            shares = [0.0, *(counts[bins] / counts.sum()), 0.0]
            rows += [
                {"series": name, "run": run, "score": _short(edge), "share": _short(share)}
                for edge, share in zip(edges, shares, strict=True)
            ]
    return rows


def columns(found: Histogram) -> list[dict[str, Any]]:
    """What is said of each bin that holds anything: `low, high`, and by series its share and number."""
    sizes = {name: counts.sum() for name, counts in found.counts.items()}
    rows = []
    for place, (low, high) in enumerate(zip(found.edges[:-1], found.edges[1:], strict=True)):
        here = {name: counts[place] for name, counts in found.counts.items()}
        if any(here.values()):
            texts = {name: f"{percent(count / sizes[name])} ({count:,})" for name, count in here.items()}
            rows.append({"low": _short(low), "high": _short(high)} | texts)
    return rows


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def chart(found: Histogram) -> dict[str, Any]:
    """A Vega-Lite specification with the datasets `outlines` and `columns`, and a brush named `brush`.

    The page names the horizontal axis.
    """
    zero = bool(found.edges[0] <= 0 <= found.edges[-1])
    data = {"outlines": outlines(found), "columns": columns(found), "zero": [{"score": 0}]}
    return {**_layers(tuple(found.counts), zero), "datasets": data, "config": configuration()}


@cache
def _layers(names: Sequence[str], zero: bool) -> dict[str, Any]:
    """The chart of these series, without its data: Altair takes its time."""
    colours = alt.Scale(domain=names, range=[f"var(--{name})" for name in names])
    dashes = alt.Scale(domain=names, range=[DASHES.get(name, [1, 0]) for name in names])
    # No domain: the page may divide all scores by a range.
    across = alt.Scale(zero=False, nice=False)
    corners = alt.Chart(alt.NamedData("outlines")).encode(
        x=alt.X("score:Q", scale=across, axis=alt.Axis(title=None)),
        y=alt.Y(
            "share:Q",
            stack=None,
            scale=alt.Scale(type="sqrt"),
            axis=alt.Axis(title="share of the role, square-root scale", format="~%", tickCount=6),
        ),
        detail="run:N",
    )
    areas = corners.mark_area(interpolate="step-after", fillOpacity=0.14).encode(
        fill=alt.Fill("series:N", legend=None, scale=colours)
    )
    lines = corners.mark_line(interpolate="step-after", strokeWidth=1.6, strokeJoin="miter").encode(
        stroke=alt.Stroke("series:N", legend=None, scale=colours),
        strokeDash=alt.StrokeDash("series:N", legend=None, scale=dashes),
    )
    # One column over each bin, as high as the chart: the pointer finds it anywhere, and it speaks for all series.
    hover = alt.selection_point(name="hover", on="pointerover", clear="pointerout", fields=["low"], empty=False)
    brush = alt.selection_interval(
        name="brush", encodings=["x"], mark=alt.BrushConfig(fill="var(--link)", fillOpacity=0.1, stroke="var(--link)")
    )
    bins = (
        alt.Chart(alt.NamedData("columns"))
        .transform_calculate(range="format(datum.low, ',.3f') + ' to ' + format(datum.high, ',.3f')")
        .mark_rect(fill=GREY)
        .encode(
            x=alt.X("low:Q", scale=across),
            x2="high:Q",
            fillOpacity=alt.condition(hover, alt.value(0.18), alt.value(0)),
            tooltip=[alt.Tooltip("range:N", title="score"), *(alt.Tooltip(f"{name}:N") for name in names)],
        )
        .add_params(hover, brush)
    )
    rule = alt.Chart(alt.NamedData("zero")).mark_rule(stroke=GREY, strokeWidth=1).encode(x="score:Q")
    # Layered by themselves, areas and lines share one copy of the corners.
    layers = [*([rule] if zero else []), alt.layer(areas, lines), bins]
    return alt.layer(*layers).properties(width="container", height=HEIGHT).to_dict()


def configuration() -> dict[str, Any]:
    """How charts look on the page."""
    text = {
        "labelColor": GREY,
        "titleColor": GREY,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    }
    lines = {"domainColor": GREY, "tickColor": GREY, "gridColor": "var(--line)"}
    return {
        "background": "transparent",
        # The picture is described as a whole, and the page holds its numbers as text.
        "aria": False,
        "view": {"stroke": None},
        "axis": {**text, **lines, "titlePadding": 10, "labelFlush": False},
        "axisX": {"grid": False},
    }
