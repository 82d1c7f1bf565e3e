"""Words replaced from WordNet: on a small database in the publisher's layout, and on the real one where it is."""

import pytest

from lexicons import write_database
from vestige.data.generation import accepted
from vestige.data.generation.lexicon import WORDNET, Lexicon
from vestige.data.generation.wordnet import Wordnet, WordnetConfig
from vestige.errors import VestigeError
from vestige.samples import Sample


@pytest.fixture
def database(tmp_path):
    return write_database(tmp_path / "wordnet")


def written(database, caption: str, count: int = 4, key: str = "k", **settings):
    config = WordnetConfig(directory=database, **settings)
    return Wordnet(config).write([Sample(key, key, captions=(caption,))], count)[0]


def test_replaces_words_by_those_of_the_same_sense(database):
    assert written(database, "a dog").captions == ("a hound",)
    assert set(written(database, "a red clock", 2).captions) == {"a ruddy clock", "a crimson clock"}
    assert written(database, "a dog", 3).reason == "the caption's synonyms gave 1 of 3 new captions"


def test_keeps_case_number_and_article(database):
    assert written(database, "Dogs", 1).captions == ("Hounds",)
    assert written(database, "DOGS", 1).captions == ("HOUNDS",)
    assert written(database, "two children", 1).captions == ("two kids",)
    assert written(database, "the kids", 1).captions == ("the children",)
    assert written(database, "A beast of an animal", 1, relation="synonyms").captions == ("A beast of a beast",)


def test_broader_words(database):
    captions = written(database, "a dog", 3, relation="hypernyms").captions
    assert set(captions) == {"a hound", "an animal", "a beast"}


def test_terms_verbs_and_grammar(database):
    assert written(database, "alarm clock").captions == ("timepiece",)
    # "run" is a verb far more often than a noun, and "a" is no angstrom.
    assert written(database, "a run").reason == "no word of the caption has a synonym"
    assert written(database, "they ran").captions == ()
    assert written(database, "").reason == "no word of the caption has a synonym"


def test_a_function_of_seed_and_key(database):
    caption = "red dog and red child with a red alarm"
    both = [Wordnet(WordnetConfig(directory=database), seed) for seed in (1, 2)]
    samples = [Sample(key, key, captions=(caption,)) for key in "abc"]
    whole = both[0].write(samples, 3)
    assert whole[1] == both[0].write(samples[1:2], 3)[0]
    assert len({new.captions for new in whole}) > 1
    assert whole != both[1].write(samples, 3)
    for new in whole:
        assert len(set(new.captions)) == 3
        assert caption not in new.captions


def test_the_share_of_words_replaced(database):
    caption = "red red red red red red red red red red"
    for share, replaced in ((0.1, 1), (0.5, 5), (1.0, 10)):
        text = written(database, caption, 1, share=share).captions[0]
        assert sum(word != "red" for word in text.split()) == replaced


def test_refusals(database, tmp_path):
    with pytest.raises(VestigeError, match=r"no WordNet database in .*index\.noun.*apt-get install wordnet-base"):
        Wordnet(WordnetConfig(directory=tmp_path))
    with pytest.raises(VestigeError, match=r"wordnet\.share is above 0 and at most 1, not 0"):
        Wordnet(WordnetConfig(directory=database, share=0))
    (database / "data.noun").write_text((database / "data.noun").read_text()[7:])
    with pytest.raises(VestigeError, match=r"data\.noun: not a WordNet database file \(byte"):
        written(database, "a dog")
    (database / "index.noun").write_text("dog n 1 1 @\n")
    with pytest.raises(VestigeError, match=r"index\.noun: not a WordNet database file \(entry 1\)"):
        written(database, "a dog")


@pytest.mark.skipif(not (WORDNET / "index.noun").is_file(), reason="wordnet-base is not installed")
def test_the_real_database():
    lexicon = Lexicon(WORDNET)
    assert lexicon.synonyms("dog", "noun") == ("domestic dog", "Canis familiaris")
    assert "canine" in lexicon.broader("dog", "noun")
    assert next(lexicon.base_forms("children")) == ("child", "noun")
    assert next(lexicon.base_forms("running")) == ("run", "verb")
    assert (lexicon.plural("man"), lexicon.plural("domestic dog"), lexicon.plural("city")) == (
        "men",
        "domestic dogs",
        "cities",
    )
    assert written(WORDNET, "a dog").captions == ("a domestic dog",)
    assert written(WORDNET, "who is it").captions == ()


def test_what_is_accepted_as_a_new_caption():
    proposed = ["A  Dog.", "a\ncat\x1b[2J", "", "  ", "A CAT [2J", "x" * 2000, "a bird", "a fish"]
    assert accepted(proposed, ["a dog"], 2) == ("a cat [2J", "a bird")
