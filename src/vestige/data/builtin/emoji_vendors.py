"""Emoji as several vendors draw them: one concept, several pictures and captions (credits: `packages.COLLECTIONS`)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vestige.data.builtin.cache import require
from vestige.data.builtin.packages import EMOJI_TEXT, VENDORS
from vestige.data.builtin.svg import rasterised
from vestige.data.options import one_of
from vestige.files import read_json
from vestige.samples import Modality, Sample

OPENMOJI_SCALE = 2.0
"""OpenMoji's drawings are 72 units wide."""

_VARIATION_SELECTOR = 0xFE0F


@dataclass(frozen=True)
class _Emoji:
    base: str
    captions: tuple[str, ...]
    label: str | None


class EmojiVendors:
    """One sample a code point and vendor; the key is `vendor/code points`, without variation selectors.

    All drawings of an emoji, its skin tones included, share a group: they show one concept.

    Args:
        language: language of the captions, as emojibase codes it ("en", "de", "zh-hant", ...): the name, then the
            tags. A skin tone has the tags of its emoji.
        skin_tones: "all", or "none" to leave out the variants with a skin tone.
        label: "group" (10, such as animals-nature) or "subgroup" (100, such as animal-bird), after Unicode CLDR.
        vendors: whose drawings, joined by commas.
        shared: "yes" for only the emoji that all these vendors draw, or "no".
    """

    def __init__(
        self,
        language: str = "en",
        skin_tones: str = "all",
        label: str = "group",
        vendors: str = ",".join(VENDORS),
        shared: str = "yes",
    ) -> None:
        names = list(dict.fromkeys(name.strip() for name in vendors.split(",")))
        for name in names:
            one_of("emoji-vendors", "vendors", name, VENDORS)
        # What refusals call it, and say to fetch.
        source = "emoji-vendors" if len(names) > 1 else f"emoji-{names[0]}"
        one_of(source, "shared", shared, ("yes", "no"))
        one_of(source, "label", label, ("group", "subgroup"))
        one_of(source, "skin_tones", skin_tones, ("all", "none"))
        named = _named(source, language, label)
        drawings = {name: _drawings(source, name) for name in names}
        common = set.intersection(*(set(files) for files in drawings.values()))
        self._emoji = {code: emoji for code, emoji in named.items() if skin_tones == "all" or emoji.base == code}
        self._files = {
            f"{name}/{code}": files[code]
            for name, files in drawings.items()
            for code in self._emoji
            if code in files and (shared == "no" or code in common)
        }
        self._keys = tuple(self._files)
        self._nameless = [
            (f"{name}/{code}", "emojibase has no name for this drawing")
            for name, files in drawings.items()
            for code in files
            if code not in named
        ]

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> Sequence[str]:
        return self._keys

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        for key in keys:
            emoji, file = self._emoji[key.partition("/")[2]], self._files[key]
            medium = rasterised(file, OPENMOJI_SCALE) if file.suffix == ".svg" else file
            yield Sample(key, emoji.base, {Modality.IMAGE: medium}, emoji.captions, emoji.label)

    def skipped(self) -> Sequence[tuple[str, str]]:
        return self._nameless


def google(language: str = "en", skin_tones: str = "all", label: str = "group") -> EmojiVendors:
    """Noto Emoji alone, 64 px."""
    return EmojiVendors(language, skin_tones, label, "google")


def fluent(language: str = "en", skin_tones: str = "all", label: str = "group") -> EmojiVendors:
    """Fluent Emoji alone, 256 px."""
    return EmojiVendors(language, skin_tones, label, "fluent")


def openmoji(language: str = "en", skin_tones: str = "all", label: str = "group") -> EmojiVendors:
    """OpenMoji alone, drawn at 144 px."""
    return EmojiVendors(language, skin_tones, label, "openmoji")


def twemoji(language: str = "en", skin_tones: str = "all", label: str = "group") -> EmojiVendors:
    """Twemoji alone, 72 px, with the names of the other vendors' sources."""
    return EmojiVendors(language, skin_tones, label, "twemoji")


def _drawings(source: str, vendor: str) -> dict[str, Path]:
    package = VENDORS[vendor]
    folder = require(package, source) / package.parts[0]
    suffix = next(suffix for part, suffix in package.holds if part == package.parts[0])
    # Where a vendor has a file for the bare and one for the qualified form of an emoji, the qualified one is kept.
    return {code: path for path in sorted(folder.glob(f"*{suffix}")) if (code := _plain(path.stem))}


def _named(source: str, language: str, label: str) -> dict[str, _Emoji]:
    folder = require(EMOJI_TEXT, source) / EMOJI_TEXT.parts[0]
    languages = sorted(path.parent.name for path in folder.glob("*/data.json"))
    one_of(source, "language", language, languages)
    labels: Mapping[str, str] = read_json(folder / "meta" / "groups.json")[f"{label}s"]
    named: dict[str, _Emoji] = {}
    for entry in read_json(folder / language / "data.json"):
        base = _plain(entry["hexcode"])
        tags = tuple(entry.get("tags", ()))
        for variant in (entry, *entry.get("skins", ())):
            named[_plain(variant["hexcode"])] = _emoji(variant, base, tags, labels.get(str(entry.get(label))))
    return named


def _emoji(entry: Mapping[str, Any], base: str, tags: Sequence[str], label: str | None) -> _Emoji:
    return _Emoji(base, tuple(dict.fromkeys((entry["label"], *tags))), label)


def _plain(code_points: str) -> str:
    """Lower case, without variation selectors and leading zeros, which vendors write differently.

    Names that are not code points (an interface picture among the drawings) become "".
    """
    try:
        numbers = [int(part, 16) for part in code_points.split("-")]
    except ValueError:
        return ""
    return "-".join(f"{number:x}" for number in numbers if number != _VARIATION_SELECTOR)
