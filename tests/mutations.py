"""Ways in which files are damaged on disks, by programs and by people who mean harm."""

from collections.abc import Mapping

import numpy as np

ODD = (
    *(b"\0", b"\xff\xfe", b'"', b'""', b"\n", b"\r", b"\r\n\r\n", b"\t", b",", b";", b"|", b"'", b"\\", b"\x1b[31m"),
    *(b"{", b"}", b"[", b"]", b":", b"[" * 3000, b'{"a":' * 3000, b"null", b"true", b"NaN", b"-1", b"1e999", b"0"),
    *(b"9" * 30, b"9" * 5000, b"\\ud800", b"\\u0000", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\xed\xa0\x80", b"\xc3\x28"),
    *(
        b"../../x.jpg",
        b"/dev/zero",
        b"/dev/stdin",
        b"/",
        b"..",
        b"a" * 5000,
        b"pipe:cat x",
        b"https://x.example/y",
        b" ",
    ),
    *(b".jpg", b".", b"*", b"?", b"[!a]", b"%s", b"{0}", b"[red]", b"<b>", b"\xf0\x9f\x90\xb1", b"\x00\x01\x02\x03"),
)


def damaged(data: bytes, random: np.random.Generator) -> bytes:
    """Bytes changed, mostly near the front or the end; a piece cut, doubled, blanked; cut off; odd things put in."""
    found = bytearray(data)
    for _ in range(random.integers(0, 5)):
        if found:
            found[_place(found, random)] = random.choice([0, 1, 9, 10, 34, 127, 128, 255, int(random.integers(256))])
    low, high = sorted(random.integers(0, len(found) + 1, 2).tolist())
    match random.integers(10):
        case 0:
            del found[low:high]
        case 1:
            found[high:high] = found[low:high]
        case 2:
            found[low:high] = bytes(high - low)
        case 3:
            del found[high:]
        case 4 | 5 | 6:
            for _ in range(random.integers(1, 4)):
                place = _place(found, random)
                found[place : place + int(random.integers(0, 5))] = _odd(random)
        case _:
            pass
    return bytes(found)


def substituted(data: bytes, random: np.random.Generator, signs: bytes) -> bytes:
    """Some bytes replaced by others, where neither is one of these signs."""
    found = bytearray(data)
    for _ in range(random.integers(1, 6)):
        place, new = int(random.integers(len(found))), int(random.integers(256))
        if found[place] not in signs and new not in signs:
            found[place] = new
    return bytes(found)


def changed(files: Mapping[str, bytes], random: np.random.Generator) -> dict[str, bytes]:
    """One or two of some files damaged, exchanged, emptied or gone."""
    found = dict(files)
    names = sorted(found)
    tables = [name for name in names if not name.endswith((".jpg", ".png", ".wav", ".mp4"))]
    for _ in range(random.integers(1, 3)):
        # Half of the damage goes to what is parsed.
        name = str(random.choice(tables if tables and random.random() < 0.6 else names))
        match random.integers(16):
            case 0:
                found[name] = b""
            case 1:
                found.pop(name, None)
            case 2:
                other = str(random.choice(names))
                found[name], found[other] = found.get(other, b""), found.get(name, b"")
            case 3:
                found[name] = _odd(random) * int(random.integers(1, 3))
            case _:
                found[name] = damaged(found.get(name, b""), random)
    return found


def _place(data: bytearray, random: np.random.Generator) -> int:
    share = float(random.random() ** random.choice([1, 5]))
    return min(int(len(data) * (share if random.random() < 0.75 else 1 - share)), max(len(data) - 1, 0))


def _odd(random: np.random.Generator) -> bytes:
    return ODD[int(random.integers(len(ODD)))]
