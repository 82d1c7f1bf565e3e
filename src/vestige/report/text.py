"""Numbers and untrusted strings as a reader may take them: no false precision, nothing invisible."""

import math
import re

from markupsafe import Markup

MISSING = "–"

# Control characters, and those that turn the direction of the text after them: a caption can hide what it says behind
# them. Direction marks without such power (U+200E, U+200F, U+061C) belong to honest Arabic and Hebrew and stay.
# A lone surrogate (a file name that is not UTF-8) cannot be written at all.
HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(value: object) -> object:
    """A string with every hidden character spelt out, as ⟨U+202E⟩; what is no string, or is markup, as it is."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return HIDDEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", value.replace("\r\n", "\n"))


def cut(text: str, most: int) -> str:
    """At most this many characters, the last one an ellipsis where something is missing."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def brief(name: str, most: int) -> str:
    """A name or path with its beginning and its end, an ellipsis in the middle where it is longer."""
    return name if len(name) <= most else f"{name[: most // 3]}…{name[-(most - 1 - most // 3) :]}"


def finite(value: float | None) -> float | None:
    """The number, or None where it is missing, NaN or infinite."""
    return value if value is not None and math.isfinite(value) else None


def short(value: float | None) -> float | None:
    """The number with as many digits as anybody reads, None where it is not finite."""
    return None if finite(value) is None else float(f"{value:.5g}")


def number(value: float | None, digits: int = 3) -> str:
    """Fixed decimals with a true minus sign; a dash where there is no number, no sign on a zero."""
    value = finite(value)
    if value is None:
        return MISSING
    text = f"{abs(value):,.{digits}f}"
    return f"−{text}" if value < 0 and any(digit in "123456789" for digit in text) else text


def percent(value: float | None, digits: int = 1) -> str:
    """A share in [0, 1] as a percentage."""
    value = finite(value)
    return MISSING if value is None else f"{number(100 * value, digits)}%"


def interval(low: float | None, high: float | None, digits: int = 3) -> str:
    """`low to high`; a dash unless both are there."""
    if finite(low) is None or finite(high) is None:
        return MISSING
    return f"{number(low, digits)} to {number(high, digits)}"


def small(value: float | None) -> str:
    """A p- or q-value: `0.012`, `< 0.001`; a dash where there is none."""
    value = finite(value)
    if value is None:
        return MISSING
    return "< 0.001" if value < 0.001 else number(value)
