"""Scores and pictures in a notebook: what IPython and its kin show of an object that has `_repr_html_`.

Texts of the data are escaped, pictures are small ones of our own making inside the page, and nothing is loaded or run:
the HTML has no script and no address.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import pyarrow as pa
from markupsafe import Markup

from vestige.data import Source
from vestige.errors import VestigeError
from vestige.printed import printable
from vestige.report.claim import ROLES, claim
from vestige.report.markup import shown, table
from vestige.report.media import Shown, show_media
from vestige.report.text import cut, finite, interval, number, small
from vestige.samples import Modality

COUNT = 12
SIDE = 160
LONGEST_CAPTION = 140
LONGEST_KEY = 60
SCORED = ("candidate", "mixed")
SUSPICION = "suspicion"
CARD = Markup(
    '<figure style="margin:0;width:10.5rem;overflow:hidden;overflow-wrap:anywhere">{media}'
    '<figcaption><bdi dir="auto">{caption}</bdi><br><b>{score}</b> {facts}<br>'
    "<small><bdi>{key}</bdi></small></figcaption></figure>"
)
FLOW = Markup('<div style="display:flex;flex-wrap:wrap;gap:1rem;align-items:flex-start">{}</div>')


@final
@dataclass(frozen=True)
class Display:
    """Something a notebook shows.

    Attributes:
        html: for a notebook.
        text: for a console.
    """

    html: Markup
    text: str

    def _repr_html_(self) -> str:
        return str(self.html)

    def __repr__(self) -> str:
        return self.text


def show(scores: pa.Table, source: Source | None = None, *, metric: str | None = None, count: int = COUNT) -> Display:
    """The most memorized samples of a table of scores, with pictures where the source of the samples is given.

    By `suspicion` it is the most suspicious, of all roles: it tells captions apart and needs no contrast of models.

    Args:
        scores: `vestige.ScoreResult.table`, `vestige.RunResult.scores`, or `scores.parquet` read back.
        source: the samples that were scored.
        metric: the score to rank by; the first of the table when not given.
        count: how many samples at most.

    Raises:
        VestigeError: it is no table of scores, or has no such score, or no sample is asked for.
    """
    names = scores.column_names
    if not {"key", "role"} <= set(names) or len(names) < 4:
        raise VestigeError(f"show takes a table of scores (key, group, role, scores, ...), found {', '.join(names)}")
    metric = metric or names[3]
    if metric not in names or not pa.types.is_floating(scores.schema.field(metric).type):
        raise VestigeError(f"the table has no score {metric!r}; its columns are {', '.join(names)}")
    if count < 1:
        raise VestigeError(f"count is {count}: give the number of samples to show, 1 or more")
    rows = _most(scores, metric, count)
    media = _media([row["key"] for row in rows], source)
    cards = [_card(row, metric, media.get(row["key"])) for row in rows]
    most = "suspicious" if metric == SUSPICION else "memorized"
    title = f"{len(rows)} most {most} of {len(scores):,} samples, by {metric}"
    if not rows:
        title = f"none of {len(scores):,} samples that some models saw and others did not has a score by {metric}"
    html = Markup("<p>{}</p>{}").format(shown(title), FLOW.format(Markup("").join(cards)))
    lines = [f"{number(row[metric])}  {printable(row.get('caption') or row['key'])}" for row in rows]
    return Display(html, "\n".join([title, *lines]))


def run_html(summary: Mapping[str, Any], scores: pa.Table, source: Source | None) -> str:
    """A finished run: its claim, its roles, and the most memorized samples."""
    rows = [
        (role, number(own["mean"]), interval(own["low"], own["high"]), f"{own['n']:,}")
        for role in ROLES
        if (own := summary["roles"].get(role)) is not None
    ]
    roles = table(f"{summary['metric']} by role", ("role", "mean", "95% interval", "n"), rows)
    sentence = Markup("<p>{}</p>").format(shown(str(claim(summary))))
    return str(sentence + roles + show(scores, source, metric=summary["metric"]).html)


def _most(scores: pa.Table, metric: str, count: int) -> list[dict[str, Any]]:
    wanted = ["key", "role", metric, "align_in", "align_out", "q_value", "caption", "planted"]
    columns = scores.select([name for name in wanted if name in scores.column_names])
    known = [
        row
        for row in columns.to_pylist()
        if finite(row[metric]) is not None and (row["role"] in SCORED or metric == SUSPICION)
    ]
    return sorted(known, key=lambda row: -row[metric])[:count]


def _media(keys: Sequence[str], source: Source | None) -> dict[str, Shown]:
    """What is shown of each sample: its picture, or the still of its film."""
    if source is None:
        return {}
    known = set(source.keys())
    samples = source.samples([key for key in keys if key in known])
    pictured = (Modality.IMAGE, Modality.VIDEO)
    found = {
        sample.key: show_media({kind: own for kind, own in sample.media.items() if kind in pictured}, SIDE)
        for sample in samples
    }
    return {key: own[0] for key, own in found.items() if own}


def _card(row: Mapping[str, Any], metric: str, media: Shown | None) -> Markup:
    caption = shown(cut((row.get("caption") or "").strip(), LONGEST_CAPTION) or "no caption")
    facts = [
        f"seen {number(row['align_in'])}, unseen {number(row['align_out'])}" if "align_in" in row else "",
        f"q {small(row['q_value'])}" if finite(row.get("q_value")) is not None else "",
        "planted" if row.get("planted") else "",
    ]
    return CARD.format(
        media=_picture(media, caption),
        caption=caption,
        score=number(row[metric]),
        facts=shown(" · ".join(fact for fact in facts if fact)),
        key=shown(cut(row["key"], LONGEST_KEY)),
    )


def _picture(media: Shown | None, caption: Markup) -> Markup:
    if media is None or media.picture is None:
        return shown("" if media is None else media.note)
    data = base64.b64encode(media.picture.data).decode()
    return Markup(
        '<img src="data:{};base64,{}" alt="{}" style="width:100%;height:7rem;object-fit:contain;background:#fff">'
    ).format(media.picture.type, data, caption)
