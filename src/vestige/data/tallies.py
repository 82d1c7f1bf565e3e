"""Counts of collections of any size, in memory that hardly grows with them."""

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

_NAMES = re.compile(r"'[^']*'|\([^()]*\)|(?<=: )/.*$")
_NUMBERS = re.compile(r"(?<![\w-])\d+(?:[.,]\d+)*")

MOST_NAMES = 100_000
"""Different names that a tally tells apart."""
SHOWN = 20
"""Of the commonest names, how many are given."""


@dataclass(frozen=True)
class Spread:
    """Least, median and largest of some numbers."""

    least: float
    median: float
    most: float


def spread(counts: Mapping[float, int]) -> Spread | None:
    """The spread of numbers, given how often each occurs; None of none."""
    values = sorted(counts)
    if not values:
        return None
    running = np.cumsum([counts[value] for value in values])
    low, high = np.searchsorted(running, [(running[-1] - 1) // 2, running[-1] // 2], side="right")
    return Spread(values[0], (values[low] + values[high]) / 2, values[-1])


@dataclass(frozen=True)
class Names:
    """How often names occur.

    Attributes:
        samples: how many samples have one or more.
        different: how many different names there are; `many` where counting them stopped.
        top: the commonest, with the number of samples that have each.
    """

    samples: int
    different: int
    many: bool
    top: tuple[tuple[str, int], ...]


class Tally:
    """Counts names, up to `MOST_NAMES` different ones; later ones are no longer told apart."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._samples, self._many = 0, False

    def add(self, names: Iterable[str]) -> None:
        """The names of one sample."""
        found = False
        for name in names:
            found = True
            if name in self._counts or len(self._counts) < MOST_NAMES:
                self._counts[name] += 1
            else:
                self._many = True
        self._samples += found

    def names(self) -> Names:
        return Names(self._samples, len(self._counts), self._many, tuple(self._counts.most_common(SHOWN)))


@dataclass(frozen=True)
class GroupCounts:
    """Groups of samples.

    Attributes:
        number: how many groups there are.
        largest: samples of the largest.
        in_several: samples whose group has more than one.
        example: number of a sample of the largest group, if it has more than one.
    """

    number: int
    largest: int
    in_several: int
    example: int | None


class GroupTally:
    """Counts groups by the hash of their name, in eight bytes a sample."""

    def __init__(self) -> None:
        self._hashes = array("q")

    def add(self, group: str) -> None:
        self._hashes.append(hash(group))

    def counts(self) -> GroupCounts:
        if not self._hashes:
            return GroupCounts(0, 0, 0, None)
        hashes = np.frombuffer(self._hashes, np.int64)
        ordered = np.sort(hashes)
        same = ordered[1:] == ordered[:-1]
        number = len(ordered) - int(same.sum())
        if number == len(ordered):
            return GroupCounts(number, 1, 0, None)
        edges = np.flatnonzero(np.diff(same.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
        lengths = edges[:, 1] - edges[:, 0] + 1
        largest = int(lengths.argmax())
        example = int((hashes == ordered[edges[largest, 0]]).argmax())
        return GroupCounts(number, int(lengths[largest]), int(lengths.sum()), example)


@dataclass(frozen=True)
class Reasons:
    """Things that went wrong.

    Attributes:
        count: how many.
        kinds: the commonest reasons and how often each occurs; numbers and names in them are left out.
        examples: (key or place, reason) of the first.
    """

    count: int
    kinds: tuple[tuple[str, int], ...]
    examples: tuple[tuple[str, str], ...]


def reasons(found: Iterable[tuple[str, str]]) -> Reasons:
    """Sum up pairs of place and reason."""
    kinds: Counter[str] = Counter()
    examples: list[tuple[str, str]] = []
    count = 0
    for place, reason in found:
        count += 1
        if len(examples) < SHOWN:
            examples.append((place, reason))
        kind = _kind(reason)
        if kind in kinds or len(kinds) < MOST_NAMES:
            kinds[kind] += 1
    return Reasons(count, tuple(kinds.most_common(SHOWN)), tuple(examples))


def _kind(reason: str) -> str:
    """A reason without what differs from one sample to the next: names in quotes or brackets, and numbers."""
    return _NUMBERS.sub("#", _NAMES.sub("...", reason))
