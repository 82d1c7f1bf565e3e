"""Options of sources arrive as strings; what they may be is checked in one place."""

from collections.abc import Iterable

from vestige.errors import VestigeError


def one_of(source: str, option: str, value: str, known: Iterable[str]) -> str:
    """The value, where it is known.

    Raises:
        VestigeError: it is not; the message lists what is.
    """
    names = list(known)
    if value not in names:
        raise VestigeError(f"{source}: {option} is one of {', '.join(names)}, not {value!r}")
    return value
