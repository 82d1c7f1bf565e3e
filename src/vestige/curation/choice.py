"""Which samples are chosen, and the reason of each."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from vestige.curation.keyfiles import NamedKeys
from vestige.curation.ranking import MEMORIZATION, Ranking
from vestige.errors import VestigeError


@dataclass(frozen=True)
class Choice:
    """Samples that were chosen.

    Attributes:
        reasons: by key, in the order of the ranking or the file.
        false_discovery_rate: of the statement "these are memorized": the rate asked for, or the largest q-value of the
            most memorized; None where one of them has none, or where they were chosen in another way.
        marks: of a file of marks, how many samples have each.
    """

    reasons: Mapping[str, str]
    false_discovery_rate: float | None = None
    marks: Mapping[str, int] = field(default_factory=dict)


def choose(
    ranking: Ranking,
    known: Collection[str],
    *,
    top: int | None = None,
    fdr: float | None = None,
    keys: NamedKeys | None = None,
    groups: pa.Table | None = None,
) -> Choice:
    """Choose samples in one of three ways: so many, at a rate, or by name.

    Args:
        ranking: of the samples that have a score.
        known: those of the keys in question that are keys of the data.
        top: how many of the ranking.
        fdr: the false-discovery rate; those found are in the order of the ranking.
        keys: those that a file names.
        groups: a table with `key` and `group`: the other samples of a chosen one's group are chosen too.

    Raises:
        VestigeError: none or several of the ways, or what they refuse.
    """
    ways = {"--top": top, "--fdr": fdr, "--keys": keys}
    given = [name for name, value in ways.items() if value is not None]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        raise VestigeError(f"samples are chosen in one way: --top NUMBER, --fdr RATE or --keys FILE; found {found}")
    if keys is not None:
        choice = _named(keys, known)
    elif fdr is not None:
        found = ranking.discoveries(fdr)
        reasons = {key: f"q-value {q:.3g}, at most {fdr:g}" for key, q in zip(found.keys, found.q_values, strict=True)}
        choice = Choice(reasons, fdr)
    else:
        assert top is not None
        found = ranking.top(top)
        reasons = {key: f"{place} of {len(ranking)} by {ranking.by}" for place, key in enumerate(found.keys, 1)}
        q_values = [q for q in found.q_values if q is not None]
        # The rate is of all that are as extreme: the top of another ranking is a selection among them.
        stated = ranking.by == MEMORIZATION and len(q_values) == len(found)
        choice = Choice(reasons, max(q_values) if stated else None)
    return choice if groups is None else _with_groups(choice, groups, known)


def without_strangers(ranking: Ranking, known: Collection[str]) -> tuple[Ranking, int]:
    """The ranking of samples of the data, and how many others it had: copies a run planted, held-out samples.

    Raises:
        VestigeError: no sample of the data is ranked.
    """
    places = [place for place, key in enumerate(ranking.keys) if key in known]
    if not places:
        raise VestigeError(
            f"no key of the scores is a key of the data (the first is {ranking.keys[0]!r}): are they of these data?"
        )
    return ranking.at(places), len(ranking) - len(places)


def _named(named: NamedKeys, known: Collection[str]) -> Choice:
    unknown = [key for key in named.keys if key not in known]
    if unknown:
        raise VestigeError(
            f"{named.path}: {len(unknown)} of {len(named.keys)} keys are not in the data, the first is"
            f" {unknown[0]!r}: is the file of these data?"
        )
    reason = f"marked reject in {named.path.name}" if named.marks else f"named in {named.path.name}"
    return Choice(dict.fromkeys(named.keys, reason), marks=named.marks)


def _with_groups(choice: Choice, table: pa.Table, known: Collection[str]) -> Choice:
    keys, groups = table["key"].to_pylist(), table["group"].to_pylist()
    group = dict(zip(keys, groups, strict=True))
    first = {group[key]: key for key in reversed(list(choice.reasons)) if key in group}
    others = {
        key: f"in one group with {first[own]}"
        for key, own in zip(keys, groups, strict=True)
        if own in first and key in known and key not in choice.reasons
    }
    return Choice({**choice.reasons, **others}, choice.false_discovery_rate, choice.marks)
