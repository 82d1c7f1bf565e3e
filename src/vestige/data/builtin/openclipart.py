"""The Open Clip Art Library (public domain): drawings whose titles, descriptions and tags are naturally wrong at times.

The pictures are PNGs; title, description, tags and licence stand in the metadata of the SVG of the same name.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

import pyarrow as pa

from vestige.data.builtin.cache import cache_folder, file_names, require
from vestige.data.builtin.packages import OPENCLIPART_PNG, OPENCLIPART_SVG
from vestige.data.grouping import joined_groups
from vestige.data.media import content_hash
from vestige.data.options import one_of
from vestige.errors import VestigeError
from vestige.files import digest, read_table, write_table
from vestige.progress import progress
from vestige.samples import Modality, Sample

INDEX_VERSION = "1"

META_TAGS = frozenset(
    {
        *("hash", "magick", "unsorted", "special", "openclipart", "clip art", "clipart", "svg", "stock", "miscellany"),
        *("icon", "icons", "theme", "lemon theme icon", "appicon", "action", "application", "filesystem", "creation"),
        *("mimetypes", "mime-types", "logo", "logos", "symbol", "symbols", "sign", "signs and symbols", "mapsym"),
        *("networksym", "weathersym", "musicsym", "map symbol", "paper symbol", "geometry", "gradients", "simple"),
        *("architetto francesco rollandin", "organizations", "diagrams", "photo", "imformation"),
    }
)
"""Tags that say how a drawing was made, by whom, or where it is filed, not what is on it."""

OFTEN = 50
"""A title that stands on more pictures than this is that of a collection or an author."""

_SCHEMA = pa.schema(
    {
        "key": pa.string(),
        "content": pa.string(),
        "title": pa.string(),
        "description": pa.string(),
        "tags": pa.list_(pa.string()),
        "licence": pa.string(),
    }
)


class Openclipart:
    """Drawings with title, description and tags; the key is the path without suffix.

    Byte-identical pictures and pictures of one title share a group, directly or through others. Left out and listed
    are the drawings under the GPL, those without a licence, and those without a caption.

    Args:
        captions: "title", or "all" for the title, the description and the tags joined by commas, as three captions.
        titles: "all", or "own" to leave out and list the drawings whose title stands on more than 50 (four in nine).
    """

    def __init__(self, captions: str = "title", titles: str = "all") -> None:
        one_of("openclipart", "captions", captions, ("title", "all"))
        one_of("openclipart", "titles", titles, ("all", "own"))
        self._folder = require(OPENCLIPART_PNG, "openclipart") / OPENCLIPART_PNG.parts[0]
        drawings = require(OPENCLIPART_SVG, "openclipart") / OPENCLIPART_SVG.parts[0]
        self._captions: dict[str, tuple[str, ...]] = {}
        self._objects: dict[str, tuple[str, ...]] = {}
        self._skipped: list[tuple[str, str]] = []
        members: list[tuple[str, str]] = []
        records = _index(self._folder, drawings).to_pylist()
        times = Counter(record["title"].casefold() for record in records)
        for record in records:
            key, title, tags = record["key"], record["title"], record["tags"]
            texts = [title] if captions == "title" else [title, record["description"], ", ".join(tags)]
            chosen = tuple(dict.fromkeys(text for text in texts if text))
            reason = _reason(record["licence"], bool(chosen), captions)
            if not reason and titles == "own" and title and times[title.casefold()] > OFTEN:
                reason = f"the title stands on {times[title.casefold()]} drawings"
            if reason:
                self._skipped.append((key, reason))
                continue
            self._captions[key], self._objects[key] = chosen, _objects(tags)
            members.append((title.casefold() or key, record["content"]))
        self._keys = tuple(self._captions)
        self._groups = dict(zip(self._keys, joined_groups(members), strict=True))

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> Sequence[str]:
        return self._keys

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        for key in keys:
            media = {Modality.IMAGE: self._folder / f"{key}.png"}
            yield Sample(key, self._groups[key], media, self._captions[key], objects=self._objects[key])

    def skipped(self) -> Sequence[tuple[str, str]]:
        return self._skipped


def _reason(licence: str, captioned: bool, captions: str) -> str:
    """Why a drawing is left out; "" when it is not."""
    if not licence:
        return "no licence is given"
    if "publicdomain" not in licence.casefold():
        return f"not in the public domain: {licence}"
    return "" if captioned else "no title" if captions == "title" else "no title, description or tags"


def _objects(tags: Sequence[str]) -> tuple[str, ...]:
    names = (tag.casefold().replace("_", " ").strip() for tag in tags)
    return tuple(dict.fromkeys(name for name in names if name and name not in META_TAGS))


def _index(pictures: Path, drawings: Path) -> pa.Table:
    """What is known of every drawing; read from 16,000 files once, then kept in one."""
    names = sorted(file_names(pictures, ".png"))
    listed = [(f"{pictures}/{name}", name) for name in names]
    listed += [(f"{drawings}/{name}", name) for name in sorted(file_names(drawings, ".svg"))]
    # 16,000 paths would take longer to make than their states to read.
    states = ((name, os.stat(path)) for path, name in listed)  # noqa: PTH116
    state = digest(INDEX_VERSION, *(f"{name} {about.st_size} {about.st_mtime_ns}" for name, about in states))
    place = cache_folder() / "indexes" / f"openclipart-{state}.parquet"
    if place.exists():
        return read_table(place)
    keys = [name.removesuffix(".png") for name in names]
    if not keys:
        raise VestigeError(f"openclipart: no pictures below {pictures}: remove the folder and fetch it again")
    records = []
    with progress("indexing openclipart", len(keys)) as advance:
        for key in keys:
            content = content_hash((pictures / f"{key}.png").read_bytes())
            records.append({"key": key, "content": content} | _metadata(drawings / f"{key}.svg"))
            advance()
    table = pa.Table.from_pylist(records, schema=_SCHEMA)
    # Without a place to write to, the index is made anew each time.
    with suppress(PermissionError):
        write_table(place, table)
    return table


def _metadata(drawing: Path) -> dict[str, str | list[str]]:
    """Title, description, tags and licence of the drawing's (first) `cc:Work`."""
    found: dict[str, str | list[str]] = {"title": "", "description": "", "tags": [], "licence": ""}
    try:
        # Expat, which this is built on, bounds what entities expand to and opens no other file.
        work = next((e for e in ElementTree.parse(drawing).iter() if _name(e) == "Work"), None)
    except (OSError, ElementTree.ParseError):
        work = None
    for element in work if work is not None else ():
        name = _name(element)
        if name in {"title", "description"} and not found[name]:
            found[name] = _text(element)
        elif name == "subject" and not found["tags"]:
            found["tags"] = [text for item in element.iter() if _name(item) == "li" and (text := _text(item))]
        elif name == "license":
            found["licence"] = next((value for key, value in element.attrib.items() if key.endswith("resource")), "")
    return found


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _text(element: ElementTree.Element) -> str:
    return " ".join("".join(element.itertext()).split())
