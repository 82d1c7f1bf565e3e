"""Tux Paint's stamps: picture, caption, spoken description (Bill Kendrick and contributors: GPL 2).

`cat.png` or `cat.svg` is the picture; `cat.txt` has the English caption in its first line, then `fr.utf8=...` in other
languages; `cat_desc_fr.ogg` speaks the French one (`cat_desc.ogg` the English), `cat.ogg` is the noise it makes.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vestige.data.builtin.cache import file_names, require
from vestige.data.builtin.packages import TUXPAINT
from vestige.data.builtin.svg import rasterised
from vestige.data.media import content_hash
from vestige.data.options import one_of
from vestige.errors import VestigeError
from vestige.samples import Media, Modality, Sample

ENGLISH = "en"
# A few names repeat the suffix (`_desc_da.ogg.ogg`).
_SPOKEN = re.compile(r"(?P<stem>.+?)_desc(?:_(?P<language>[A-Za-z_@]+))?(?:\.ogg|\.wav)+")
_NOISE = re.compile(r"(?P<stem>.+?)(?:\.ogg|\.wav)+")


@dataclass
class _Stamp:
    pictures: dict[str, Path] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    spoken: dict[str, Path] = field(default_factory=dict)
    noise: Path | None = None


class Tuxpaint:
    """Picture, captions and a sound of every stamp; the key is its path without suffix, the label its category.

    Stamps of one English caption, or with byte-identical sounds, share a group.

    Args:
        language: the language that is spoken ("fr" has the most recordings, "en" 65); it decides nothing else unless
            `captions` says so.
        captions: "english", "transcript" (the words that are spoken, in `language`; stamps without them are left out
            and listed), or "both", the English caption first.
        sound: "speech", "noise" (what the thing sounds like), or "none".
    """

    def __init__(self, language: str = "fr", captions: str = "english", sound: str = "speech") -> None:
        one_of("tuxpaint", "captions", captions, ("english", "transcript", "both"))
        one_of("tuxpaint", "sound", sound, ("speech", "noise", "none"))
        stamps = _stamps(require(TUXPAINT, "tuxpaint") / TUXPAINT.parts[0])
        spoken = {name for stamp in stamps.values() for name in stamp.spoken}
        one_of("tuxpaint", "language", language, sorted({*spoken, ENGLISH}))
        self._skipped: list[tuple[str, str]] = []
        self._stamps: dict[str, _Stamp] = {}
        self._captions: dict[str, tuple[str, ...]] = {}
        for key, stamp in sorted(stamps.items()):
            chosen = {
                "english": [ENGLISH],
                "transcript": [language],
                "both": [ENGLISH, language],
            }[captions]
            texts = tuple(dict.fromkeys(stamp.texts[name] for name in chosen if name in stamp.texts))
            reason = "no picture" if not stamp.pictures else "no caption" if not texts else ""
            if reason and (stamp.pictures or stamp.texts):
                self._skipped.append((key, reason))
            elif not reason:
                self._stamps[key], self._captions[key] = stamp, texts
        self._sounds = {
            key: recording
            for key, stamp in self._stamps.items()
            if (recording := _recording(stamp, sound, language)) is not None
        }
        self._groups = _groups(self._stamps, self._sounds)
        self._keys = tuple(self._stamps)

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> Sequence[str]:
        return self._keys

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        for key in keys:
            pictures = self._stamps[key].pictures
            media: dict[Modality, Media] = {
                Modality.IMAGE: pictures[".png"] if ".png" in pictures else rasterised(pictures[".svg"])
            }
            if key in self._sounds:
                media[Modality.AUDIO] = self._sounds[key]
            yield Sample(key, self._groups[key], media, self._captions[key], label=key.partition("/")[0])

    def skipped(self) -> Sequence[tuple[str, str]]:
        return self._skipped


def _stamps(folder: Path) -> dict[str, _Stamp]:
    stamps: dict[str, _Stamp] = defaultdict(_Stamp)
    noises: list[tuple[str, Path]] = []
    for name in sorted(file_names(folder)):
        path = folder / name
        stem, dot, ending = name.rpartition(".")
        suffix = dot + ending
        if suffix in {".png", ".svg"}:
            stamps[stem].pictures[suffix] = path
        elif suffix == ".txt":
            stamps[stem].texts = _texts(path)
        elif spoken := _SPOKEN.fullmatch(name):
            stamps[spoken["stem"]].spoken[spoken["language"] or ENGLISH] = path
        elif noise := _NOISE.fullmatch(name):
            noises.append((noise["stem"], path))
    for stem, path in noises:
        # `7_fr.ogg`, the name of a number in French, belongs to no stamp of its own.
        if stem in stamps:
            stamps[stem].noise = path
    return stamps


def _texts(path: Path) -> dict[str, str]:
    try:
        first, *rest = path.read_text(encoding="utf-8").splitlines() or [""]
    except UnicodeDecodeError as error:
        raise VestigeError(f"{path}: the captions are not UTF-8 (byte {error.start})") from error
    pairs = [(ENGLISH, first), *((line.partition(".utf8=")[0], line.partition(".utf8=")[2]) for line in rest)]
    return {language.strip(): text.strip() for language, text in pairs if text.strip()}


def _recording(stamp: _Stamp, sound: str, language: str) -> Path | None:
    """Speech is taken only where its words are known."""
    if sound == "noise":
        return stamp.noise
    return stamp.spoken.get(language) if sound == "speech" and language in stamp.texts else None


def _groups(stamps: dict[str, _Stamp], sounds: dict[str, Path]) -> dict[str, str]:
    from vestige.data.grouping import joined_groups

    sizes: dict[int, list[str]] = defaultdict(list)
    for key, path in sounds.items():
        sizes[path.stat().st_size].append(key)
    # Only files of one size can be the same: few are read.
    alike = {key: content_hash(sounds[key].read_bytes()) for keys in sizes.values() if len(keys) > 1 for key in keys}
    keys = list(stamps)
    members = [(stamps[key].texts.get(ENGLISH, key).casefold(), alike.get(key, f"only {key}")) for key in keys]
    return dict(zip(keys, joined_groups(members), strict=True))
