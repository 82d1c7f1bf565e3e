"""Pairs that Déjà Vu finds remembered: the picture, and what each model retrieved for its caption."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from vestige.files import read_table
from vestige.report.markup import shown
from vestige.report.section import Section
from vestige.report.text import brief, cut, number, percent

RETRIEVED = "scores.retrieved.parquet"
LONGEST_CAPTION = 160
LONGEST_NAME = 32
MOST_OBJECTS = 8
ROW = Markup('<div class="panel" style="margin-bottom:0.75rem"><div style="{}">{}</div></div>')
FLOW = "display:flex;flex-wrap:wrap;gap:0.75rem 1.5rem;align-items:flex-start"


def retrieved_pictures(directory: Path) -> list[Section]:
    """The samples with the largest gap of `vestige score RUN --metric dejavu`, with what the models retrieved."""
    if not (directory / RETRIEVED).exists():
        return []
    rows = read_table(directory / RETRIEVED).to_pylist()
    models = list(dict.fromkeys(row["model"] for row in rows if row["rank"]))
    own = {row["key"]: row for row in rows if not row["rank"]}
    if not own:
        return []
    panels = [_panel(sample, models, [row for row in rows if row["key"] == key]) for key, sample in own.items()]
    return [
        Section(
            title="Déjà Vu: what each model retrieved",
            note=(
                f"The {len(own)} candidates whose objects {brief(models[0], LONGEST_NAME)} recovers better than"
                f" {brief(models[-1], LONGEST_NAME)}, the largest gap first. Their captions were looked up among public"
                " pictures that no model saw; the nearest are shown. Objects that the sample's own picture has are"
                " marked. These are the extremes of a ranking: the population gaps say whether they are more than"
                " chance."
            ),
            html=Markup("").join(panels),
        )
    ]


def _panel(sample: dict[str, Any], models: Sequence[str], rows: Sequence[dict[str, Any]]) -> Markup:
    truth = set(sample["objects"])
    parts = [Markup("<div><h3>{}</h3>{}</div>").format("the sample", _picture(sample, truth))]
    for model in models:
        found = [row for row in rows if row["model"] == model and row["rank"]]
        title = (
            f"{brief(model, LONGEST_NAME)} retrieved · recall {percent(found[0]['recall'])},"
            f" precision {percent(found[0]['precision'])}"
        )
        pictures = Markup("").join(_picture(row, truth) for row in found)
        inner = Markup('<div style="display:flex;flex-wrap:wrap;gap:0.75rem">{}</div>').format(pictures)
        parts.append(Markup("<div><h3>{}</h3>{}</div>").format(shown(title), inner))
    return ROW.format(FLOW, Markup("").join(parts))


def _picture(row: dict[str, Any], truth: set[str]) -> Markup:
    """A picture with its caption and its objects; those of the sample itself are marked."""
    caption = shown(cut((row["caption"] or "").strip(), LONGEST_CAPTION) or "no caption")
    if row["picture"] is None:
        image = Markup('<span class="none">no picture</span>')
    else:
        data = base64.b64encode(row["picture"]).decode()
        image = Markup(
            '<img src="data:image/webp;base64,{}" alt="{}" style="height:6rem;max-width:9rem;object-fit:contain">'
        ).format(data, caption)
    distance = "" if row["distance"] is None else f"distance {number(row['distance'])}"
    names = row["objects"][:MOST_OBJECTS]
    more = "" if len(row["objects"]) <= MOST_OBJECTS else f" and {len(row['objects']) - MOST_OBJECTS} more"
    objects = Markup(", ").join(
        Markup("<mark>{}</mark>" if name in truth else "{}").format(shown(cut(name, LONGEST_NAME))) for name in names
    )
    return Markup(
        '<figure style="margin:0;width:9rem">{}<div><bdi>{}</bdi></div><small>{}{}</small><br>'
        '<small class="quiet">{}</small></figure>'
    ).format(image, caption, objects or "no objects", more, distance)
