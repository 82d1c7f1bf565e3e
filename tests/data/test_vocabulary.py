"""Names of objects, normalised."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.data.vocabulary import IRREGULAR, UNCHANGED, Vocabulary, read_synonyms
from vestige.errors import VestigeError


@pytest.mark.parametrize(
    ("label", "name"),
    [
        *(("Dogs ", "dog"), ("traffic_LIGHTS", "traffic light"), ("ＣＡＴ", "cat"), ("Straße", "strasse")),
        *(("berries", "berry"), ("boxes", "box"), ("dresses", "dress"), ("watches", "watch"), ("brushes", "brush")),
        *(("horses", "horse"), ("houses", "house"), ("tomatoes", "tomato"), ("people", "person"), ("wolves", "wolf")),
        *(("bus", "bus"), ("glass", "glass"), ("tennis", "tennis"), ("scissors", "scissors"), ("gas", "gas")),
        *(("wine glasses", "wine glasses"), ("ties", "tie"), ("potted plants", "potted plant"), ("tv", "tv")),
        *(("cactus", "cactus"), ("knives", "knife"), ("a\u0000b", "a b"), ("...", ""), (" ", "")),
    ],
)
def test_names(label, name):
    assert Vocabulary().name(label) == name


@given(st.text())
def test_a_name_is_its_own_name(label):
    vocabulary = Vocabulary()
    name = vocabulary.name(label)
    # Letters that change under repeated folding, and plurals of plurals ("xsss"), are nobody's labels.
    if name.isascii() and not name.endswith("s"):
        assert vocabulary.name(name) == name


def test_exceptions_do_not_contradict_each_other():
    assert not UNCHANGED & set(IRREGULAR)
    for name in (*UNCHANGED, *IRREGULAR.values()):
        assert Vocabulary().name(name) == name


FORMS = {
    "s.csv": 'variant,name\nPuppies,dog\n"motor bike",Motorcycles\n',
    "s.json": json.dumps({"puppies": "dog", "Motor_Bike": "motorcycle"}),
    "s.yaml": "dog: [puppies]\nmotorcycle: [motor bike]\n",
}


@pytest.mark.parametrize("name", FORMS)
def test_synonyms(tmp_path, name):
    (tmp_path / name).write_text(FORMS[name])
    vocabulary = read_synonyms(tmp_path / name)
    assert [vocabulary.name(label) for label in ("Puppies", "MOTOR bikes", "cats")] == ["dog", "motorcycle", "cat"]
    merges = vocabulary.merges(["puppies", "Dog", "dog", "dog", "cat"])
    assert merges == {"dog": {"dog": 2, "puppies": 1, "Dog": 1}}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("s.csv", "a,b,c\n", "row 1 has 3 columns"),
        ("s.json", "[1]", "expected a mapping"),
        ("s.json", "{", "cannot be read"),
        ("s.yaml", "a: {b: c}", "'a' leads to"),
        ("s.txt", "a b", "ends in .csv, .json or .yaml"),
        ("s.csv", "pup,dog\npup,cat\n", "'pup' has two names, 'dog' and 'cat'"),
        ("s.csv", "pup,dog\ndog,animal\n", "'pup' is 'dog', which is 'animal'"),
        ("s.csv", "...,dog\n", "is empty"),
    ],
)
def test_bad_synonyms(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(VestigeError, match=words) as error:
        read_synonyms(tmp_path / name)
    assert "\n" not in str(error.value)
    with pytest.raises(VestigeError, match="no such file of synonyms"):
        read_synonyms(tmp_path / "none.csv")
