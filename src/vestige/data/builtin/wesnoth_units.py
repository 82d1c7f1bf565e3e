"""What the game's files say of its units: who they are, and which pictures and sounds they move with.

[unit_type]  id name race description profile [attack_anim ...] [female] ...
[attack_anim]  [frame] image="units/archer-[1~4].png:[75*2,100,130]"  [sound_frame] sound=bow.ogg
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vestige.data.builtin.wml import Macro, MarkupError, Tag, expand, parse

FEWEST_FRAMES = 3
"""Fewer pictures do not make a film."""
FRAME_MILLISECONDS = 100

MOST_FRAMES = 1000

_SOUND_FRAMES = re.compile(r"(\w+_)?frame")
_ITEM = re.compile(r"((?:[^,\[\](]|\[[^\]]*\]|\([^)]*\))+)")
_RANGE = re.compile(r"\[([^\]]*)\]")


@dataclass(frozen=True)
class Clip:
    """An animation: its frames as (picture, milliseconds), and its sound.

    Attributes:
        name: kind of the animation and its number among those of the unit.
        what: what is seen, in words: "attack: bow", "defend".
    """

    name: str
    what: str
    frames: tuple[tuple[Path, int], ...]
    sound: Path | None


@dataclass(frozen=True)
class Unit:
    """A unit as its files describe it; `base` is the unit it is made from, itself if none."""

    id: str
    base: str
    name: str
    race: str
    description: str
    portrait: Path | None
    sprite: Path | None
    clips: tuple[Clip, ...]
    die_sound: Path | None


def read_units(core: Path) -> tuple[list[Unit], list[tuple[str, str]]]:
    """All units below the game's `data/core`, and (file, reason) of what cannot be read."""
    macros: dict[str, Macro] = {}
    broken: list[tuple[str, str]] = []
    trees: list[Tag] = []
    definitions = [*sorted((core / "macros").glob("*.cfg")), core / "units.cfg"]
    for path in [*definitions, *sorted((core / "units").rglob("*.cfg"))]:
        try:
            expanded = expand(path.read_text(encoding="utf-8"), macros)
            if path not in definitions:
                trees += parse(expanded).all("unit_type")
        except (OSError, UnicodeDecodeError, MarkupError) as error:
            broken.append((path.relative_to(core).as_posix(), f"cannot be read: {error}"))
    by_id = {tree.attributes["id"]: tree for tree in trees if tree.attributes.get("id")}
    return [_unit(core, _inherited(tree, by_id)) for tree in by_id.values()], broken


def _inherited(tree: Tag, by_id: dict[str, Tag], depth: int = 0) -> Tag:
    """With what the unit takes over from the `[base_unit]` that it names."""
    base = next((by_id.get(tag.attributes.get("id", "")) for tag in tree.all("base_unit")), None)
    if base is None or depth > len(by_id):
        return tree
    base = _inherited(base, by_id, depth + 1)
    origin = {"base": base.attributes.get("base", base.attributes["id"])}
    return Tag(tree.name, base.attributes | tree.attributes | origin, [*base.tags, *tree.tags])


def _unit(core: Path, tree: Tag) -> Unit:
    said = tree.attributes
    name = said.get("name", said["id"]).rpartition("^")[2]
    forms = [tree, *tree.all("male", "female", "variation")]
    animations = [tag for form in forms for tag in form.tags if tag.name in _KINDS or tag.name.endswith("_anim")]
    clips = (_clip(core, animation, number) for number, animation in enumerate(animations))
    return Unit(
        id=said["id"],
        base=said.get("base", said["id"]),
        name=name,
        race=said.get("race", ""),
        description=" ".join(said.get("description", "").split()),
        portrait=_found(core, "images", said.get("profile", "")),
        sprite=_found(core, "images", said.get("image", "")),
        clips=_distinct(clips),
        die_sound=_sound(core, said.get("die_sound", "")),
    )


def _distinct(clips: Iterable[Clip]) -> tuple[Clip, ...]:
    """Those that are films, each once: with its sound, where the same pictures come with and without one."""
    kept: dict[tuple[Path, ...], Clip] = {}
    for clip in clips:
        pictures = tuple(picture for picture, _ in clip.frames)
        if len(set(pictures)) >= FEWEST_FRAMES and (pictures not in kept or kept[pictures].sound is None):
            kept[pictures] = clip
    return tuple(kept.values())


