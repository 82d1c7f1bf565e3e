"""Which titles of openclipart are wrong as they stand, judged by the text alone, before any model is trained.

- shared: the title stands on more than 50 pictures: it names a collection or an author, not what is drawn;
- corrupt: an e-mail or web address, HTML entities, control characters, broken encoding, a memory address;
- foreign: letters that English does not have, or a word of grammar of Italian, French or Spanish, or the work of an
  author who titles in Italian (his name stands in the keys; a few of his words are English too).

A rough truth: titles like "Team Sketch" or "card" pass as right, and some foreign names of places do not.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from vestige.data.builtin.openclipart import OFTEN

CORRUPT = re.compile(r"\S+@\S+\.\w+|https?:|www\.|&#?\w+;|[\x00-\x1f\x7f-\x9f\ufffd]|\?\?|HASH\(0x")
_WORDS = """
di del della dello dei delle degli dell il gli con sul sulla nella nel una uno al alla
du des les aux avec sur et une un au el los las y en la le de
"""
GRAMMAR = frozenset(_WORDS.split())
ITALIAN_AUTHOR = re.compile(r"architetto|_arc(h(i(t(e(t)?)?)?)?)?_\d+$|rollandin")
WORD = re.compile(r"[^\W\d_]+")


def wrong_titles(titles: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with a title, by the key of the picture: shared, corrupt or foreign; those that pass are not there.

    Args:
        titles: by key, of the whole collection.
    """
    times = Counter(title.casefold() for title in titles.values())
    found = {}
    for key, title in titles.items():
        if times[title.casefold()] > OFTEN:
            found[key] = "shared"
        elif CORRUPT.search(title):
            found[key] = "corrupt"
        elif _foreign(key, title):
            found[key] = "foreign"
    return found


def _foreign(key: str, title: str) -> bool:
    words: Sequence[str] = WORD.findall(title.casefold())
    return any(not word.isascii() for word in words) or bool(GRAMMAR & set(words)) or bool(ITALIAN_AUTHOR.search(key))
