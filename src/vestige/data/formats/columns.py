"""Columns of tables that others made: what they are usually called, and what their values mean as text."""

from collections.abc import Sequence

from vestige.data.formats.facts import Unusable
from vestige.errors import VestigeError

CAPTIONS = ("caption", "captions", "text", "txt", "sentence", "sentences", "transcription", "description", "title")
LABELS = ("label", "class", "category")


def choose(option: str, wanted: str, usual: Sequence[str], columns: Sequence[str]) -> str | None:
    """The column that an option names, or the first of the usual names that there is; None for "none" or without any.

    Raises:
        VestigeError: the column named is not there.
    """
    if not wanted:
        return next((name for name in usual if name in columns), None)
    if wanted == "none":
        return None
    if wanted not in columns:
        found = ", ".join(map(repr, columns))
        raise VestigeError(f"{option}: no column {wanted!r}; there are {found}")
    return wanted


def texts_of(value: object, column: str) -> tuple[str, ...]:
    """A value as texts, stripped: one of a text or number, several of a list, none of a missing value.

    Raises:
        Unusable: it is something else.
    """
    values = value if isinstance(value, list | tuple) else [] if value is None else [value]
    texts = []
    for item in values:
        if not isinstance(item, str | int | float):
            raise Unusable(f"column {column!r} holds a {type(item).__name__}, not a text")
        text = str(item).strip()
        if not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text):
            raise Unusable(f"column {column!r} holds half a surrogate pair, which is no text")
        texts += [text] if text else []
    return tuple(dict.fromkeys(texts))


def text_of(value: object, column: str) -> str | None:
    """A value as one text; None where it is missing or empty.

    Raises:
        Unusable: it is several, or something else.
    """
    texts = texts_of(value, column)
    if len(texts) > 1:
        raise Unusable(f"column {column!r} holds {len(texts)} values, one is expected")
    return texts[0] if texts else None


def names_of(value: object, column: str) -> tuple[str, ...]:
    """Names given as a list, or as one text joined by semicolons.

    Raises:
        Unusable: it is something else.
    """
    split = (name.strip() for text in texts_of(value, column) for name in text.split(";"))
    return tuple(dict.fromkeys(name for name in split if name))
