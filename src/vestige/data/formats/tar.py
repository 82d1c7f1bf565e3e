"""What a tar archive holds: names, places and sizes, from its headers alone. Nothing is extracted.

Python's own `tarfile` makes an object of a kilobyte a member and trusts the sizes it finds: a negative one makes some
of its versions read for ever, a large one makes them ask for that much memory. Archives of strangers with millions of
members need neither.
"""

import os
import re
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from vestige.data.formats.filenames import printable

BLOCK = 512
# One read that covers a header, the small files behind it and their headers.
WINDOW = 4096
CHUNK = 2**20
# Long names and pax records: what is larger is no name.
LONGEST_RECORD = 2**20
ADLER = 65521

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_COMPRESSED = {
    b"\x1f\x8b": "gunzip",
    b"BZh": "bunzip2",
    b"\xfd7zXZ": "unxz",
    b"\x28\xb5\x2f\xfd": "zstd -d",
}
_OTHERS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a pipe",
    b"S": "a sparse file",
}


class Member(NamedTuple):
    """A file in an archive.

    Attributes:
        name: as in the archive; bytes that are not UTF-8 and control characters are escaped with a backslash.
        offset, size: where its bytes lie.
        trouble: why it cannot be used; empty if it can.
        begin: where its headers start, those of its long name too.
    """

    name: str
    offset: int
    size: int
    trouble: str
    begin: int


class NotATar(Exception):
    """The message says what it is instead."""


class Damaged(Exception):
    """Where and why the archive cannot be read any further; what came before is whole."""


class Tar:
    """An archive opened for reading at any place; it may be shared by threads that only `read`."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._length = os.fstat(self._file).st_size

    def close(self) -> None:
        os.close(self._file)

    def read(self, offset: int, size: int) -> bytes:
        """The bytes there; fewer where the file has been cut since."""
        data = os.pread(self._file, size, offset)
        while len(data) < size and (more := os.pread(self._file, size - len(data), offset + len(data))):
            data += more
        return data

    def members(self) -> Iterator[Member]:
        """The files of the archive, in its order. Folders are left out.

        Raises:
            NotATar: it is no archive, or a compressed one.
            Damaged: it goes wrong somewhere, after all members before that place.
        """
        at, extra, window, start, begin = 0, {}, b"", 0, None
        while True:
            if not start <= at <= start + len(window) - BLOCK:
                window, start = os.pread(self._file, WINDOW, at), at
            header = window[at - start : at - start + BLOCK]
            if header.count(0) == BLOCK:
                self._refuse_more(at)
                return
            if len(header) < BLOCK:
                if header and at == 0:
                    raise NotATar(_instead(header))
                raise Damaged(f"ends at byte {self._length} without an end mark: the file may have been cut short")
            try:
                kind, size = _checked(header)
            except ValueError as error:
                if at == 0:
                    raise NotATar(_instead(header)) from error
                raise Damaged(f"damaged header at byte {at} ({error}): the rest is not read") from error
            begin = at if begin is None else begin
            at += BLOCK
            if kind in b"xXLK":
                if size > LONGEST_RECORD:
                    raise Damaged(f"a name of {size:,} bytes at byte {at - BLOCK}: the rest is not read")
                if at + size > self._length:
                    raise Damaged(f"ends at byte {self._length} within a name: the file has been cut short")
                inside = window[at - start : at - start + size]
                extra |= _records(kind, inside if len(inside) == size else self.read(at, size), at)
            elif kind != b"g" and kind != b"5":
                name, size, trouble = _named(header, kind, size, extra, at)
                extra = {}
                if at + size > self._length:
                    raise Damaged(f"ends at byte {self._length} within {name}: the file has been cut short")
                if not (kind == b"\0" and name.endswith("/")):
                    yield Member(name, at, size, trouble, begin)
                begin = None
            else:
                # Of a folder, or of the whole archive: a comment.
                extra, begin = {}, None
            at += -(-size // BLOCK) * BLOCK

    def _refuse_more(self, end: int) -> None:
        """Nothing but zeros follows the end mark; else it may be a hole in the archive, or another one joined to it."""
        for at in range(end, self._length, CHUNK):
            rest = os.pread(self._file, CHUNK, at)
            if rest.count(0) < len(rest):
                place = at + len(rest) - len(rest.lstrip(b"\0"))
                raise Damaged(f"more follows at byte {place}, after the end mark at byte {end}: the rest is not read")


def _checked(header: bytes) -> tuple[bytes, int]:
    """Kind and size of a member. Links, devices and folders have no bytes, whatever their header says."""
    stated = _number(header[148:156])
    # The checksum is the sum of all bytes, its own eight counted as blanks; adler32 started at 0 sums at C's speed.
    summed = (zlib.adler32(header[156:], zlib.adler32(header[:148], 0) & 0xFFFF) & 0xFFFF) + 8 * 0x20
    if summed % ADLER != stated % ADLER:
        raise ValueError("wrong checksum")
    kind = header[156:157]
    return kind, 0 if kind in b"123456" else _number(header[124:136])


def _number(field: bytes) -> int:
    """Octal digits, or base 256 after a first bit of 1."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:])
    digits = field.partition(b"\0")[0].strip()
    if digits and not digits.isdigit():
        raise ValueError("a size that is no number")
    return int(digits or b"0", 8)


