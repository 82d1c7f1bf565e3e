"""Arguments of a verb as a dataclass, by tyro; what it refuses is said in one line, as all refusals are."""

import io
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr
from itertools import groupby
from typing import TypeVar

import tyro

from vestige.errors import VestigeError

Arguments = TypeVar("Arguments")

REQUIRED = re.compile(r"(?<=\s)(--[\w.-]+) (?=[A-Z\[{])")
"""An option in a list of those that are missing, with the kind of its value behind it."""
# Python's words for what is no number, and ours.
PLAINER = (
    (r"Error parsing (\S+): invalid literal for int\(\) with base 10: (.*)", r"\1 takes a whole number, found \2"),
    (r"Error parsing (\S+): could not convert string to float: (.*)", r"\1 takes a number, found \2"),
)


def parsed(kind: type[Arguments], arguments: Sequence[str], program: str) -> Arguments:
    """The arguments as that dataclass; `--help` prints what there is, and ends the program.

    Raises:
        VestigeError: an option that does not exist (names the nearest), or a value that it cannot take.
    """
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            found = tyro.cli(kind, args=list(arguments), prog=program)
    except SystemExit as stopped:
        if not stopped.code:
            raise
        raise VestigeError(refusal(said.getvalue(), program)) from None
    sys.stderr.write(said.getvalue())
    return found


def refusal(box: str, program: str) -> str:
    """What a box of tyro says, in one line: what is wrong, and the option it thinks was meant."""
    parts = list(_parts(box))
    missing = [name for part in parts if part.startswith("Missing from ") for name in REQUIRED.findall(part)]
    unknown = next((part for part in parts if part.startswith("Unrecognized options: ")), None)
    said = unknown or (f"{program} needs {' and '.join(missing)}" if missing else parts[0].rstrip(".!"))
    for pattern, words in PLAINER:
        said = re.sub(pattern, words, said)
    meant = next((re.search(r"--\S+", part) for part in parts if part.startswith("Perhaps you meant")), None)
    return f"{said}{f': do you mean {meant[0]}?' if meant else ''} ({program} --help lists all)"


def _parts(box: str) -> Iterator[str]:
    """The texts between the lines of a box, be it drawn in Unicode or in ASCII, without its title."""
    _, *lines = box.splitlines()
    for text, own in groupby(map(_text, lines), key=bool):
        if text:
            yield " ".join(own)


def _text(line: str) -> str:
    """What stands in a line of a box; nothing in a line of its frame."""
    text = line.strip("│╰╯ ")
    return text if text.strip("─-") else ""
