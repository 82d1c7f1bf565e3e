"""The figures of a run for a paper: PNG, SVG or PDF, on white, with axes and legends that need no page around them."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import altair as alt
import numpy as np
import pyarrow as pa
import vl_convert
from numpy.typing import NDArray

from vestige.files import replacing
from vestige.finished import FinishedRun
from vestige.progress import progress
from vestige.report.charts import LEGEND, colours, dashes, styled
from vestige.report.claim import ROLES
from vestige.report.histogram import Histogram, histogram, outlines
from vestige.report.offline import resource
from vestige.report.sections import sections_of
from vestige.report.text import visible

Kind = Literal["png", "svg", "pdf"]

WIDTH, HEIGHT = 420, 260
INCH = 300
"""Pixels per inch of a PNG."""
MOST_POINTS = 4000
NAME = 60


def write_figures(run: FinishedRun, folder: Path, kind: Kind) -> list[Path]:
    """Write the figures that the run has the data of: scores by role, alignments, and those of the sections.

    Args:
        run: a finished run.
        folder: where to; made where it is needed.
        kind: the format of the files.

    Returns:
        the files.
    """
    made = figures(run)
    written = []
    with progress(f"drawing {kind}", len(made)) as advance:
        for name, specification in made.items():
            path = folder / f"{name}.{kind}"
            with replacing(path) as temporary:
                temporary.write_bytes(drawn(specification, kind))
            written.append(path)
            advance()
    return written


def figures(run: FinishedRun) -> dict[str, dict[str, Any]]:
    """By name of the file, the specifications of all figures that the run has the data of."""
    own = {"scores-by-role": scores_by_role(run), "alignments": alignments(run)}
    found = {name: specification for name, specification in own.items() if specification is not None}
    for section in sections_of(run.directory):
        if section.specification is not None:
            name = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-")[:NAME]
            # Two measures may differ in signs alone.
            while name in found:
                name += "-"
            found[name] = paper(section.specification)
    return found


def drawn(specification: Mapping[str, Any], kind: Kind) -> bytes:
    """The file of a specification; nothing is loaded for it."""
    options: dict[str, Any] = {"allowed_base_urls": [], "show_warnings": False}
    if kind == "svg":
        return vl_convert.vegalite_to_svg(dict(specification), **options).encode()
    if kind == "png":
        return vl_convert.vegalite_to_png(dict(specification), ppi=INCH, **options)
    del options["show_warnings"]
    return vl_convert.vegalite_to_pdf(dict(specification), **options)


def paper(specification: Mapping[str, Any]) -> dict[str, Any]:
    """A chart of the page as one that stands alone: its colours for white paper, a width of its own."""
    made = _painted(dict(specification))
    made["width"], made["height"] = WIDTH, HEIGHT
    made["config"] = {**made.get("config", {}), "background": "white"}
    return made


def scores_by_role(run: FinishedRun) -> dict[str, Any] | None:
    """The histogram of the report with axis and legend, every role divided by its own number; None without scores."""
    metric = run.summary["metric"]
    found = histogram({role: _numbers(run.scores, metric)[_role(run.scores) == role] for role in ROLES})
    if found is None:
        return None
    models = run.summary["models"]
    across = " minus ".join(map(str, models)) if len(models) == 2 else "models that saw it minus those that did not"
    return paper(_histogram(found, f"{metric}: {visible(across)}"))


def _histogram(found: Histogram, across: str) -> dict[str, Any]:
    names = list(found.counts)
    legend = alt.Legend(title=None, **LEGEND)
    base = alt.Chart(alt.InlineData(values=outlines(found))).encode(
        x=alt.X("score:Q", scale=alt.Scale(nice=False, zero=False), axis=alt.Axis(title=across)),
        y=alt.Y(
            "share:Q",
            stack=None,
            scale=alt.Scale(type="sqrt"),
            axis=alt.Axis(title="share of the role (square-root scale)", format="~%", tickCount=6),
        ),
        detail="run:N",
    )
    areas = base.mark_area(interpolate="step-after", fillOpacity=0.12).encode(
        color=alt.Color("series:N", scale=colours(names), legend=legend)
    )
    lines = base.mark_line(interpolate="step-after", strokeWidth=1.4).encode(
        color=alt.Color("series:N", scale=colours(names), legend=legend),
        strokeDash=alt.StrokeDash("series:N", scale=dashes(names), legend=legend),
    )
    return styled(alt.layer(areas, lines))


def alignments(run: FinishedRun) -> dict[str, Any] | None:
    """Alignment under f against that under g (of many models: seen against unseen); None without any."""
    models = list(map(str, run.summary["models"]))
    pair = [f"align_{model}" for model in models] if len(models) == 2 else []
    up, across = pair if pair and set(pair) <= set(run.scores.column_names) else ("align_in", "align_out")
    titles = {
        "align_in": "alignment, models that saw it",
        "align_out": "alignment, models that did not",
    } | {name: f"alignment under {visible(model)}" for name, model in zip(pair, models, strict=False)}
    y, x, role = _numbers(run.scores, up), _numbers(run.scores, across), _role(run.scores)
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if not len(known):
        return None
    if len(known) > MOST_POINTS:
        known = known[np.linspace(0, len(known) - 1, MOST_POINTS).astype(int)]
    rows = [{"x": _short(x[at]), "y": _short(y[at]), "role": str(role[at])} for at in known]
    names = [own for own in ROLES if any(row["role"] == own for row in rows)]
    ends = [min(min(row["x"], row["y"]) for row in rows), max(max(row["x"], row["y"]) for row in rows)]
    same = alt.Scale(domain=ends, nice=True, zero=False)
    line = alt.Chart(alt.InlineData(values=[{"x": end, "y": end} for end in ends])).mark_line(
        stroke="var(--muted)", strokeWidth=1, strokeDash=[4, 4]
    )
    legend = alt.Legend(title=None, orient="top")
    points = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_point(size=14, filled=True, opacity=0.5)
        .encode(
            x=alt.X("x:Q", scale=same, axis=alt.Axis(title=titles[across])),
            y=alt.Y("y:Q", scale=same, axis=alt.Axis(title=titles[up])),
            color=alt.Color("role:N", scale=colours(names), legend=legend),
            shape=alt.Shape("role:N", scale=alt.Scale(domain=names), legend=legend),
        )
    )
    made = paper(styled(alt.layer(line.encode(x="x:Q", y="y:Q"), points)))
    return made | {"width": HEIGHT + 60, "height": HEIGHT + 60}


@cache
def _palette() -> Mapping[str, str]:
    """The colours of the page on light ground, by name."""
    light = (resource("style.css") + resource("compare.css")).split("@media", 1)[0]
    return dict(re.findall(r"--([\w-]+):\s*(#[0-9a-fA-F]{3,8})", light))


def _painted(value: Any) -> Any:
    """The same with every `var(--name)` in its colour."""
    if isinstance(value, str) and (found := re.fullmatch(r"var\(--([\w-]+)\)", value)):
        return _palette()[found[1]]
    if isinstance(value, Mapping):
        return {name: _painted(own) for name, own in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_painted(own) for own in value]
    return value


def _numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    return table[name].cast(pa.float64()).to_numpy(zero_copy_only=False)


def _role(table: pa.Table) -> NDArray[np.object_]:
    return np.array(table["role"].to_pylist(), dtype=object)


def _short(value: float) -> float:
    return float(f"{value:.5g}")
