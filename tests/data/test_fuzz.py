"""Damaged collections of every format end in samples, listed records or one line: never otherwise, never silently."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL.Image import Image as Picture

from layouts import Layout, layouts
from mutations import changed, substituted
from vestige.data import FORMATS, Source, open_source
from vestige.data.adapted import skipped_by
from vestige.data.film import decode_frames
from vestige.data.media import UnreadableMedia, decode_picture
from vestige.data.sound import decode_sound
from vestige.errors import VestigeError
from vestige.samples import Media, Modality

LAYOUTS = {name: layout for name, layout in layouts().items() if layout.form in FORMATS}
# Each reading of these takes a second or so of a library's own work.
SLOW = frozenset({"hf"})
DAMAGED, SUBSTITUTED = 30, 20
LONGEST = 20.0
MEDIA = (".jpg", ".png", ".wav", ".mp4")


@dataclass(frozen=True)
class Outcome:
    """What became of a collection: a refusal, or so many samples with captions, listed records, unreadable media."""

    refused: str = ""
    samples: int = 0
    captions: int = 0
    listed: int = 0
    unreadable: int = 0


def outcome(spec: str, options: Mapping[str, str]) -> Outcome:
    """Read and decode everything."""
    start = time.monotonic()
    try:
        found = _read(open_source(spec, **options))
    except VestigeError as error:
        found = Outcome(refused=_one_line(error))
    assert time.monotonic() - start < LONGEST
    return found


def _read(source: Source) -> Outcome:
    keys = list(source.keys())
    assert len(keys) == len(set(keys)) == len(source) > 0
    captions = unreadable = 0
    seen = []
    for sample in source.samples(source.keys()):
        seen.append(sample.key)
        assert isinstance(sample.key, str)
        assert isinstance(sample.group, str)
        assert all(isinstance(text, str) for text in (*sample.captions, *sample.objects))
        assert sample.label is None or isinstance(sample.label, str)
        for text in (*sample.captions, *sample.objects, sample.label or "", sample.group):
            text.encode()
        captions += len(sample.captions)
        unreadable += sum(not _decoded(modality, medium) for modality, medium in sample.media.items())
    assert seen == keys
    listed = skipped_by(source)
    assert all(isinstance(text, str) and text and "\n" not in text for pair in listed for text in pair)
    last_first = [sample.key for sample in source.samples(keys[::-1])]
    assert last_first == keys[::-1]
    return Outcome("", len(keys), captions, len(listed), unreadable)


def _decoded(modality: Modality, medium: Media) -> bool:
    assert isinstance(medium, Path | bytes | Picture)
    decode = {
        Modality.IMAGE: lambda: decode_picture(medium, 8),
        Modality.AUDIO: lambda: decode_sound(medium, 16_000),
        Modality.VIDEO: lambda: decode_frames(medium, 3),
    }
    try:
        decode[modality]()
    except UnreadableMedia as error:
        return not _one_line(error)
    return True


def _one_line(error: Exception) -> str:
    said = str(error)
    assert said
    assert "\n" not in said
    return said


def damaged_once(layout: Layout, folder: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    files = changed(layout.files, random)
    spec, options = layout.write(folder, files)
    found = outcome(spec, options)
    touched = {name for name in layout.files if files.get(name) != layout.files[name]}
    if touched and all(name.endswith(MEDIA) and name in files for name in touched):
        # The records are whole: all samples are there, or listed.
        assert not found.refused
        assert found.samples + found.listed == layout.records
    parsed = {name for name in touched if not name.endswith(MEDIA)}
    if not found.refused and found.samples < layout.records and all(name.endswith(".tar") for name in parsed):
        # An archive says where it stops; a member that is cut out whole leaves no trace.
        cut = any(len(files.get(name, b"")) < len(layout.files[name]) for name in parsed)
        assert found.listed or cut


def substituted_once(layout: Layout, folder: Path, seed: int) -> None:
    """Bytes other than those that separate records and fields are changed: as many records remain."""
    random = np.random.default_rng(seed)
    tables = [name for name in layout.files if not name.endswith(MEDIA)]
    name = tables[int(random.integers(len(tables)))]
    files = dict(layout.files) | {name: substituted(layout.files[name], random, b'\r\n\t,;|"{}[]:\\')}
    spec, options = layout.write(folder, files)
    found = outcome(spec, options)
    if found.refused or name.endswith(".parquet"):
        return
    if name.endswith(".tar"):
        assert found.samples >= layout.records or found.listed
    elif layout.options.get("repeated_keys") == "merge":
        assert found.captions + found.listed >= layout.records
    else:
        assert found.samples + found.listed >= layout.records


@pytest.mark.parametrize("name", LAYOUTS)
def test_whole_collections_are_read_whole(name, tmp_path):
    layout = LAYOUTS[name]
    spec, options = layout.write(tmp_path)
    found = outcome(spec, options)
    assert (found.refused, found.samples, found.listed, found.unreadable) == ("", layout.records, 0, 0)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", LAYOUTS)
def test_damaged_collections(name, tmp_path):
    layout = LAYOUTS[name]
    for turn in range(2 if layout.form in SLOW else DAMAGED):
        damaged_once(layout, tmp_path / f"d{turn}", 1000 * turn + sum(name.encode()))
    for turn in range(1 if layout.form in SLOW else SUBSTITUTED):
        substituted_once(layout, tmp_path / f"s{turn}", 1000 * turn + sum(name.encode()))
