"""Numba, which is optional (`vestige[fast]`): whether it can be used, and functions compiled by it.

It may be missing, be of another NumPy's time, lack a library, or be switched off; its files on disk may be damaged, or
have no place. None of that is worth more than time: without it, torch and NumPy compute the same but for the last bits.
"""

import os
import warnings
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any


@cache
def usable() -> bool:
    """Whether Numba is there, can be loaded (which takes half a second) and compiles."""
    if find_spec("numba") is None or os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        return False
    try:
        import_module("numba")
    except Exception as error:  # what a broken installation raises is not for us to know
        warnings.warn(
            f"Numba is installed but cannot be loaded, and is not used: {error}", RuntimeWarning, stacklevel=3
        )
        return False
    return True


class Compiled:
    """A function as machine code, made at the first call for each kind of arguments, and kept on disk where that works.

    Args:
        function: to compile; what it calls must be compiled too (`numba.njit`).
        options: of `numba.njit`.
    """

    def __init__(self, function: Callable[..., None], **options: Any) -> None:
        from numba import njit

        self.name = function.__name__
        self._again: Callable[[], Any] | None = lambda: njit(function, **options)
        try:
            self._run = njit(function, cache=True, **options)
        except RuntimeError:  # no place to write: neither beside its file nor in the user's cache
            self._run, self._again = self._again(), None

    def __call__(self, *arguments: Any) -> None:
        """Runs it; all results are written to arguments.

        Raises:
            Exception: what compiling raises without the cache too, and lack of memory.
        """
        try:
            self._run(*arguments)
        except MemoryError:  # of the function, which may have written already: twice would not be the same
            raise
        except Exception as error:
            # Before it ran: files of the cache that cannot be read or written, as on a full disk; the rest comes again.
            if self._again is None:
                raise
            self._run, self._again = self._again(), None
            self._run(*arguments)
            reason = f"{type(error).__name__}: {error}"
            warnings.warn(f"{self.name} was compiled for this process alone: {reason}", RuntimeWarning, stacklevel=2)
