"""Large JSON files element by element: an object whose members are lists, as COCO and MSR-VTT publish theirs."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vestige.errors import VestigeError

CHUNK = 2**20
_BLANK = " \t\n\r"
_NUMBER = re.compile("[-+.eE0-9]+")


def elements(path: Path, name: str) -> Iterator[tuple[str, Any]]:
    """The elements of every list that is a member of the object in the file, each with the member's name.

    Other members are passed over. One element at a time is in memory.

    Args:
        path: the file.
        name: the source as messages call it.

    Raises:
        VestigeError: not UTF-8, no JSON, cut short, or not an object.
    """
    yield from ((part.member, part.value) for part in parts(path, name) if part.listed and not part.first)


class Part(NamedTuple):
    """A piece of an object in a file.

    Attributes:
        member: name of the member.
        value: a whole member, or an element of one that is a list; None where a list begins.
        listed: whether the member is a list.
        first: whether the member begins with it.
    """

    member: str
    value: Any
    listed: bool
    first: bool


def parts(path: Path, name: str) -> Iterator[Part]:
    """All members of the object in a file, those that are lists element by element.

    Args and refusals are those of `elements`.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from _Parser(file.read).members()
    except UnicodeDecodeError as error:
        raise VestigeError(f"{name}: {path.name} is not UTF-8: get it anew") from error
    except OSError as error:
        raise VestigeError(f"{name}: {path.name} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise VestigeError(f"{name}: {path.name} is broken or cut short ({reason}): get it anew") from error


def field(name: str, record: Any, key: str, *kinds: type) -> Any:
    """The value of a record under a key, of one of these types.

    Raises:
        VestigeError: the record is no object, lacks the key, or holds something else there.
    """
    if not isinstance(record, Mapping):
        raise VestigeError(f"{name}: an object with {key!r} was expected, found {_short(record)}")
    if key not in record:
        raise VestigeError(f"{name}: a record has no {key!r}; it has {', '.join(map(repr, record)) or 'nothing'}")
    value = record[key]
    # True and False are ints to Python, and numbers to nobody else.
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        wanted = " or ".join({str: "a text", int: "a whole number", float: "a number"}[kind] for kind in kinds)
        raise VestigeError(f"{name}: {key!r} of a record is to be {wanted}, found {_short(value)} in {_short(record)}")
    return value


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."


class _Parser:
    """Reads JSON from a function that gives so many more characters, or fewer at the end."""

    def __init__(self, read: Callable[[int], str]) -> None:
        self._read, self._decode = read, json.JSONDecoder().raw_decode
        self._text, self._at, self._before, self._ended = "", 0, 0, False

    def members(self) -> Iterator[Part]:
        for _ in self._items("{", "}"):
            key = self._value()
            if not isinstance(key, str):
                raise self._amiss("a name was expected")
            self._take(":")
            if self._next() == "[":
                yield Part(key, None, listed=True, first=True)
                yield from (Part(key, self._value(), listed=True, first=False) for _ in self._items("[", "]"))
            else:
                yield Part(key, self._value(), listed=False, first=True)
        if self._next():
            raise self._amiss("nothing was expected")

    def _items(self, opening: str, closing: str) -> Iterator[None]:
        """Stops before each item between brackets: whoever asks reads the item before asking again."""
        self._take(opening)
        if self._next() == closing:
            self._take(closing)
            return
        while True:
            yield
            if self._next() != ",":
                self._take(closing)
                return
            self._take(",")

    def _value(self) -> Any:
        self._next()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._ended:
                    raise ValueError(f"{error.msg} at character {self._before + error.pos:,}") from error
            else:
                # A number at the end of what was read may go on: "1" and "1.", as "1.5".
                run = _NUMBER.match(self._text, self._at)
                if max(end, run.end() if run else 0) < len(self._text) or self._ended:
                    self._at = end
                    return value
            self._more()

    def _take(self, sign: str) -> None:
        if self._next() != sign:
            raise self._amiss(f"{sign!r} was expected")
        self._at += 1

    def _next(self) -> str:
        """The next character that is not blank, or nothing at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _BLANK:
                    return self._text[self._at]
                self._at += 1
            if self._ended:
                return ""
            self._more()

    def _more(self) -> None:
        self._before += self._at
        kept = self._text[self._at :]
        # Twice as much each time: a broken file is not decoded again and again for every chunk of it.
        new = self._read(max(CHUNK, len(kept)))
        self._text, self._at, self._ended = kept + new, 0, not new

    def _amiss(self, what: str) -> ValueError:
        return ValueError(f"{what} at character {self._before + self._at:,}")
