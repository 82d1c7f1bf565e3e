"""The command line: which verb, and what a refusal looks like: one line, exit code 2."""

import errno
import importlib
import os
import sys
from collections.abc import Sequence
from importlib import metadata

from safetensors import SafetensorError

from vestige.errors import VestigeError
from vestige.progress import say
from vestige.shortage import shortage
from vestige.verbs import VERBS

DEBUG = "VESTIGE_DEBUG"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; the exit code is 0, 2 for bad input, 130 when interrupted, 1 for a fault of Vestige."""
    # Nothing is fetched at run time; libraries that would like to are told so before they are imported.
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        os.environ.setdefault(name, "1")
    verb, *rest = (sys.argv[1:] if arguments is None else arguments) or [""]
    if verb in {"", "-h", "--help"}:
        print(_usage())
        return 0 if verb else 2
    if verb == "--version":
        print(metadata.version("vestige"))
        return 0
    if verb not in VERBS:
        return _refuse(f"unknown verb {verb!r}: one of {', '.join(VERBS)}")
    try:
        importlib.import_module(f"vestige.verbs.{verb}").main(rest)
    # The metrics and pyarrow say what is wrong with a tensor or a file in the one line of a ValueError.
    except (VestigeError, ValueError) as error:
        return _refuse(" ".join(str(error).split()))
    except KeyboardInterrupt:
        say("")
        say("stopped: give the same command again to go on from here")
        return 130
    except Exception as error:
        if lacking := shortage(error):
            return _refuse(lacking)
        if isinstance(error, OSError):
            if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
                return _refuse(f"{error.strerror}: {error.filename}: name another place with --out")
            return _refuse(" ".join(str(error).split()))
        if isinstance(error, SafetensorError):
            return _refuse(f"a file of tensors cannot be read or written: {error}")
        # A fault of ours: one line for the user, and the way to what a report of it needs.
        if os.environ.get(DEBUG):
            raise
        _refuse(
            f"unexpected {type(error).__name__}: {' '.join(str(error).split())} ({DEBUG}=1 shows where; please report)"
        )
        return 1
    return 0


def _refuse(message: str) -> int:
    say(f"vestige: {message}")
    return 2


def _usage() -> str:
    """What the verbs are."""
    indent = max(map(len, VERBS)) + 4
    lines = [
        f"  {verb.ljust(indent - 2)}{what.replace(chr(10), chr(10) + ' ' * indent)}" for verb, what in VERBS.items()
    ]
    return "\n".join(["usage: vestige VERB ...", "", *lines, "", "`vestige VERB --help` lists the settings of a verb."])
