"""Captions with words replaced by synonyms from WordNet: no model, no network, the same on every machine.

Of a caption's nouns, adjectives and adverbs that have synonyms in their most frequent sense, `share` (at least one)
are drawn and each replaced by one of its synonyms, drawn too; terms of several words ("alarm clock") count as one.
WordNet knows words and not sentences: a word in a rare sense gets synonyms of the frequent one.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from vestige.data.generation import Written, accepted
from vestige.data.generation.lexicon import WORDNET, Lexicon
from vestige.data.views import key_hashes
from vestige.errors import VestigeError
from vestige.samples import Sample

WORD = re.compile(r"[A-Za-z]+(?:-[A-Za-z]+)*")
_PLAIN = re.compile(r"[a-z]+(?:[ '-][a-z]+)*")
_ARTICLE = re.compile(r"\b(an?)( +)$", re.IGNORECASE)
_DRAWS_A_CAPTION = 8
_LONGEST_TERM = 3
# Words of grammar which WordNet has as nouns or adjectives too ("a": angstrom, "who": an organization).
_GRAMMAR = """
a about above across after against all along also although among an and another any are around as at back be
because been before behind being below beneath beside between beyond both but by can could did do does done
down during each either else even ever every few first for from had has have he her here hers him his how if
in inside into is it its just last least less let like little lot lots many may me might more most much must
my near neither never next no nor not now of off on one once only onto or other our out outside over own past
per quite rather same she should since so some still such than that the their them then there these they this
those though three through to together too toward two under until up upon us very was we well were what when
where which while who whom whose why will with within without would yet you your
"""
GRAMMAR = frozenset(_GRAMMAR.split())


@dataclass(frozen=True)
class WordnetConfig:
    """Words of captions replaced by synonyms from WordNet."""

    directory: Path = WORDNET
    """The database: index.noun, data.noun and their like (apt-get install wordnet-base)."""
    share: float = 0.3
    """Share of the replaceable words that a new caption replaces; at least one."""
    relation: Literal["synonyms", "hypernyms"] = "synonyms"
    """synonyms: words of the same sense; hypernyms: of the next broader sense too (a cat is a feline)."""


@dataclass(frozen=True, slots=True)
class _Slot:
    start: int
    end: int
    words: tuple[str, ...]


@dataclass(frozen=True)
class Wordnet:
    """New captions by replacing words of the first caption: a function of (seed, key, caption) alone.

    Attributes:
        config: database and settings.
        seed: of the draws.
    """

    config: WordnetConfig = field(default_factory=WordnetConfig)
    seed: int = 0
    _lexicon: Lexicon = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 < self.config.share <= 1:
            raise VestigeError(f"wordnet.share is above 0 and at most 1, not {self.config.share}")
        # A frozen dataclass sets a derived field through object.
        object.__setattr__(self, "_lexicon", Lexicon(self.config.directory))

    @property
    def provenance(self) -> str:
        return f"words replaced from WordNet ({self.config.relation}, share {self.config.share:g}, seed {self.seed})"

    def write(self, samples: Sequence[Sample], count: int) -> Sequence[Written]:
        return [self._written(sample, count) for sample in samples]

    def _written(self, sample: Sample, count: int) -> Written:
        if not sample.captions:
            return Written(reason="the sample has no caption to replace words of")
        caption = sample.captions[0]
        slots = self._slots(caption)
        if not slots:
            return Written(reason="no word of the caption has a synonym")
        draw = np.random.Generator(np.random.Philox(key=[int(key_hashes([sample.key])[0]), self.seed & (2**64 - 1)]))
        replaced = max(1, round(self.config.share * len(slots)))

        def draws() -> Iterator[str]:
            for _ in range(_DRAWS_A_CAPTION * count):
                chosen = sorted(draw.permutation(len(slots))[:replaced].tolist())
                picks = [(slots[place], slots[place].words[draw.integers(len(slots[place].words))]) for place in chosen]
                yield _replaced(caption, picks)
            # Where there is little to draw from, draws repeat themselves: one word at a time, all there are.
            singles = [(slot, word) for slot in slots for word in slot.words]
            yield from (_replaced(caption, [singles[place]]) for place in draw.permutation(len(singles)))

        captions = accepted(draws(), sample.captions, count)
        short = f"the caption's synonyms gave {len(captions)} of {count} new captions"
        return Written(captions, None if len(captions) == count else short)

    def _slots(self, caption: str) -> list[_Slot]:
        """The terms that can be replaced, each with what may stand in its place."""
        matches = list(WORD.finditer(caption))
        slots: list[_Slot] = []
        place = 0
        while place < len(matches):
            # An alarm clock is one thing: its words have no synonyms of their own.
            length = next(
                n for n in range(_LONGEST_TERM, 0, -1) if n == 1 or self._is_term(matches[place : place + n], n)
            )
            start, end = matches[place].start(), matches[place + length - 1].end()
            term = caption[start:end]
            words = tuple(dict.fromkeys(_cased(word, term) for word in self._substitutes(term.lower())))
            if words:
                slots.append(_Slot(start, end, words))
            place += length
        return slots

    def _is_term(self, matches: Sequence[re.Match[str]], length: int) -> bool:
        words = [match[0].lower() for match in matches]
        joined = all(one.end() + 1 == other.start() for one, other in pairwise(matches))
        if len(words) < length or not joined or words[0] in GRAMMAR:
            return False
        return any(kind == "noun" for _, kind in self._lexicon.base_forms(" ".join(words)))

    def _substitutes(self, word: str) -> tuple[str, ...]:
        lemma, kind = next(self._lexicon.base_forms(word), ("", "verb"))
        # Verbs would have to be conjugated, and compared adjectives compared.
        if word in GRAMMAR or len(word) < 3 or kind == "verb" or (lemma != word and kind != "noun"):
            return ()
        found = self._lexicon.synonyms(lemma, kind)
        if self.config.relation == "hypernyms":
            found = tuple(dict.fromkeys((*found, *self._lexicon.broader(lemma, kind))))
        # Names and species (Canis familiaris) are not what captions say.
        plain = (other for other in found if _PLAIN.fullmatch(other))
        return tuple(self._lexicon.plural(other) if lemma != word else other for other in plain)


def _cased(word: str, like: str) -> str:
    if like.isupper() and len(like) > 1:
        return word.upper()
    return word[0].upper() + word[1:] if like[0].isupper() else word


def _replaced(caption: str, picks: Sequence[tuple[_Slot, str]]) -> str:
    """The caption with slots, in order of place, replaced; an article before one is made to agree."""
    text, end = "", 0
    for slot, word in picks:
        before = caption[end : slot.start]
        article = _ARTICLE.search(before)
        if article is not None:
            fitting = "an" if word[0].lower() in "aeiou" else "a"
            before = before[: article.start()] + _cased(fitting, article[1]) + article[2]
        text, end = text + before + word, slot.end
    return text + caption[end:]
