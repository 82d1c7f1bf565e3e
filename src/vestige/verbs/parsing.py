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

FRAME = "│╭╮╰╯─"
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
    """What a box of tyro says, in one line: its first part, and the option it thinks was meant."""
    first, *rest = _parts(box)
    for pattern, words in PLAINER:
        first = re.sub(pattern, words, first)
    near = next((part for part in rest if part.startswith("Perhaps you meant")), "")
    meant = re.search(r"--\S+", near)
    return f"{first.rstrip('.!')}{f': do you mean {meant[0]}?' if meant else ''} ({program} --help lists all)"


def _parts(box: str) -> Iterator[str]:
    """The texts between the lines of a box, without its title."""
    lines = [line.strip(FRAME + " ") if line.lstrip().startswith("│") else "" for line in box.splitlines()]
    for text, own in groupby(lines, key=bool):
        if text:
            yield " ".join(own)
