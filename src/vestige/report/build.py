"""The report: a run as one HTML file that a researcher looks at, sends on and decides from.

The page holds all it needs (Vega, pictures, sounds, style) and loads nothing from a network: its
Content-Security-Policy allows the two scripts it names by hash, media from data URIs or from the folder beside it, and
no connection. Captions, keys and configuration are untrusted text: what stands in the page goes through Jinja's
escaping, and what scripts read is JSON that cannot end its element, which they show as text, never as markup.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from markupsafe import Markup
from numpy.typing import NDArray

from vestige.embeddings import Embeddings
from vestige.files import digest, write_text
from vestige.report import text
from vestige.report.assets import Assets
from vestige.report.claim import ROLES, claim, meaning, names, scored_role
from vestige.report.data import LONGEST_CAPTION, page_data, with_neighbours
from vestige.report.evaluation import figures
from vestige.report.histogram import chart, configuration, histogram
from vestige.report.measures import Measure, measures, title_of
from vestige.report.offline import environment, policy, resource, script, vega
from vestige.report.options import ReportConfig
from vestige.report.pagemedia import SamplesOf, page_media
from vestige.report.rows import chosen_rows
from vestige.report.section import Section
from vestige.report.track import Track
from vestige.summary import means_by_role

COLUMNS = ("key", "group", "role", "align_in", "align_out", "p_value", "q_value", "caption", "planted")
SUMMARY = (
    *("metric", "model", "data", "samples", "groups", "skipped", "models", "seed", "roles", "planted", "memorized"),
    *("retrieval", "warnings", "version", "command"),
)
ENDS = ("mean", "low", "high")
SCRIPTS = ("text", "elements", "data", "state", "marks", "card", "gallery", "detail", "charts", "main")


def build_report(
    scores: pa.Table,
    summary: Mapping[str, Any],
    *,
    config: str,
    out: Path,
    samples: SamplesOf | None = None,
    stores: Mapping[str, Embeddings] | None = None,
    evaluation: pa.Table | None = None,
    sections: Sequence[Section] = (),
    versions: Mapping[str, Any] | None = None,
    options: ReportConfig | None = None,
) -> None:
    """Write the report of a run as one HTML file that works offline.

    Args:
        scores: a row a sample, with the columns `key, group, role, <metric>, align_in, align_out, p_value, q_value,
            caption, planted`; every other column of floating-point numbers is a score to choose too, with the
            uncertainty `<name>_se` or `<name>_heldout_se`. Null, NaN and infinite all mean "not known".
        summary: `metric, model, data, samples, groups, skipped, models, seed, roles, planted, memorized, retrieval,
            warnings` (as `vestige.summary.summarise` gives them), `version` and `command`, which replays the run.
        config: the configuration, shown as it is.
        out: the file, written whole: it is the old one, or the new one, at any time. Media that are too many for it
            lie in `<name>_files` beside it.
        samples: keys to samples, in order, with their media and captions; without it there are no pictures.
        stores: the embeddings of the samples by model; without them there are no nearest neighbours.
        evaluation: what the models are good for (`vestige.report.evaluation`).
        sections: further parts of the page.
        versions: of what the run was made with, by name.
        options: how much the page holds.

    Raises:
        ValueError: a column or an entry of the summary is missing.
    """
    _check(scores, summary)
    options = options or ReportConfig()
    metric, models = summary["metric"], summary["models"]
    found = measures(scores, metric)
    roles = _roles(summary)
    role = scores["role"].cast(pa.string()).to_numpy(zero_copy_only=False)
    planted = scores["planted"].fill_null(False).to_numpy(zero_copy_only=False).astype(bool)
    ranked = scored_role(summary)
    listed = chosen_rows(found[0].values, role, planted, (ranked, "independent"), options.samples, summary["seed"])
    page = with_neighbours(scores, listed, stores or {}, options.neighbours, options.samples)
    keys = scores["key"].take(pa.array(page.rows, pa.int64())).to_pylist()
    assets = Assets(out.with_name(f"{out.stem}_files"), options.max_megabytes * 1e6)
    media, captions = page_media(keys[: page.pictured], samples, assets)
    histograms = {measure.name: _chart(measure, role, planted) for measure in found}
    data = page_data(scores, page, found, captions, models) | {
        "run": digest(str(text.visible(config)), *scores["key"].to_pylist()),
        "ranked": ranked,
        "kinds": media.kinds,
        "means": _means(scores, found, summary),
        "series": {name: own for name, (own, _) in histograms.items()},
    }
    charts = {
        "histograms": {name: specification for name, (_, specification) in histograms.items()},
        "sections": [section.specification for section in sections],
        "axes": [_axis(name) for name in data["axes"] or ()],
        "config": configuration(),
    }
    own = script(_scripts())
    rendered = (
        environment()
        .get_template("page.html")
        .render(
            summary=summary,
            title=title_of(metric),
            claim=claim(summary),
            names=names(summary),
            pair=len(models) == 2,
            roles=roles,
            role_track=Track.of([0.0, *(row[name] for row in roles for name in ENDS)]),
            unscored=int((np.isin(role, [ranked]) & np.isnan(found[0].values)).sum()),
            evaluation=None if evaluation is None else figures(evaluation),
            listed=page.listed,
            total=len(scores),
            cut=page.listed < len(scores),
            sections=sections,
            data=data,
            pieces=media.pieces,
            charts=charts,
            config=config,
            versions=_flat(versions or {}),
            outside=f"{out.stem}_files" if assets.outside else "",
            longest_caption=LONGEST_CAPTION,
            style=Markup(resource("style.css")),
            vega=vega(),
            script=own,
            policy=policy(own, vega(), outside=assets.outside),
        )
    )
    write_text(out, rendered)
    assets.clear()


def _check(scores: pa.Table, summary: Mapping[str, Any]) -> None:
    entries = [name for name in SUMMARY if name not in summary]
    if entries:
        raise ValueError(f"summary: expected {', '.join(SUMMARY)}, found no {', '.join(entries)}")
    columns = [name for name in (*COLUMNS, summary["metric"]) if name not in scores.column_names]
    if columns:
        raise ValueError(f"scores: found no column {', '.join(columns)} among {', '.join(scores.column_names)}")


def _roles(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of the table of roles: `role, meaning, n, mean, low, high`."""
    return [
        {
            "role": role,
            "meaning": meaning(role, names(summary)),
            "n": summary["roles"][role]["n"],
            **{name: text.finite(summary["roles"][role][name]) for name in ENDS},
        }
        for role in ROLES
        if role in summary["roles"]
    ]


