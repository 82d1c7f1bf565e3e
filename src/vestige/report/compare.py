"""Two runs side by side, as one HTML file that works offline: roles, samples that moved, utility, and settings."""

import base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from markupsafe import Markup

from vestige.comparison import Comparison
from vestige.data import Source
from vestige.files import write_text
from vestige.report.claim import ROLES
from vestige.report.comparisoncharts import MOST_POINTS, histograms, scatter
from vestige.report.media import Clip, Shown, show_media
from vestige.report.offline import environment, policy, resource, script, vega
from vestige.report.sections.mitigation import mitigation
from vestige.report.text import cut, interval, number
from vestige.report.track import Track
from vestige.samples import Sample

SHOWN = 12
SIDE = 256
LONGEST_CAPTION = 500
LONGEST_KEY = 200
LONGEST_VALUE = 200
# With fewer samples scored in both, what the page says is rough.
FEW = 30
SamplesOf = Callable[[Sequence[str]], Iterable[Sample]]


@dataclass(frozen=True)
class Moved:
    """A sample whose score moved, as a card.

    Attributes:
        key, caption: cut to a length that fits a page.
        other: its caption in B, where that differs, else None.
        role_a, role_b: its roles.
        a, b: how much each run memorized of it.
        media: what is shown of it.
    """

    key: str
    caption: str
    other: str | None
    role_a: str
    role_b: str
    a: float
    b: float
    media: Sequence[Shown]


def build_comparison(comparison: Comparison, out: Path, *, samples: Source | None = None, shown: int = SHOWN) -> None:
    """Write the page.

    Args:
        comparison: what is to be shown.
        out: the file, written whole.
        samples: those of A, for their media; without them the cards have none.
        shown: how many samples that rose, and that fell, at most.
    """
    rose, fell = (_cards(comparison, places, samples) for places in comparison.both.moved(shown))
    charts = histograms(comparison)
    points = scatter(comparison)
    specifications = [charts[role] for role in ROLES if role in charts] + ([points] if points else [])
    own = script(resource("compare.js"))
    page = environment().get_template("compare.html")
    write_text(
        out,
        page.render(
            c=comparison,
            names=[run.directory.resolve().name for run in (comparison.a, comparison.b)],
            claim=claim(comparison),
            warnings=list(_warnings(comparison)),
            roles=_roles(comparison),
            charts=[role for role in ROLES if role in charts],
            scatter=points is not None,
            most_points=MOST_POINTS,
            moved={"rose": rose, "fell": fell},
            track=Track.of([0.0, *(value for card in (*rose, *fell) for value in (card.a, card.b))]),
            mitigation=mitigation(comparison),
            settings=[(name, _value(one), _value(other)) for name, one, other in comparison.settings],
            specifications=specifications,
            uri=_uri,
            version=metadata.version("vestige"),
            style=Markup(resource("style.css") + resource("compare.css")),
            vega=vega() if specifications else None,
            script=own,
            policy=policy(*([vega()] if specifications else []), own),
        ),
    )


def claim(comparison: Comparison) -> str:
    """The sentence the page opens with; it names a direction only where the interval of the change leaves out zero."""
    found = comparison.change
    if found is None:
        return "No sample has a memorization score in both runs: only the means of their roles can be compared."
    low, high = found.low, found.high
    said = f"the mean change is {number(found.mean)} (95% interval {interval(low, high)}, {found.n:,} samples)"
    if low > 0:
        return f"B memorizes the samples that are scored in both runs more than A does: {said}."
    if high < 0:
        return f"B memorizes the samples that are scored in both runs less than A does: {said}."
    return f"B does not clearly memorize the samples that are scored in both runs more or less than A: {said}."


def _warnings(comparison: Comparison):
    if 0 < len(comparison.both) < FEW:
        yield f"only {len(comparison.both)} samples are scored in both runs: intervals are rough"
    sources = [run.config.data.source for run in (comparison.a, comparison.b)]
    if sources[0] != sources[1]:
        yield "the runs are over different data: samples are taken to be the same where their keys are"
    if comparison.captions:
        yield (
            f"{comparison.captions:,} of {comparison.common:,} samples in both have another caption in B than in A"
            " (planted faults, or other data under the same keys)"
        )
    versions = [run.summary.get("version") for run in (comparison.a, comparison.b)]
    if versions[0] != versions[1]:
        yield f"A was made by Vestige {versions[0]}, B by {versions[1]}"


def _roles(comparison: Comparison) -> list[dict[str, Any]]:
    """Rows of the table of roles: `role, a, b, change`; those without a score in either run are left out."""
    rows = []
    for role in (name for name in ROLES if name in comparison.roles):
        found = [None if own is None or not own["n"] else own for own in comparison.roles[role]]
        if any(found):
            rows.append({"role": role, "a": found[0], "b": found[1], "change": comparison.changes[role]})
    return rows


def _cards(comparison: Comparison, places: Sequence[int], samples: Source | None) -> list[Moved]:
    both = comparison.both
    captions: list[list[str]] = [
        [(run.scores["caption"][int(row[place])].as_py() or "").strip() for place in places]
        for run, row in ((comparison.a, both.row_a), (comparison.b, both.row_b))
    ]
    media: list[Sequence[Shown]] = [()] * len(places)
    if samples is not None:
        media = [show_media(sample.media, SIDE) for sample in samples.samples([both.keys[place] for place in places])]
    return [
        Moved(
            key=cut(both.keys[place], LONGEST_KEY),
            caption=cut(first, LONGEST_CAPTION),
            other=None if first == second else cut(second, LONGEST_CAPTION),
            role_a=str(both.role_a[place]),
            role_b=str(both.role_b[place]),
            a=float(both.a[place]),
            b=float(both.b[place]),
            media=shown,
        )
        for place, first, second, shown in zip(places, captions[0], captions[1], media, strict=True)
    ]


def _uri(clip: Clip) -> Markup:
    return Markup(f"data:{clip.type};base64,{base64.b64encode(clip.data).decode()}")


def _value(value: Any) -> str:
    return cut("–" if value is None else str(value), LONGEST_VALUE)
