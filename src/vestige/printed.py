"""Texts of strangers on a terminal: captions, keys and file names may hold anything, even commands to it."""

LONGEST = 120


def printable(text: str, longest: int | None = LONGEST) -> str:
    """The text on one line, with what does not print (control signs, halves of pairs) escaped, cut to a length."""
    if longest is not None and len(text) > longest:
        text = text[: longest - 3] + "..."
    return "".join(sign if sign.isprintable() else _escaped(sign) for sign in text)


def _escaped(sign: str) -> str:
    code = ord(sign)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
