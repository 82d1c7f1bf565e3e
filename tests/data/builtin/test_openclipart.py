"""Openclipart: pictures, and what the drawings' metadata say."""

import io

import pytest
from PIL import Image

from vestige.data import open_source
from vestige.data.builtin.fetch import fetch
from vestige.errors import VestigeError
from vestige.samples import Modality

PICTURES, DRAWINGS = "usr/share/openclipart/png", "usr/share/openclipart/svg"
PUBLIC = "http://web.resource.org/cc/PublicDomain"
SVG = """<?xml version="1.0"?>
<svg xmlns="http://www.w3.org/2000/svg"><title>of the drawing, not of the work</title>
<metadata><rdf:RDF xmlns:cc="http://web.resource.org/cc/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><cc:Work rdf:about="">{work}
<dc:creator><cc:Agent><dc:title>somebody</dc:title></cc:Agent></dc:creator>
<cc:license rdf:resource="{licence}"/></cc:Work></rdf:RDF></metadata><path d="M 0 0"/></svg>"""


def png(color: str) -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (4, 4), color).save(held, "PNG")
    return held.getvalue()


def svg(title="", description="", tags=(), licence=PUBLIC) -> bytes:
    bag = "".join(f"<rdf:li>{tag}</rdf:li>" for tag in tags)
    work = f"<dc:title>{title}</dc:title><dc:description>{description}</dc:description>"
    return SVG.format(work=f"{work}<dc:subject><rdf:Bag>{bag}</rdf:Bag></dc:subject>", licence=licence).encode()


@pytest.fixture
def clips(registry):
    drawings = {
        "animals/cat": (png("red"), svg("A  cat\n", "It sleeps.", ["Cat", "unsorted", "", "big_cat"])),
        "animals/cat_again": (png("red"), svg("Un gatto", "HASH(0x85a831c)", ["hash"])),
        "animals/gatto": (png("green"), svg("un GATTO")),
        "plants/rose": (png("blue"), svg("A rose", tags=["flower"])),
        "plants/titleless": (png("pink"), svg(tags=["flower", "tree"])),
        "plants/owned": (png("black"), svg("Owned", licence="http://creativecommons.org/licenses/GPL/2.0/")),
        "plants/blank": (png("white"), svg("Blank", licence="")),
        "plants/broken": (png("grey"), b"<svg><not closed>"),
    }
    picture_links = {f"{PICTURES}/plants/linked.png": "../animals/gatto.png"}
    drawing_links = {f"{DRAWINGS}/plants/linked.svg": "rose.svg"}
    pictures = {f"{PICTURES}/{key}.png": picture for key, (picture, _) in drawings.items()}
    registry.deb("openclipart-png", pictures, links=picture_links)
    texts = {f"{DRAWINGS}/{key}.svg": text for key, (_, text) in drawings.items()}
    registry.deb("openclipart-svg", texts, links=drawing_links)
    return fetch("openclipart") / PICTURES


def test_titles_tags_and_groups(clips):
    source = open_source("openclipart")
    samples = {sample.key: sample for sample in source.samples(source.keys())}
    assert list(samples) == ["animals/cat", "animals/cat_again", "animals/gatto", "plants/linked", "plants/rose"]
    assert samples["animals/cat"].captions == ("A cat",)
    assert samples["animals/cat"].objects == ("cat", "big cat")
    assert samples["animals/cat"].media == {Modality.IMAGE: clips / "animals/cat.png"}
    # One by its bytes with the second, that by its title with the third, and so on over the link.
    assert len({sample.group for sample in samples.values()}) == 1


def test_groups_without_the_link(clips):
    (clips / "plants/linked.png").unlink()
    source = open_source("openclipart")
    groups = {sample.key: sample.group for sample in source.samples(source.keys())}
    assert groups["animals/cat"] == groups["animals/cat_again"] == groups["animals/gatto"] != groups["plants/rose"]


def test_what_is_left_out_is_listed(clips):
    assert dict(open_source("openclipart").skipped()) == {
        "plants/owned": "not in the public domain: http://creativecommons.org/licenses/GPL/2.0/",
        "plants/blank": "no licence is given",
        "plants/broken": "no licence is given",
        "plants/titleless": "no title",
    }


def test_all_captions(clips):
    source = open_source("openclipart", captions="all")
    samples = {sample.key: sample for sample in source.samples(source.keys())}
    assert samples["animals/cat"].captions == ("A cat", "It sleeps.", "Cat, unsorted, big_cat")
    assert samples["plants/titleless"].captions == ("flower, tree",)
    with pytest.raises(VestigeError, match="captions is one of title, all"):
        open_source("openclipart", captions="none")


def test_titles_of_collections_can_be_left_out(clips, monkeypatch):
    monkeypatch.setattr("vestige.data.builtin.openclipart.OFTEN", 1)
    source = open_source("openclipart", titles="own")
    # "Un gatto", on its own key and as "un GATTO", and what is linked to it, whose drawing is the rose.
    titles = [sample.captions[0] for sample in source.samples(source.keys())]
    assert titles == ["A cat"]
    assert dict(source.skipped())["animals/gatto"] == "the title stands on 2 drawings"
    with pytest.raises(VestigeError, match="titles is one of all, own"):
        open_source("openclipart", titles="some")


def test_the_files_are_read_once(clips, tmp_path, capfd):
    open_source("openclipart")
    assert "indexing openclipart" in capfd.readouterr().err
    open_source("openclipart")
    assert "indexing" not in capfd.readouterr().err
    (clips / "plants/rose.png").write_bytes(png("purple") + b"more")
    open_source("openclipart")
    assert "indexing openclipart" in capfd.readouterr().err


def test_the_real_collection(real):
    source = real("openclipart")
    assert len(source) == 8055
    assert len(real("openclipart", captions="all")) == 8056
    reasons = [reason.partition(":")[0] for _, reason in source.skipped()]
    assert {reason: reasons.count(reason) for reason in reasons} == {
        "no licence is given": 61,
        "not in the public domain": 4,
        "no title": 1,
    }
    samples = list(source.samples(source.keys()))
    assert sum(sample.captions == ("gramastar",) for sample in samples) == 1375
    assert len({sample.group for sample in samples if sample.captions == ("gramastar",)}) == 1
