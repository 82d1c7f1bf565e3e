"""Pillow without its warnings, from any number of threads."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_lock = Lock()
_inside: list[warnings.catch_warnings] = []
_depth = 0


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Ignore Pillow's warnings: of large pictures before our own limit, of harmless oddities in metadata.

    `catch_warnings` alone puts back what it found, and where threads overlap that is what another thread had set, for
    good. So the first thread in changes the filters and the last one out puts them back.
    """
    global _depth
    with _lock:
        _depth += 1
        if _depth == 1:
            _inside.append(warnings.catch_warnings())
            _inside[0].__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                _inside.pop().__exit__(None, None, None)
