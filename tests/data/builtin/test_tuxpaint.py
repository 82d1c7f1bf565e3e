"""Tux Paint's stamps."""

import io

import pytest
from PIL import Image

from vestige.data import open_source
from vestige.data.builtin.fetch import fetch
from vestige.data.media import decode_picture
from vestige.errors import VestigeError
from vestige.samples import Modality

FOLDER = "usr/share/tuxpaint/stamps"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="20" height="10"><rect width="20" height="10" fill="red"/></svg>'


def png() -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (4, 4), "blue").save(held, "PNG")
    return held.getvalue()


@pytest.fixture
def stamps(registry):
    files = {
        "animals/cat.png": png(),
        "animals/cat.svg": SVG,
        "animals/cat.txt": "A cat.\nfr.utf8=Un chat.\nru.utf8=Кот.\nda.utf8=\n".encode(),
        "animals/cat.dat": b"tintable",
        "animals/cat.ogg": b"meow",
        "animals/cat_desc.ogg": b"a cat",
        "animals/cat_desc_fr.ogg": b"un chat",
        "animals/cat_desc_da.ogg": b"words that nobody wrote down",
        "animals/cat_mirror.png": png(),
        "animals/cats/another_cat.svg": SVG,
        "animals/cats/another_cat.txt": b"A CAT.\nfr.utf8=Encore un chat.\n",
        "animals/cats/another_cat_desc_fr.ogg.ogg": b"encore",
        "symbols/seven.png": png(),
        "symbols/seven.txt": b"Seven.\nfr.utf8=Sept.\n",
        "symbols/seven_desc_fr.wav": b"sept",
        "symbols/seven_fr.ogg": b"sept",
        "symbols/sept.png": png(),
        "symbols/sept.txt": b"Number seven.\n",
        "symbols/7.txt": b"Seven, not drawn.\nfr.utf8=Sept.\n",
        "symbols/7_desc_fr.ogg": b"sept",
    }
    registry.deb("tuxpaint-stamps-default", {f"{FOLDER}/{name}": data for name, data in files.items()})
    return fetch("tuxpaint") / FOLDER


def test_pictures_captions_and_speech(stamps):
    source = open_source("tuxpaint")
    samples = {sample.key: sample for sample in source.samples(source.keys())}
    assert list(samples) == ["animals/cat", "animals/cats/another_cat", "symbols/sept", "symbols/seven"]
    cat = samples["animals/cat"]
    assert (cat.captions, cat.label) == (("A cat.",), "animals")
    assert cat.media == {
        Modality.IMAGE: stamps / "animals/cat.png",
        Modality.AUDIO: stamps / "animals/cat_desc_fr.ogg",
    }
    assert samples["animals/cats/another_cat"].media[Modality.AUDIO].name == "another_cat_desc_fr.ogg.ogg"
    assert Modality.AUDIO not in samples["symbols/sept"].media
    assert source.skipped() == [("animals/cat_mirror", "no caption"), ("symbols/7", "no picture")]


def test_one_caption_is_one_group(stamps):
    source = open_source("tuxpaint")
    groups = {sample.key: sample.group for sample in source.samples(source.keys())}
    assert groups["animals/cat"] == groups["animals/cats/another_cat"]
    assert len(set(groups.values())) == 3


def test_one_recording_is_one_group(stamps):
    (stamps / "symbols/seven_desc_fr.wav").write_bytes(b"un chat")
    source = open_source("tuxpaint")
    groups = {sample.key: sample.group for sample in source.samples(source.keys())}
    assert groups["animals/cat"] == groups["symbols/seven"]
    silent = open_source("tuxpaint", sound="none")
    assert len({sample.group for sample in silent.samples(silent.keys())}) == 3


def test_drawings_without_a_picture(stamps):
    medium = next(open_source("tuxpaint").samples(["animals/cats/another_cat"])).media[Modality.IMAGE]
    picture = decode_picture(medium)
    assert picture.size == (20, 10)
    assert picture.getpixel((5, 5)) == (255, 0, 0)


def test_languages_and_sounds(stamps):
    english = open_source("tuxpaint", language="en")
    spoken = [sample.key for sample in english.samples(english.keys()) if Modality.AUDIO in sample.media]
    assert spoken == ["animals/cat"]
    noise = open_source("tuxpaint", sound="noise")
    sounds = [sample.media.get(Modality.AUDIO) for sample in noise.samples(noise.keys())]
    assert [sound.name for sound in sounds if sound is not None] == ["cat.ogg"]
    # Speech without its words is of no use.
    danish = open_source("tuxpaint", language="da")
    assert all(Modality.AUDIO not in sample.media for sample in danish.samples(danish.keys()))


def test_captions(stamps):
    both = next(open_source("tuxpaint", captions="both").samples(["animals/cat"]))
    assert both.captions == ("A cat.", "Un chat.")
    spoken = open_source("tuxpaint", captions="transcript")
    assert "symbols/sept" not in spoken.keys()
    assert ("symbols/sept", "no caption") in spoken.skipped()
    assert next(spoken.samples(["animals/cat"])).captions == ("Un chat.",)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"language": "xx"}, "language is one of da, en, fr, not 'xx'"),
        ({"captions": "x"}, "captions is one of english, transcript, both"),
        ({"sound": "x"}, "sound is one of speech, noise, none"),
    ],
)
def test_refusals(stamps, options, said):
    with pytest.raises(VestigeError, match=said):
        open_source("tuxpaint", **options)


def test_captions_that_are_not_utf8(stamps):
    (stamps / "symbols/7.txt").write_bytes("é".encode("latin-1"))
    with pytest.raises(VestigeError, match="not UTF-8"):
        open_source("tuxpaint")


def test_the_real_stamps(real):
    source = real("tuxpaint")
    assert len(source) == 950
    samples = list(source.samples(source.keys()))
    assert len({sample.captions[0] for sample in samples}) == 804
    assert len({sample.label for sample in samples}) == 16
    spoken = {"fr": 925, "ru": 918, "ca": 915, "ro": 913, "bg": 910, "es": 888, "en": 65}
    for language, count in spoken.items():
        chosen = real("tuxpaint", language=language)
        recordings = [sample.media[Modality.AUDIO] for sample in chosen.samples(_spoken(chosen, samples, language))]
        assert len(recordings) == count
    assert {decode_picture(sample.media[Modality.IMAGE]).mode for sample in samples[::97]} == {"RGB"}


def _spoken(source, samples, language):
    keys = [sample.key for sample in samples]
    return [sample.key for sample in source.samples(keys) if Modality.AUDIO in sample.media]