def _means(
    scores: pa.Table, found: Sequence[Measure], summary: Mapping[str, Any]
) -> dict[str, dict[str, list[float | None]]]:
    """By measure and role `[mean, low, high]`; of the metric of the report those of the summary."""
    others = {measure.name: measure.values for measure in found if measure.name != summary["metric"]}
    columns = {name: pa.array(values, from_pandas=True) for name, values in others.items()}
    table = pa.table({"group": scores["group"], "role": scores["role"], **columns})
    means = {summary["metric"]: summary["roles"]} | means_by_role(table, list(others))
    if summary["planted"] is not None:
        means[summary["metric"]] = {**summary["roles"], "planted": summary["planted"]}
    return {
        name: {role: [text.short(own[end]) for end in ENDS] for role, own in roles.items()}
        for name, roles in means.items()
    }


def _chart(
    measure: Measure, role: NDArray[np.object_], planted: NDArray[np.bool_]
) -> tuple[list[str], dict[str, Any] | None]:
    """The names of the series of a histogram, and its specification; None without any score."""
    series = {name: measure.values[role == name] for name in ROLES} | {"planted": measure.values[planted]}
    found = histogram(series)
    return ([], None) if found is None else (list(found.counts), chart(found))


def _axis(column: str) -> str:
    own = {"align_in": "models that saw it", "align_out": "models that did not see it"}
    return f"alignment under {own.get(column, text.brief(column.removeprefix('align_'), 32))}"


def _flat(values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Names and values, those of what is nested without its name."""
    flat: list[tuple[str, Any]] = []
    for name, value in values.items():
        flat += _flat(value) if isinstance(value, Mapping) else [(name, value)]
    return flat


def _scripts() -> str:
    """The scripts of the page as one, in a scope of its own."""
    parts = "\n".join(resource(f"script/{name}.js") for name in SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'
