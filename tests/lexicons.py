"""A small WordNet database, written as the publisher lays it out."""

from pathlib import Path

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
