"""How the entries of a file beside the data meet the samples of a source: by key, counted, and said."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from vestige.errors import VestigeError
from vestige.progress import console


@dataclass(frozen=True, slots=True)
class Matching:
    """Counts.

    Attributes:
        matched: samples with an entry.
        without: samples without one.
        unknown: entries whose key the source does not have.
    """

    matched: int
    without: int
    unknown: int

    def __str__(self) -> str:
        return (
            f"{self.matched:,} samples have an entry, {self.without:,} have none; {self.unknown:,} entries are of keys"
            " that the data do not have"
        )


def matching(place: str, entries: Collection[str], keys: Sequence[str]) -> Matching:
    """Compare the keys of a file with those of a source; what does not meet is said on the console.

    Args:
        place: the file, as it is named in messages.
        entries: keys of the file.
        keys: keys of the source.

    Raises:
        VestigeError: they have no key in common.
    """
    known = set(keys)
    matched = sum(key in known for key in entries)
    if not matched:
        there = next(iter(entries), None)
        found = f"its first is {there!r}" if there is not None else "it has none"
        first = f"the first of the data is {keys[0]!r}" if keys else "the data are empty"
        raise VestigeError(f"{place}: no key of it is a key of the data ({found}, {first}): is it of these data?")
    counts = Matching(matched, len(known) - matched, len(entries) - matched)
    if counts.without or counts.unknown:
        console.print(f"{place}: {counts}", markup=False, highlight=False, soft_wrap=True)
    return counts
