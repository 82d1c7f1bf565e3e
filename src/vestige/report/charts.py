"""What the charts of a report have in common: colours of the page, one look, as wide as there is room."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from vestige.report.text import finite

HEIGHT = 260
GREY = "var(--muted)"
# In this order to whatever a chart compares that is no role: models, rankings, runs. Dashes tell them apart too.
COLOURS = ("candidate", "independent", "external", "planted", "shared")
LEGEND: dict[str, Any] = {
    "orient": "top",
    "symbolType": "stroke",
    "symbolStrokeWidth": 2,
    "symbolSize": 220,
    "symbolOpacity": 1,
}
"""Of lines: a piece of each."""
DASHES = ([1, 0], [8, 3], [2, 2], [5, 3], [10, 2, 2, 2])


def colours(names: Sequence[str]) -> alt.Scale:
    """A colour for each name: its own where it is a role, else the next."""
    return alt.Scale(domain=list(names), range=[f"var(--{_colour(name, at)})" for at, name in enumerate(names)])


def dashes(names: Sequence[str]) -> alt.Scale:
    """A pattern for each name."""
    return alt.Scale(domain=list(names), range=[DASHES[at % len(DASHES)] for at in range(len(names))])


def _colour(name: str, at: int) -> str:
    return name if name in (*COLOURS, "mixed") else COLOURS[at % len(COLOURS)]


def lines(
    rows: Sequence[dict[str, Any]],
    *,
    across: alt.X,
    up: alt.Y,
    series: str,
    legend: str | None = None,
) -> dict[str, Any]:
    """A line for each series, in the band of its interval where it has one.

    Args:
        rows: the fields that `across` and `up` name, `series`, and `low` and `high`, which may be None.
        across, up: the axes.
        series: the field that tells the lines apart.
        legend: title of the legend; None where there is one line alone.
    """
    names = list(dict.fromkeys(row[series] for row in rows))
    key = None if len(names) < 2 else alt.Legend(title=legend, **LEGEND)
    base = alt.Chart(alt.InlineData(values=list(rows))).encode(x=across)
    # One scale and one legend for all layers.
    colour = alt.Color(f"{series}:N", scale=colours(names), legend=key)
    dash = alt.StrokeDash(f"{series}:N", scale=dashes(names), legend=key)
    layers = [
        base.mark_line(strokeWidth=1.8).encode(y=up, color=colour, strokeDash=dash),
        base.mark_circle(size=28, opacity=1).encode(y=up, color=colour),
    ]
    # A layer without a row would make Vega warn of it.
    known = [row for row in rows if finite(row["low"]) is not None and finite(row["high"]) is not None]
    if known:
        band = alt.Chart(alt.InlineData(values=known)).mark_area(opacity=0.16)
        layers.insert(0, band.encode(x=across, y=alt.Y("low:Q"), y2="high:Q", color=colour))
    return styled(alt.layer(*layers))


def styled(chart: alt.Chart | alt.LayerChart | alt.FacetChart, height: int = HEIGHT) -> dict[str, Any]:
    """The specification of a chart in the look of the report."""
    text = {"labelColor": GREY, "titleColor": GREY, "labelFontSize": 12, "titleFontSize": 12}
    return (
        chart.properties(width="container", height=height)
        .configure(
            background="transparent",
            # The section's note and table say in words what the picture shows.
            aria=False,
            view=alt.ViewConfig(stroke=None),
            axis=alt.AxisConfig(
                **text, titleFontWeight="normal", domainColor=GREY, tickColor=GREY, gridColor="var(--line)"
            ),
            axisX=alt.AxisConfig(grid=False),
            legend=alt.LegendConfig(**text, titleFontWeight="normal"),
        )
        .to_dict()
    )
