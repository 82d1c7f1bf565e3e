"""Asterisk's prompts."""

import gzip

import pytest

from vestige.data import open_source
from vestige.data.builtin.fetch import fetch
from vestige.errors import VestigeError
from vestige.samples import Modality

SOUNDS = "usr/share/asterisk/sounds/en_US_f_Allison"
DOCS = "usr/share/doc/asterisk-core-sounds-en"
TEXT = """; Core sounds

beep: [a tone]
digits/1: One
vm-one: one.
time: At the tone: the  time.
lost: No sound.
"""


def put(registry, text):
    names = ("beep", "digits/1", "vm-one", "time", "wordless")
    registry.deb("asterisk-core-sounds-en-wav", {f"{SOUNDS}/{name}.wav": name.encode() for name in names})
    registry.deb("asterisk-core-sounds-en", {f"{DOCS}/core-sounds-en.txt.gz": text})
    fetch("asterisk")


def test_recordings_with_their_words(registry):
    put(registry, gzip.compress(TEXT.encode()))
    source = open_source("asterisk")
    assert list(source.keys()) == ["beep", "digits/1", "time", "vm-one"]
    samples = {sample.key: sample for sample in source.samples(source.keys())}
    assert samples["time"].captions == ("At the tone: the time.",)
    assert samples["vm-one"].media[Modality.AUDIO].read_bytes() == b"vm-one"
    assert samples["vm-one"].group == samples["digits/1"].group == "one"
    assert len({sample.group for sample in samples.values()}) == 3
    assert source.skipped() == [("wordless", "no transcript"), ("lost", "no recording")]


def test_transcripts_that_are_damaged(registry):
    put(registry, b"not gzip")
    with pytest.raises(VestigeError, match="transcripts cannot be read"):
        open_source("asterisk")


def test_the_real_prompts(real):
    source = real("asterisk")
    assert len(source) == 568
    assert source.skipped() == [("pls-try-call-later", "no recording")]
    assert all(sample.media[Modality.AUDIO].is_file() for sample in source.samples(source.keys()))
