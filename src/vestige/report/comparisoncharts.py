"""The charts of a comparison: scores of a role in both runs over the same bins, and A against B, sample by sample."""

from typing import Any

import altair as alt
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vestige.comparison import Comparison
from vestige.report.charts import GREY, colours, styled
from vestige.report.histogram import Histogram, histogram, outlines
from vestige.report.text import cut

RUNS = ("A", "B")
# Colours of the runs, defined in compare.css.
PAINT = {"A": "var(--run-a)", "B": "var(--run-b)"}
DASHES = {"A": [5, 3], "B": [1, 0]}
HEIGHT = 170
MOST_POINTS = 3000
LONGEST_CAPTION = 100


def histograms(comparison: Comparison) -> dict[str, dict[str, Any]]:
    """By role, a chart of the score in A and in B, over bins that all roles share, as shares of each run's own."""
    scores = {
        (role, name): _scores(run.scores, comparison.metric, role)
        for role in comparison.roles
        for name, run in zip(RUNS, (comparison.a, comparison.b), strict=True)
    }
    found = histogram({f"{role} {name}": values for (role, name), values in scores.items()})
    if found is None:
        return {}
    by_role = {
        role: {name: found.counts[f"{role} {name}"] for name in RUNS if f"{role} {name}" in found.counts}
        for role in comparison.roles
    }
    return {role: _histogram(Histogram(found.edges, counts)) for role, counts in by_role.items() if counts}


def _histogram(found: Histogram) -> dict[str, Any]:
    across = alt.Scale(domain=[float(found.edges[0]), float(found.edges[-1])], nice=False)
    names = list(found.counts)
    base = alt.Chart(alt.InlineData(values=outlines(found))).encode(
        x=alt.X("score:Q", scale=across, axis=alt.Axis(title=None)),
        y=alt.Y(
            "share:Q",
            stack=None,
            scale=alt.Scale(type="sqrt"),
            axis=alt.Axis(title="share, square-root scale", format="~%", tickCount=4),
        ),
        detail="run:N",
    )
    paint = alt.Scale(domain=names, range=[PAINT[name] for name in names])
    areas = base.mark_area(interpolate="step-after", fillOpacity=0.14).encode(
        fill=alt.Fill("series:N", legend=None, scale=paint)
    )
    edges = base.mark_line(interpolate="step-after", strokeWidth=1.6).encode(
        stroke=alt.Stroke("series:N", legend=None, scale=paint),
        strokeDash=alt.StrokeDash(
            "series:N", legend=None, scale=alt.Scale(domain=names, range=[DASHES[name] for name in names])
        ),
    )
    return styled(alt.layer(areas, edges), HEIGHT)


def scatter(comparison: Comparison) -> dict[str, Any] | None:
    """Memorization in B against A of the samples scored in both, at most `MOST_POINTS` of them; None for none."""
    both = comparison.both
    if not len(both):
        return None
    places = shown_points(comparison)
    captions = comparison.a.scores["caption"]
    rows = [
        {
            "a": _short(both.a[place]),
            "b": _short(both.b[place]),
            "role": str(both.role_a[place]),
            "sample": cut(both.keys[place], LONGEST_CAPTION),
            "caption": cut(captions[int(both.row_a[place])].as_py() or "", LONGEST_CAPTION),
        }
        for place in places
    ]
    names = list(dict.fromkeys(row["role"] for row in rows))
    ends = [_short(min(both.a.min(), both.b.min())), _short(max(both.a.max(), both.b.max()))]
    same = alt.Scale(domain=ends, nice=True, zero=False)
    points = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_point(size=26, filled=True, opacity=0.55)
        .encode(
            x=alt.X("a:Q", scale=same, axis=alt.Axis(title="memorization in A", grid=True)),
            y=alt.Y("b:Q", scale=same, axis=alt.Axis(title="memorization in B")),
            color=alt.Color(
                "role:N",
                scale=colours(names),
                legend=alt.Legend(title="role in A", orient="top") if names[1:] else None,
            ),
            shape=alt.Shape("role:N", legend=None),
            tooltip=["sample:N", "caption:N", "role:N", alt.Tooltip("a:Q"), alt.Tooltip("b:Q")],
        )
    )
    line = alt.Chart(alt.InlineData(values=[{"a": end, "b": end} for end in ends])).mark_line(
        stroke=GREY, strokeWidth=1, strokeDash=[4, 4]
    )
    return styled(alt.layer(line.encode(x="a:Q", y="b:Q"), points), 380)


def shown_points(comparison: Comparison) -> list[int]:
    """All samples scored in both, or as many as are drawn: those that moved most, and the others evenly."""
    both = comparison.both
    if len(both) <= MOST_POINTS:
        return list(range(len(both)))
    most = np.argsort(-np.abs(both.change), kind="stable")[: MOST_POINTS // 10]
    others = np.setdiff1d(np.arange(len(both)), most)
    evenly = others[np.linspace(0, len(others) - 1, MOST_POINTS - len(most)).astype(int)]
    return sorted([*map(int, most), *map(int, evenly)])


def _scores(table: pa.Table, metric: str, role: str) -> NDArray[np.float64]:
    values = table[metric].cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values[np.array(table["role"].to_pylist(), dtype=object) == role]


def _short(value: float) -> float:
    return float(f"{value:.5g}")
