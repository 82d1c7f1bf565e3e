"""Names of objects, normalised once: "Dogs ", "dog" and, where a file says so, "puppy" are one object.

In this order: Unicode compatibility form and case folding; underscores and runs of spaces to one space; synonyms as a
file gives them; the last word's plural to its singular, by rules that leave a word alone when in doubt; synonyms again,
now of the singular.
"""

import csv
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from vestige.errors import VestigeError

IRREGULAR = {
    **{"men": "man", "women": "woman", "people": "person", "children": "child", "feet": "foot", "teeth": "tooth"},
    **{"geese": "goose", "mice": "mouse", "oxen": "ox", "knives": "knife", "lives": "life", "wives": "wife"},
    **{"leaves": "leaf", "loaves": "loaf", "shelves": "shelf", "scarves": "scarf", "calves": "calf", "wolves": "wolf"},
    **{"halves": "half", "thieves": "thief", "elves": "elf", "hooves": "hoof", "buses": "bus", "quizzes": "quiz"},
    **{"shoes": "shoe", "toes": "toe", "canoes": "canoe", "horseshoes": "horseshoe", "oboes": "oboe", "axes": "axe"},
    **{"cookies": "cookie", "movies": "movie", "ties": "tie", "pies": "pie", "zombies": "zombie", "selfies": "selfie"},
    **{"brownies": "brownie", "smoothies": "smoothie", "hoodies": "hoodie", "gases": "gas", "lenses": "lens"},
    **{"pixies": "pixie", "collies": "collie", "caches": "cache", "headaches": "headache", "cacti": "cactus"},
}
# Singular, or with no singular that a picture would be labelled by, though they end like plurals.
UNCHANGED = frozenset(
    {
        *("pants", "jeans", "trousers", "shorts", "scissors", "glasses", "sunglasses", "goggles", "binoculars"),
        *("tweezers", "pliers", "headphones", "earphones", "clothes", "leggings", "overalls", "pajamas", "pyjamas"),
        *("species", "series", "headquarters", "news", "tennis", "chess", "gymnastics", "athletics", "electronics"),
        *("asparagus", "lens", "christmas", "canvas", "pancreas", "atlas", "texas", "paris", "molasses", "swiss"),
        *("gas", "bias", "alias", "pampas", "iris", "ibis", "pelvis", "diabetes", "mars", "venus", "stairs", "always"),
    }
)


@dataclass(frozen=True)
class Vocabulary:
    """Turns labels as they are written into names.

    Attributes:
        synonyms: name by normalised variant.
    """

    synonyms: Mapping[str, str] = field(default_factory=dict)

    def name(self, label: str) -> str:
        """The name of a label; empty for one without letters or digits."""
        text = _plain(label)
        if text in self.synonyms:
            return self.synonyms[text]
        head, space, last = text.rpartition(" ")
        single = head + space + _singular(last)
        return self.synonyms.get(single, single)

    def merges(self, labels: Iterable[str]) -> Mapping[str, Mapping[str, int]]:
        """What was merged: of each name that several spellings became, how often each spelling occurs."""
        spellings: dict[str, Counter[str]] = {}
        for label in labels:
            spellings.setdefault(self.name(label), Counter())[label] += 1
        return {name: dict(counts.most_common()) for name, counts in spellings.items() if len(counts) > 1}


def read_synonyms(path: Path) -> Vocabulary:
    """A vocabulary with the synonyms of a file.

    Args:
        path: `.csv` with two columns, variant and name (a header `variant,name` may be there), or `.json` or `.yaml`
            with a mapping of variants to names, or of names to lists of variants.

    Raises:
        VestigeError: no such file, not of these forms, or a variant that has two names.
    """
    if not path.is_file():
        raise VestigeError(f"{path}: no such file of synonyms")
    try:
        text = path.read_text(encoding="utf-8-sig")
        pairs = _pairs(path, text)
    except (ValueError, yaml.YAMLError, csv.Error, RecursionError) as error:
        line = " ".join(str(error).split())
        raise VestigeError(f"{path}: synonyms cannot be read: {line[:200]}") from error
    bare = Vocabulary()
    synonyms: dict[str, str] = {}
    for variant, name in pairs:
        known, to = _plain(variant), bare.name(name)
        if not known or not to:
            raise VestigeError(f"{path}: the synonym {variant!r} of {name!r} is empty: remove it")
        if synonyms.setdefault(known, to) != to:
            raise VestigeError(f"{path}: {variant!r} has two names, {synonyms[known]!r} and {to!r}: keep one")
    chained = next((variant for variant, name in synonyms.items() if synonyms.get(name, name) != name), None)
    if chained is not None:
        name = synonyms[chained]
        raise VestigeError(f"{path}: {chained!r} is {name!r}, which is {synonyms[name]!r}: give the last name to all")
    return Vocabulary(synonyms)


def _pairs(path: Path, text: str) -> list[tuple[str, str]]:
    """(variant, name) as written."""
    if path.suffix.lower() == ".csv":
        rows = [row for row in csv.reader(text.splitlines()) if row]
        odd = next((number for number, row in enumerate(rows, 1) if len(row) != 2), None)
        if odd is not None:
            raise ValueError(f"row {odd} has {len(rows[odd - 1])} columns, expected variant,name")
        header = bool(rows) and [cell.strip().lower() for cell in rows[0]] == ["variant", "name"]
        return [(variant, name) for variant, name in rows[1 if header else 0 :]]
    if path.suffix.lower() not in {".json", ".yaml", ".yml"}:
        raise ValueError("expected a file that ends in .csv, .json or .yaml")
    read = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    if not isinstance(read, dict):
        raise ValueError("expected a mapping of variants to names, or of names to lists of variants")
    pairs: list[tuple[str, str]] = []
    for key, value in read.items():
        if isinstance(value, list):
            pairs += [(str(variant), str(key)) for variant in value]
        elif isinstance(value, str):
            pairs.append((str(key), value))
        else:
            raise ValueError(f"{key!r} leads to {value!r}: expected a name, or a list of variants")
    return pairs


def _plain(label: str) -> str:
    text = unicodedata.normalize("NFKC", label).casefold().replace("_", " ")
    words = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return words if any(sign.isalnum() for sign in words) else ""


def _singular(word: str) -> str:
    if word in IRREGULAR:
        return IRREGULAR[word]
    if word in UNCHANGED or len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is", "'s")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zzes", "oes")):
        return word[:-2]
    return word[:-1]
