"""WordNet's database as its publisher lays it out: which words share the most frequent sense of a word.

The files are those of wndb(5WN): `index.POS` has a line `lemma pos senses p_cnt [pointer symbols] senses tagged
offsets...` for every word, senses by falling frequency; `data.POS` has at each byte offset a line `offset file type
w_cnt (word lex_id)... p_cnt (symbol offset pos source/target)... | gloss`, w_cnt in hexadecimal; `POS.exc` lists
irregular forms; `cntlist.rev`, where it is there, how often each sense was counted in tagged text.
"""

import mmap
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vestige.errors import VestigeError

WORDNET = Path("/usr/share/wordnet")
KINDS = ("noun", "verb", "adj", "adv")
_COUNTED = {"1": "noun", "2": "verb", "3": "adj", "4": "adv", "5": "adj"}
# wndb has 4-digit counts of lines per word and no word that starts with two spaces: those lines are the licence.
_LICENCE = "  "
_ENDINGS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "noun": (
        *(("s", ""), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh")),
        *(("men", "man"), ("ies", "y")),
    ),
    "verb": (("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", "")),
    "adj": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "adv": (),
}


@dataclass(frozen=True)
class Lexicon:
    """A WordNet database.

    Attributes:
        directory: the folder with `index.noun`, `data.noun` and their like.
    """

    directory: Path

    def __post_init__(self) -> None:
        missing = [f"{part}.{kind}" for kind in KINDS for part in ("index", "data") if not self._is_file(part, kind)]
        if missing:
            raise VestigeError(
                f"no WordNet database in {self.directory}: {', '.join(missing)} missing; apt-get install wordnet-base,"
                " or name the folder with --wordnet.directory"
            )

    def synonyms(self, lemma: str, kind: str) -> tuple[str, ...]:
        """The other words of the lemma's most frequent sense, in the database's order."""
        words, _ = self._synset(kind, self._index[kind][lemma])
        return tuple(word for word in words if word.lower() != lemma)

    def broader(self, lemma: str, kind: str) -> tuple[str, ...]:
        """The words of the direct hypernyms of the lemma's most frequent sense."""
        _, hypernyms = self._synset(kind, self._index[kind][lemma])
        words = [word for offset in hypernyms for word in self._synset(kind, offset)[0]]
        return tuple(dict.fromkeys(word for word in words if word.lower() != lemma))

    def base_forms(self, word: str) -> Iterator[tuple[str, str]]:
        """(lemma, part of speech) that a lower-case word may be a form of; the likeliest first."""
        found = [(lemma, kind) for kind in KINDS for lemma in self._lemmas(word, kind)]
        # sorted() is stable: without counts, nouns come first, and a word itself before what it may be a form of.
        return iter(sorted(found, key=lambda form: -self._counts[form]))

    def plural(self, word: str) -> str:
        """The plural of a noun; of a term of several words, that of its last one."""
        head, space, last = word.rpartition(" ")
        return head + space + self._plurals.get(last, _regular_plural(last))

    def _lemmas(self, word: str, kind: str) -> Iterator[str]:
        candidates = [word, *self._exceptions[kind].get(word, ())]
        for ending, base in _ENDINGS[kind]:
            if word.endswith(ending) and len(word) > len(ending) + 1 and not word.endswith("ss"):
                candidates.append(word.removesuffix(ending) + base)
        return (lemma for lemma in dict.fromkeys(candidates) if lemma in self._index[kind])

    def _is_file(self, part: str, kind: str) -> bool:
        return (self.directory / f"{part}.{kind}").is_file()

    def _lines(self, name: str) -> Iterator[str]:
        path = self.directory / name
        if path.is_file():
            with path.open(encoding="utf-8", errors="replace") as lines:
                yield from (line for line in lines if not line.startswith(_LICENCE) and line.strip())

    @cached_property
    def _index(self) -> Mapping[str, Mapping[str, int]]:
        """Offset of the most frequent sense, by part of speech and lemma."""
        return {kind: dict(self._senses(kind)) for kind in KINDS}

    def _senses(self, kind: str) -> Iterator[tuple[str, int]]:
        for number, line in enumerate(self._lines(f"index.{kind}"), 1):
            fields = line.split()
            try:
                yield fields[0].replace("_", " "), int(fields[6 + int(fields[3])])
            except (IndexError, ValueError) as error:
                raise self._damaged(f"index.{kind}", f"entry {number}") from error

    @cached_property
    def _data(self) -> Mapping[str, mmap.mmap]:
        return {kind: self._mapped(f"data.{kind}") for kind in KINDS}

    def _mapped(self, name: str) -> mmap.mmap:
        try:
            with (self.directory / name).open("rb") as file:
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as error:
            raise self._damaged(name, "it is empty") from error

    def _synset(self, kind: str, offset: int) -> tuple[list[str], list[int]]:
        """Words of a synset, and the offsets of its hypernyms."""
        data = self._data[kind]
        end = data.find(b"\n", offset)
        fields = data[offset : end if end >= 0 else len(data)].decode("utf-8", "replace").split()
        try:
            if int(fields[0]) != offset:
                raise ValueError(fields[0])
            words = int(fields[3], 16)
            pointers = fields[5 + 2 * words : 5 + 2 * words + 4 * int(fields[4 + 2 * words])]
            hypernyms = [int(to) for symbol, to in zip(pointers[::4], pointers[1::4], strict=True) if symbol == "@"]
        except (IndexError, ValueError) as error:
            raise self._damaged(f"data.{kind}", f"byte {offset}") from error
        # Adjectives carry where they may stand: "galore(ip)".
        return [word.partition("(")[0].replace("_", " ") for word in fields[4 : 4 + 2 * words : 2]], hypernyms

    @cached_property
    def _exceptions(self) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
        return {kind: {form: tuple(bases) for form, *bases in self._irregular(kind)} for kind in KINDS}

    @cached_property
    def _plurals(self) -> Mapping[str, str]:
        plurals: dict[str, str] = {}
        for form, *bases in self._irregular("noun"):
            for base in bases:
                plurals.setdefault(base, form)
        return plurals

    def _irregular(self, kind: str) -> Iterator[list[str]]:
        return (line.replace("_", " ").split() for line in self._lines(f"{kind}.exc") if "_" not in line)

    @cached_property
    def _counts(self) -> Mapping[tuple[str, str], int]:
        """How often a lemma was met as a part of speech, over all its senses; 0 without `cntlist.rev`."""
        counts: Counter[tuple[str, str]] = Counter()
        for line in self._lines("cntlist.rev"):
            sense, _, times = line.split()
            lemma, _, rest = sense.partition("%")
            counts[lemma.replace("_", " "), _COUNTED[rest[0]]] += int(times)
        return defaultdict(int, counts)

    def _damaged(self, name: str, where: str) -> VestigeError:
        return VestigeError(f"{self.directory / name}: not a WordNet database file ({where}): install it anew")


def _regular_plural(word: str) -> str:
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2:-1] not in set("aeiou"):
        return word[:-1] + "ies"
    return word + "s"