def _instead(header: bytes) -> str:
    for magic, command in _COMPRESSED.items():
        if header.startswith(magic):
            return f"a compressed archive, in which no sample can be looked up: decompress it first ({command})"
    return f"not a tar archive (it begins with {header[:16]!r})"


def _records(kind: bytes, data: bytes, at: int) -> dict[str, bytes]:
    """Long names (GNU), or the lines `LENGTH key=value` of pax."""
    if kind in b"LK":
        return {"path": data.rstrip(b"\0")} if kind == b"L" else {}
    records, start = {}, 0
    while start < len(data) and data[start : start + 1] != b"\0":
        length, _, rest = data[start : start + 24].partition(b" ")
        end = start + int(length) if length.isdigit() else 0
        key, equals, value = data[start + len(length) + 1 : end - 1].partition(b"=")
        if not (start < end <= len(data) and rest and equals and data[end - 1] == 0x0A):
            raise Damaged(f"damaged pax record at byte {at + start}: the rest is not read")
        records[key.decode("ascii", "replace")] = value
        start = end
    return records


def _named(header: bytes, kind: bytes, size: int, extra: dict[str, bytes], at: int) -> tuple[str, int, str]:
    """Name, size and trouble of a member, with what the records before it say."""
    raw = extra.get("path")
    if raw is None:
        raw = header[:100].partition(b"\0")[0]
        if header[257:263] == b"ustar\0" and header[345]:
            raw = header[345:500].partition(b"\0")[0] + b"/" + raw
    name = printable(raw)
    stated = extra.get("size")
    if stated is not None and kind not in b"123456":
        if not stated.isdigit() or len(stated) > 20:
            raise Damaged(f"a size that is no number at byte {at - BLOCK}: the rest is not read")
        size = int(stated)
    if kind in _OTHERS:
        return name, size, f"{_OTHERS[kind]}, not a file"
    if kind not in b"0\x007":
        return name, size, f"of unknown kind {kind!r}"
    if "GNU.sparse.major" in extra or "GNU.sparse.map" in extra or "GNU.sparse.size" in extra:
        return name, size, "a sparse file, not a plain one"
    if raw.startswith((b"/", b"\\")) or _DRIVE.match(name):
        return name, size, "an absolute name"
    if b".." in raw and b".." in raw.replace(b"\\", b"/").split(b"/"):
        return name, size, "a name that leads out of its folder"
    return name, size, ""
