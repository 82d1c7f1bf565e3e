"""Large JSON files written anew, an element of a list at a time."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from vestige.data.formats.json_lists import parts

Change = Callable[[str, Any], Iterable[Any]]
"""From the name of a list and one of its elements to what is written in its place."""


def copy_lists(path: Path, out: Path, name: str, change: Change) -> None:
    """Write an object anew whose members are lists; other members stay.

    Args:
        path: the file.
        out: the new one.
        name: the source as messages call it.
        change: of the elements.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", encoding="utf-8") as file:
        file.write("{")
        between, ending, comma = "", "", ""
        for part in parts(path, name):
            if part.first:
                file.write(f"{ending}{between}{json.dumps(part.member)}: {'[' if part.listed else ''}")
                between, ending, comma = ", ", "]" if part.listed else "", ""
            if not part.listed:
                json.dump(part.value, file)
            elif not part.first:
                for element in change(part.member, part.value):
                    file.write(f"{comma}{json.dumps(element)}")
                    comma = ", "
        file.write(f"{ending}}}\n")
