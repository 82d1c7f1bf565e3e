"""Made-up runs, and a page as an HTML parser sees it."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from vestige.report.build import build_report
from vestige.report.options import ReportConfig
from vestige.report.section import Section
from vestige.samples import Media, Modality, Sample

VOID = {"meta", "link", "img", "input", "br", "circle", "line"}


@dataclass(eq=False)
class Element:
    """An element with its attributes, its text (that of its descendants too, but for scripts), and its relatives."""

    tag: str
    attributes: dict[str, str | None]
    above: tuple["Element", ...] = field(repr=False)
    text: str = field(default="", repr=False)
    below: list["Element"] = field(default_factory=list, repr=False)

    @property
    def classes(self) -> list[str]:
        return (self.attributes.get("class") or "").split()


class Page(HTMLParser):
    """The elements of a page, in order; that every one is closed in its turn is checked."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(source)
        self.close()
        assert not self._open, f"not closed: {[element.tag for element in self._open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice: {tag} {attrs}"
        element = Element(tag, dict(attrs), tuple(self._open))
        self.elements.append(element)
        for parent in self._open:
            parent.below.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID, tag
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"closed but not open: {tag}"
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        unseen = self._open and self._open[-1].tag in ("script", "style")
        for element in self._open[-1:] if unseen else self._open:
            element.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def find(self, tag: str | None = None, of: str | None = None, inside: str | None = None) -> list[Element]:
        """Elements with this tag, of this class, inside the element with this id."""
        return [
            element
            for element in self.elements
            if (tag is None or element.tag == tag)
            and (of is None or of in element.classes)
            and (inside is None or any(parent.attributes.get("id") == inside for parent in element.above))
        ]

    def json(self, name: str) -> Any:
        """What the scripts read from the element with this id."""
        (found,) = [e for e in self.elements if e.tag == "script" and e.attributes.get("id") == name]
        return json.loads(found.text)

    @property
    def data(self) -> dict[str, Any]:
        return self.json("data")

    def listed(self, role: str | None = None) -> list[str]:
        """Keys of the samples in the gallery, in the order of the page; of one role alone."""
        data = self.data
        rows = [row for row in range(data["listed"]) if role in (None, data["roles"][data["role"][row]])]
        return [data["key"][row] for row in rows]

    def media(self) -> list[list[dict[str, Any]]]:
        """The media of every sample."""
        pieces = [e for e in self.elements if (e.attributes.get("id") or "").startswith("media-")]
        return [row for piece in pieces for row in json.loads(piece.text)]

    def texts(self, tag: str | None = None, of: str | None = None, inside: str | None = None) -> list[str]:
        """Their texts, with white space as a browser shows it."""
        return [shown(element) for element in self.find(tag, of, inside)]


def values(section: Section) -> list[dict]:
    """The rows of the data of a chart's lines."""
    assert section.specification is not None
    chart = json.loads(json.dumps(section.specification, allow_nan=False))
    data = chart["layer"][-1].get("data") or chart["data"]
    return chart["datasets"][data["name"]]


def shown(element: Element) -> str:
    return " ".join(element.text.split())


def table(
    roles: Sequence[str] = ("candidate", "candidate", "independent", "shared", "external"),
    score: Sequence[float | None] = (0.9, 0.1, -0.5, 0.0, 0.02),
    *,
    captions: Sequence[str | None] | None = None,
    keys: Sequence[str] | None = None,
    planted: Sequence[bool | None] | None = None,
    heldout_se: Sequence[float | None] | None = None,
    metric: str = "clipmem",
) -> pa.Table:
    """A table of scores."""
    n = len(roles)
    numbers = pa.float64()
    columns = {
        "key": pa.array(keys if keys is not None else [f"key-{row}" for row in range(n)], pa.string()),
        "group": pa.array([f"group-{row}" for row in range(n)], pa.string()),
        "role": pa.array(roles, pa.string()),
        metric: pa.array(score, numbers),
        "memorization": pa.array(score, numbers),
        "align_in": pa.array([0.75] * n, numbers),
        "align_out": pa.array([None if s is None else 0.75 - s for s in score], numbers),
        "p_value": pa.array([0.01] * n, numbers),
        "q_value": pa.array([0.0004 if row % 2 else 0.0273 for row in range(n)], numbers),
        "caption": pa.array(captions if captions is not None else [f"caption {row}" for row in range(n)], pa.string()),
        "planted": pa.array(planted if planted is not None else [False] * n, pa.bool_()),
        "something_else": pa.array([None] * n, pa.string()),
    }
    if heldout_se is not None:
        columns[f"{metric}_heldout_se"] = pa.array(heldout_se, numbers)
    return pa.table(columns)


def mean(n: int, value: float | None, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    """A role of a summary."""
    return {"n": n, "mean": value, "se": None, "low": low, "high": high}


ROLES = {
    "shared": mean(3161, 0.0101, 0.0089, 0.0113),
    "candidate": mean(395, 0.3661, 0.3312, 0.4011),
    "independent": mean(395, -0.3412, -0.3711, -0.3113),
    "external": mean(396, -0.0213, -0.0351, -0.0075),
}
PLANTED = {
    **{"n": 40, "mean": 0.8231, "low": 0.7512, "high": 0.8953},
    **{"clean_mean": 0.2514, "clean_low": 0.2211, "clean_high": 0.2812},
    **{"auc": 0.8714, "auc_low": 0.8135, "auc_high": 0.9236},
}
RETRIEVAL = {
    "n": 396,
    "pair": ["image", "text"],
    "chance": {"T@1": 0.0026, "I@10": 0.0253},
    "models": {"f": {"T@1": 0.1423, "I@10": 0.4411}, "g": {"T@1": 0.1394, "I@10": 0.4304}},
}


def summary(**changed: Any) -> dict[str, Any]:
    """The summary of a run."""
    return {
        "metric": "clipmem",
        "model": "nano",
        "data": "twemoji",
        "samples": 4347,
        "groups": 4211,
        "skipped": 7,
        "models": ["f", "g"],
        "seed": 13,
        "roles": ROLES,
        "planted": PLANTED,
        "memorized": {"fdr": 0.05, "count": 212, "of": 395},
        "retrieval": RETRIEVAL,
        "warnings": ["the null is not centred"],
        "version": "0.1.0",
        "command": "vestige run runs/one/config.yaml",
    } | changed


MediaOf = Callable[[str], Mapping[Modality, Media]]


def red(key: str) -> Mapping[Modality, Media]:
    """A picture for any key."""
    del key
    return {Modality.IMAGE: Image.new("RGB", (40, 20), (200, 30, 40))}


def write(
    folder: Path,
    scores: pa.Table | None = None,
    told: Mapping[str, Any] | None = None,
    *,
    config: str = "seed: 13\n",
    media: MediaOf | None = red,
    captions: Sequence[str] = (),
    limits: ReportConfig | None = None,
    **others: Any,
) -> Page:
    """A report, read back."""
    out = folder / "report.html"

    def samples(keys: Sequence[str]) -> Iterator[Sample]:
        assert media is not None
        return (Sample(key, key, media(key), tuple(captions)) for key in keys)

    build_report(
        table() if scores is None else scores,
        summary() if told is None else told,
        config=config,
        out=out,
        samples=None if media is None else samples,
        options=limits,
        **others,
    )
    return Page(out.read_text(encoding="utf-8"))
