"""Words replaced from WordNet: on a small database in the publisher's layout, and on the real one where it is."""

from pathlib import Path

import pytest

from vestige.data.generation import accepted
from vestige.data.generation.lexicon import WORDNET, Lexicon
from vestige.data.generation.wordnet import Wordnet, WordnetConfig
from vestige.errors import VestigeError
from vestige.samples import Sample

LICENCE = "  1 This software and database is being provided to you, the LICENSEE.  \n"
# lemma -> senses, each (words, hypernym lemma); the first sense is the most frequent one.
NOUNS = {
    "dog": [(["dog", "hound", "Canis_familiaris"], "animal"), (["dog", "cad"], None)],
    "hound": [(["dog", "hound", "Canis_familiaris"], "animal")],
    "animal": [(["animal", "beast"], None)],
    "child": [(["child", "kid"], None)],
    "kid": [(["child", "kid"], None)],
    "run": [(["run", "tally"], None)],
    "a": [(["angstrom", "a"], None)],
    "alarm_clock": [(["alarm_clock", "timepiece"], None)],
    "clock": [(["clock"], None)],
    "alarm": [(["alarm", "dismay"], None)],
}
ADJECTIVES = {"red": [(["red", "ruddy(a)", "crimson"], None)]}
VERBS = {"run": [(["run", "jog"], None)]}


def write_database(folder: Path) -> Path:
    """The files of wndb(5WN), with offsets in bytes."""
    folder.mkdir()
    for kind, sign, lemmas in (("noun", "n", NOUNS), ("adj", "a", ADJECTIVES), ("verb", "v", VERBS), ("adv", "r", {})):
        data, offsets = LICENCE, {}
        # The broader synsets first, so that their offsets are known.
        for lemma, senses in sorted(lemmas.items(), key=lambda item: any(broader for _, broader in item[1])):
            for words, broader in senses:
                if tuple(words) in offsets:
                    continue
                offset = offsets[tuple(words)] = len(data)
                pointer = f"001 @ {offsets[tuple(NOUNS[broader][0][0])]:08d} n 0000 " if broader else "000 "
                spelled = " ".join(f"{word} 0" for word in words)
                data += f"{offset:08d} 05 {sign} {len(words):02x} {spelled} {pointer}| gloss of {lemma}  \n"
        index = LICENCE
        for lemma, senses in sorted(lemmas.items()):
            at = " ".join(f"{offsets[tuple(words)]:08d}" for words, _ in senses)
            symbols = "1 @" if any(broader for _, broader in senses) else "0"
            index += f"{lemma} {sign} {len(senses)} {symbols} {len(senses)} 1 {at}  \n"
        (folder / f"data.{kind}").write_text(data)
        (folder / f"index.{kind}").write_text(index)
        (folder / f"{kind}.exc").write_text("children child\n" if kind == "noun" else "ran run\n")
    (folder / "cntlist.rev").write_text("run%2:38:00:: 1 99\nrun%1:11:00:: 1 5\ndog%1:05:00:: 1 42\n")
    return folder


@pytest.fixture
def database(tmp_path):
    return write_database(tmp_path / "wordnet")


def written(database, caption: str, count: int = 4, key: str = "k", **settings):
    config = WordnetConfig(directory=database, **settings)
    return Wordnet(config).write([Sample(key, key, captions=(caption,))], count)[0]


def test_replaces_words_by_those_of_the_same_sense(database):
    assert written(database, "a dog").captions == ("a hound",)
    assert set(written(database, "a red clock", 2).captions) == {"a ruddy clock", "a crimson clock"}
    assert written(database, "a dog", 3).reason == "the caption has synonyms for 1 of 3 new ones"


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
