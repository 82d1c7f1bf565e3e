"""The Battle for Wesnoth's units: portrait, description, animation, sound (GPL 2 or later, parts CC BY-SA 4.0).

A small collection, and its sounds are few: many units share one. It is there to try four modalities at once.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from vestige.data.builtin.cache import require
from vestige.data.builtin.packages import WESNOTH
from vestige.data.builtin.wesnoth_units import Clip, Unit, read_units
from vestige.data.grouping import joined_groups
from vestige.data.options import one_of
from vestige.samples import Media, Modality, Sample


@dataclass(frozen=True)
class _Entry:
    unit: Unit
    image: Path | None
    clip: Clip | None
    sound: Path | None
    captions: tuple[str, ...]
    generated: dict[str, str]


class Wesnoth:
    """A unit, or one of its animations, a sample; the label is the race.

    Units that share a portrait, or of which one is made from the other, share a group, as do all animations of a unit.
    Sounds do not join groups: with 69 of them for hundreds of animations, all would be one group.

    Args:
        samples: "units", with whatever each has of portrait, description, an animation of at least three frames and a
            sound (204 of 279 have all four); or "clips" for every such animation, with the sound it has, if any, and
            the portrait of its unit, or, failing that, the figure on the map.
    """

    def __init__(self, samples: str = "units") -> None:
        one_of("wesnoth", "samples", samples, ("units", "clips"))
        core = (require(WESNOTH, "wesnoth") / WESNOTH.parts[0]).parent
        units, broken = read_units(core)
        self._skipped = list(broken)
        self._entries: dict[str, _Entry] = {}
        for unit in units:
            entries = _of_unit(unit) if samples == "units" else _of_clips(unit)
            self._entries |= entries
        members = [(unit.base, str(unit.portrait or unit.id)) for unit in units]
        self._groups = dict(zip((unit.id for unit in units), joined_groups(members), strict=True))
        self._keys = tuple(self._entries)

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> Sequence[str]:
        return self._keys

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        for key in keys:
            entry = self._entries[key]
            media: dict[Modality, Media] = {}
            if entry.clip is not None:
                media[Modality.VIDEO] = film(entry.clip.frames)
            if entry.image is not None:
                media[Modality.IMAGE] = entry.image
            if entry.sound is not None:
                media[Modality.AUDIO] = entry.sound
            unit = entry.unit
            label = unit.race or None
            yield Sample(key, self._groups[unit.id], media, entry.captions, label, generated=entry.generated)

    def skipped(self) -> Sequence[tuple[str, str]]:
        return self._skipped


def _of_unit(unit: Unit) -> dict[str, _Entry]:
    """The unit with its longest animation, one with a sound before one without."""
    clip = max(unit.clips, key=lambda clip: (clip.sound is not None, len(clip.frames)), default=None)
    sound = clip.sound if clip and clip.sound else unit.die_sound
    captions = tuple(text for text in (unit.description, unit.name) if text)
    return {unit.id: _Entry(unit, unit.portrait, clip, sound, captions, {})}


def _of_clips(unit: Unit) -> dict[str, _Entry]:
    image = unit.portrait or unit.sprite
    generated = {"caption 1": "a template"}
    return {
        f"{unit.id}/{clip.name}": _Entry(
            unit,
            image,
            clip,
            clip.sound,
            tuple(text for text in (f"{unit.name}, {clip.what}", unit.description) if text),
            generated,
        )
        for clip in unit.clips
    }


def film(frames: Sequence[tuple[Path, int]]) -> bytes:
    """Frames of one or several sizes as an animated PNG on white, each in the middle; lossless, with its times."""
    pictures = []
    for path, _ in frames:
        with Image.open(path) as picture:
            pictures.append(picture.convert("RGBA"))
    size = (max(picture.width for picture in pictures), max(picture.height for picture in pictures))
    pages = []
    for picture in pictures:
        page = Image.new("RGBA", size, "white")
        page.alpha_composite(picture, ((size[0] - picture.width) // 2, (size[1] - picture.height) // 2))
        pages.append(page.convert("RGB"))
    held = io.BytesIO()
    times = [milliseconds for _, milliseconds in frames]
    pages[0].save(held, "PNG", save_all=True, append_images=pages[1:], duration=times)
    return held.getvalue()
