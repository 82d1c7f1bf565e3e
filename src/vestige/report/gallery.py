"""The samples at both ends of the ranking, as cards: picture, caption, and why they are there."""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from vestige.report.text import cut, finite

PictureOf = Callable[[str], Image.Image | None]

LONGEST_CAPTION = 500
LONGEST_KEY = 200
# Twice the size on the page, for screens with two pixels to one.
SIDE = 256
QUALITY = 82


@dataclass(frozen=True)
class Card:
    """One sample of a gallery.

    Attributes:
        rank: from 1, within its gallery.
        key, caption: cut to a length that fits a page.
        score: the metric.
        heldout_se: its standard error from the choice of held-out samples, or None.
        align_in: mean alignment of the models that saw the sample, or None.
        align_out: mean alignment of those that did not, or None.
        q_value: None where there is none.
        planted: was it given a wrong caption on purpose?
        picture: data URI of a thumbnail, or None.
        width, height: of the thumbnail, in pixels; 0 without one.
    """

    rank: int
    key: str
    caption: str
    score: float
    heldout_se: float | None
    align_in: float | None
    align_out: float | None
    q_value: float | None
    planted: bool
    picture: str | None
    width: int
    height: int


def ends(score: NDArray[np.float64], rows: NDArray[np.bool_], shown: int) -> tuple[list[int], list[int]]:
    """Row numbers of the highest scores, from the top, and of the lowest, from the bottom.

    No row is in both: with fewer than twice `shown`, the upper half (the middle one with it) is in the first. Equal
    scores keep the order of the table.

    Args:
        score: [N]; those that are not finite are left out.
        rows: bool [N], which to rank.
        shown: how many of each at most.
    """
    candidates = np.flatnonzero(rows & np.isfinite(score))
    order = candidates[np.argsort(-score[candidates], kind="stable")]
    top = min(shown, (len(order) + 1) // 2)
    return order[:top].tolist(), order[top:][::-1][:shown].tolist()


def cards(scores: pa.Table, rows: Sequence[int], metric: str, picture: PictureOf) -> list[Card]:
    """A card for each of these rows of a table of scores, in this order."""
    wanted = [metric, f"{metric}_heldout_se", "key", "caption", "align_in", "align_out", "q_value", "planted"]
    columns = scores.select([name for name in wanted if name in scores.column_names])
    taken = columns.take(pa.array(rows, pa.int64())).to_pylist()
    return [_card(rank, row, metric, picture) for rank, row in enumerate(taken, start=1)]


def _card(rank: int, row: dict, metric: str, picture: PictureOf) -> Card:
    found = picture(row["key"])
    uri, width, height = (None, 0, 0) if found is None else thumbnail(found)
    return Card(
        rank=rank,
        key=cut(row["key"], LONGEST_KEY),
        caption=cut((row["caption"] or "").strip(), LONGEST_CAPTION),
        score=row[metric],
        heldout_se=finite(row.get(f"{metric}_heldout_se")),
        align_in=finite(row["align_in"]),
        align_out=finite(row["align_out"]),
        q_value=finite(row["q_value"]),
        planted=bool(row["planted"]),
        picture=uri,
        width=width,
        height=height,
    )


def thumbnail(picture: Image.Image) -> tuple[str, int, int]:
    """A small WebP of these pixels and nothing else (no metadata, no byte of the file) as data URI, with its size."""
    small = picture.convert("RGB")
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    bare = Image.new("RGB", small.size)
    bare.paste(small)
    encoded = io.BytesIO()
    bare.save(encoded, "WEBP", quality=QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(encoded.getvalue()).decode()}", *bare.size


def ranked_rows(scores: pa.Table, role: str) -> NDArray[np.bool_]:
    """Which rows have this role, bool [N]."""
    return scores["role"].cast(pa.string()).to_numpy() == role
