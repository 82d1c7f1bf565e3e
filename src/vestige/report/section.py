"""A further part of the report: a chart or a table that someone else made of the run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup


@dataclass(frozen=True)
class Section:
    """A chart, a piece of HTML, or both, under a title; the page shows its sections after its own, in order.

    Attributes:
        title: in words, as plain text.
        note: how to read it, as plain text; may be empty.
        specification: a Vega-Lite specification with its data inside, drawn by the page; colours may be those of the
            page, as `var(--candidate)`.
        html: inert markup: a script, a style attribute's URL or a remote picture in it is refused by the page's
            Content-Security-Policy. A string that is not `Markup` is text, and is escaped.
    """

    title: str
    note: str
    specification: Mapping[str, Any] | None = None
    html: Markup | str | None = None

    def __post_init__(self) -> None:
        if self.specification is None and self.html is None:
            raise ValueError(f"section {self.title!r}: expected a specification or html, found neither")
