"""Pieces of HTML that parts of a report are made of; every text in them is escaped, and nothing hidden in it stays."""

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from vestige.report.text import visible

Cell = str | Markup


def table(caption: str, header: Sequence[Cell], rows: Iterable[Sequence[Cell]]) -> Markup:
    """A table of numbers under a title, scrolled by itself where it is too wide; the first cell of a row is its header.

    Args:
        caption: what it shows.
        header: names of the columns.
        rows: as many cells each; text is escaped, `Markup` is not.
    """
    head = _joined(Markup('<th scope="col">{}</th>').format(shown(cell)) for cell in header)
    body = _joined(
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(
            shown(first), _joined(Markup("<td>{}</td>").format(shown(cell)) for cell in rest)
        )
        for first, *rest in rows
    )
    return Markup(
        '<h3>{}</h3><div class="scroll" role="region" aria-label="{}" tabindex="0"><table class="numbers">'
        '<caption class="hidden">{}</caption><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>'
    ).format(shown(caption), shown(caption), shown(caption), head, body)


def texts(lines: Iterable[Cell]) -> Markup:
    """A cell of words among cells of numbers: on the left, broken where it is too long, each part on a line."""
    parts = _joined(Markup("<bdi>{}</bdi><br>").format(shown(line)) for line in lines)
    return Markup('<span style="display:block;min-width:12rem;text-align:left;white-space:normal">{}</span>').format(
        parts
    )


def shown(cell: Cell) -> Markup:
    """Text as HTML, with hidden characters spelt out; markup as it is."""
    return Markup.escape(visible(cell))


def _joined(parts: Iterable[Markup]) -> Markup:
    return Markup("").join(parts)
