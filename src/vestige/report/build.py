"""The report: a run as one HTML file that a researcher looks at, sends on and decides from.

The page holds all it needs (Vega, pictures, style) and may load nothing: its Content-Security-Policy allows the two
scripts it names by hash, pictures from data URIs, and no connection. Captions, keys and configuration are untrusted
text: everything goes through Jinja's escaping, and what scripts read is JSON that cannot end its element.
"""

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import vl_convert
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from vestige.files import write_text
from vestige.report import text
from vestige.report.claim import ROLES, claim, meaning, names, scored_role
from vestige.report.gallery import LONGEST_CAPTION, PictureOf, cards, ends, ranked_rows
from vestige.report.histogram import chart, histogram
from vestige.report.track import Track

COLUMNS = ("key", "role", "align_in", "align_out", "q_value", "caption", "planted")
SUMMARY = (
    *("metric", "model", "data", "samples", "groups", "skipped", "models", "seed", "roles", "planted", "memorized"),
    *("retrieval", "warnings", "version", "command"),
)
ENDS = ("mean", "low", "high")
TITLES = {
    "clipmem": "CLIPMem",
    "multimem": "MultiMem",
    "multimem_mean_pair": "MultiMem (mean pair)",
    "sslmem": "SSLMem",
}


def build_report(
    scores: pa.Table,
    summary: Mapping[str, Any],
    *,
    config: str,
    picture: PictureOf,
    out: Path,
    shown: int = 24,
) -> None:
    """Write the report of a run as one HTML file that works offline.

    Args:
        scores: a row a sample, with the columns `key, role, <metric>, align_in, align_out, q_value, caption, planted`
            and perhaps `<metric>_heldout_se`; numbers may be null, NaN or infinite, which all mean "not known". Other
            columns are ignored.
        summary: `metric, model, data, samples, groups, skipped, models, seed, roles, planted, memorized, retrieval,
            warnings` (as `vestige.summary.summarise` gives them), `version` and `command`, which replays the run.
        config: the configuration, shown as it is.
        picture: key to an RGB picture, or None where there is none; asked for the samples shown only.
        out: the file, written whole: it is the old one, or the new one, at any time.
        shown: how many samples in each of the two galleries, at most.

    Raises:
        ValueError: a column or an entry of the summary is missing, or `shown` is below 1.
    """
    _check(scores, summary, shown)
    metric = summary["metric"]
    ranked = scored_role(summary)
    score = _floats(scores, metric)
    rows = ranked_rows(scores, ranked)
    roles = _roles(summary)
    most, least = (cards(scores, end, metric, picture) for end in ends(score, rows, shown))
    vega, script = _script(_vega()), _script(_resource("script.js"))
    page = _environment().get_template("page.html")
    write_text(
        out,
        page.render(
            summary=summary,
            title=TITLES.get(metric, metric),
            claim=claim(summary),
            names=names(summary),
            roles=roles,
            ranked=ranked,
            ranked_count=int((rows & np.isfinite(score)).sum()),
            unscored=int((rows & ~np.isfinite(score)).sum()),
            chart=_chart(scores, score, summary),
            galleries={"most": most, "least": least},
            role_track=Track.of([0.0, *(row[name] for row in roles for name in ENDS)]),
            card_track=Track.of(value for card in (*most, *least) for value in (card.align_in, card.align_out)),
            config=config,
            longest_caption=LONGEST_CAPTION,
            style=Markup(_resource("style.css")),
            vega=vega,
            script=script,
            policy=_policy(vega, script),
        ),
    )


def _check(scores: pa.Table, summary: Mapping[str, Any], shown: int) -> None:
    entries = [name for name in SUMMARY if name not in summary]
    if entries:
        raise ValueError(f"summary: expected {', '.join(SUMMARY)}, found no {', '.join(entries)}")
    columns = [name for name in (*COLUMNS, summary["metric"]) if name not in scores.column_names]
    if columns:
        raise ValueError(f"scores: found no column {', '.join(columns)} among {', '.join(scores.column_names)}")
    if shown < 1:
        raise ValueError(f"shown: expected at least 1, found {shown}")


def _floats(scores: pa.Table, column: str) -> NDArray[np.float64]:
    return scores[column].cast(pa.float64()).to_numpy()


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


def _chart(scores: pa.Table, score: NDArray[np.float64], summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """The specification and the names of the series of the histogram, or None without any score."""
    series = {role: score[ranked_rows(scores, role)] for role in ROLES}
    series["planted"] = score[scores["planted"].fill_null(False).to_numpy().astype(bool)]
    found = histogram(series)
    if found is None:
        return None
    return {"series": list(found.counts), "specification": chart(found)}


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_resource),
        autoescape=True,
        finalize=text.visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    for show in (text.number, text.percent, text.interval, text.small, text.brief):
        environment.filters[show.__name__] = show
    return environment


def _resource(name: str) -> str:
    return resources.files("vestige.report").joinpath(name).read_text(encoding="utf-8")


@cache
def _vega() -> str:
    """Vega, Vega-Lite and Vega-Embed; building it takes a second or two."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")


def _script(source: str) -> Markup:
    """A script as the content of an element.

    Raises:
        ValueError: it holds what would end the element, or what an HTML parser would change.
    """
    found = [part for part in ("</script", "<!--", "\r", "\0") if part in source.lower()]
    if found:
        raise ValueError(f"a script with {found} cannot stand in a <script> element")
    return Markup(source)


def _policy(*scripts: str) -> Markup:
    """Content-Security-Policy: these scripts, data URIs of pictures, styles in the page, and nothing else."""
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    sources = " ".join(f"'sha256-{digest}'" for digest in hashes)
    rules = {
        "default-src": "'none'",
        "script-src": sources,
        "style-src": "'unsafe-inline'",
        "img-src": "data:",
        "connect-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return Markup("; ".join(f"{rule} {value}" for rule, value in rules.items()))