_KINDS = frozenset({"defend", "death", "animation"})


def _clip(core: Path, animation: Tag, number: int) -> Clip:
    kind = animation.name.removesuffix("_anim").replace("_", " ")
    if animation.name == "animation":
        kind = animation.attributes.get("apply_to", kind).partition(",")[0]
    weapon = next((tag.attributes["name"] for tag in animation.all("filter_attack") if "name" in tag.attributes), "")
    taken = list(_frames(animation))
    pictures = [frame for tag in taken if tag.name == "frame" for frame in _pictures(core, tag)]
    sounds = (_sound(core, tag.attributes.get("sound", "")) for tag in taken)
    return Clip(
        name=f"{animation.name}-{number}",
        what=f"{kind}: {weapon.partition(',')[0]}" if weapon else kind,
        frames=tuple(pictures[:MOST_FRAMES]),
        sound=next((sound for sound in sounds if sound is not None), None),
    )


def _frames(animation: Tag) -> Iterator[Tag]:
    """The frames in order; where the game would choose (`[if] hits=yes ... [else]`), the first choice."""
    for tag in animation.tags:
        if tag.name == "if":
            yield from _frames(tag)
        elif _SOUND_FRAMES.fullmatch(tag.name):
            yield tag


def _pictures(core: Path, frame: Tag) -> Iterator[tuple[Path, int]]:
    duration = frame.attributes.get("duration", "")
    for name, milliseconds in timed(frame.attributes.get("image", "")):
        picture = _found(core, "images", name)
        if picture is not None:
            yield picture, milliseconds or (int(duration) if duration.isdigit() else FRAME_MILLISECONDS)


def timed(images: str) -> Iterator[tuple[str, int]]:
    """`a-[1~3].png:[75*2,100],b.png:50` as (name, milliseconds) of every picture; 0 where no time is given."""
    for item in _ITEM.findall(images):
        # What follows a ~ outside brackets recolours or crops: the plain picture is taken.
        name, times = _split(item.strip())
        names, spans = ranged(name), ranged(times)
        for number, one in enumerate(names):
            span = spans[min(number, len(spans) - 1)]
            yield one, int(span) if span.isdigit() else 0


def ranged(text: str) -> list[str]:
    """`a[1~3,5*2].png` as a1.png a2.png a3.png a5.png a5.png; ranges count down as well, and keep leading zeros."""
    found = _RANGE.search(text)
    if not found:
        return [text]
    values: list[str] = []
    for part in found[1].split(","):
        value, _, times = part.strip().partition("*")
        first, tilde, last = value.partition("~")
        if tilde and first.isdigit() and last.isdigit():
            step = 1 if int(first) <= int(last) else -1
            width = len(first) if first.startswith("0") else 0
            expanded = [f"{n:0{width}d}" for n in range(int(first), int(last) + step, step)[:MOST_FRAMES]]
        else:
            expanded = [value]
        values += [one for one in expanded for _ in range(min(int(times), MOST_FRAMES) if times.isdigit() else 1)]
    # Ranges in one name run side by side; the shorter ones stay at their end.
    rests = ranged(text[found.end() :])
    return [
        f"{text[: found.start()]}{value}{rests[min(number, len(rests) - 1)]}"
        for number, value in enumerate(values[:MOST_FRAMES])
    ]


def _split(item: str) -> tuple[str, str]:
    """Name and times of `name~FUNCTION(...):times`."""
    bare = _RANGE.sub(lambda found: "_" * len(found[0]), item)
    colon = bare.rfind(":") if bare.rfind(":") > bare.rfind(")") else -1
    tilde = bare.find("~")
    name_ends = min(position for position in (colon, tilde, len(item)) if position >= 0)
    return item[:name_ends], item[colon + 1 :] if colon >= 0 else ""


def _sound(core: Path, listed: str) -> Path | None:
    """The first of the sounds that the game would choose from."""
    names: Sequence[str] = [name for item in _ITEM.findall(listed) for name in ranged(item.strip())]
    return next((found for name in names if (found := _found(core, "sounds", name)) is not None), None)


def _found(core: Path, kind: str, name: str) -> Path | None:
    """A picture or sound of the game by its name; names that lead out of the folder lead nowhere."""
    plain = _split(name)[0].strip() if kind == "images" else name
    if not plain or ".." in Path(plain).parts or Path(plain).is_absolute():
        return None
    path = core / kind / plain
    return path if path.is_file() else None
