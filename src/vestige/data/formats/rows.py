"""Rows of a text table that stay on disk: read through in blocks, read back one by one by their place.

A block is read in the quickest way that gives what the csv module gives line by line: without quotes it is cut at
separators and line ends by NumPy; with quotes it is parsed as one piece; with odd line ends, bytes that are no text,
or anything amiss, it is parsed line by line, which also finds the line to name.
"""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from vestige.errors import VestigeError

BLOCK = 4 * 2**20
# A caption may be long, but a field of megabytes is a quote that was never closed.
LONGEST = 16 * 2**20
csv.field_size_limit(LONGEST)


@dataclass(frozen=True, slots=True)
class Block:
    """Some consecutive rows, R of them.

    Attributes:
        starts: where each row starts in the file, in bytes, int64 [R].
        lines: the line on which each ends, from 1, int64 [R].
        column: the values of a column, stripped, one a row.
        end: where the next block starts; `line` is the line before it.
        undecodable: lines of rows left out because their bytes are no text.
    """

    starts: NDArray[np.int64]
    lines: NDArray[np.int64]
    column: Callable[[int], list[str]]
    end: int
    line: int
    undecodable: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RowFile:
    """The rows of a table below its header.

    Attributes:
        path: the table.
        name: the table as messages call it.
        separator: one character.
        width: how many fields a row has.
        begin: where the first row starts, in bytes; `line` is the line before it.
        quoted: whether fields may be quoted, as csv has it.
        encoding: a text encoding with ASCII's line ends, quotes and separators, see `checked_encoding`.
        undecodable: "error", or "skip" to leave out rows whose bytes are no text.
        model: what says how many fields a row has, for messages.
    """

    path: Path
    name: str
    separator: str
    width: int
    begin: int = 0
    line: int = 0
    quoted: bool = True
    encoding: str = "utf-8"
    undecodable: str = "error"
    model: str = "the header"
    _stamp: tuple[int, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_stamp", self._now())

    def blocks(self) -> Iterator[Block]:
        """All rows, in order; blank lines are none.

        Raises:
            VestigeError: a row has too many or too few fields, is no text, or the quotes are amiss.
        """
        at, line = self.begin, self.line
        with self._open() as file:
            while True:
                file.seek(at)
                data = file.read(BLOCK)
                if not data:
                    return
                data += b"" if data.endswith(b"\n") else file.readline(LONGEST)
                block = self._in_one_piece(data, at, line) or self._line_by_line(file, at, line, len(data))
                yield block
                at, line = block.end, block.line

    @contextmanager
    def reading(self) -> Iterator[Callable[[int], list[str]]]:
        """A function that gives the stripped fields of the row that starts at a place."""
        with self._open() as file:

            def row(start: int) -> list[str]:
                file.seek(start)
                return [value.strip() for value in next(self._reader(_Lines(file, self.encoding)), [])]

            yield row

    def lines_of(self, starts: Sequence[int]) -> list[int]:
        """The lines on which the rows that start at these places end: one more pass, for messages."""
        lines = dict.fromkeys(starts, 0)
        for block in self.blocks():
            within = {start for start in lines if block.starts.size and block.starts[0] <= start < block.end}
            lines |= {start: int(block.lines[np.searchsorted(block.starts, start)]) for start in within}
            if all(lines.values()):
                break
        return [lines[start] for start in starts]

    def error(self, message: str) -> VestigeError:
        return VestigeError(f"{self.name}: {message}")

    def _open(self) -> BinaryIO:
        if self._now() != self._stamp:
            raise self.error("the file has changed since it was opened: start again")
        return self.path.open("rb")

    def _now(self) -> tuple[int, int]:
        status = self.path.stat()
        return status.st_size, status.st_mtime_ns

    def _reader(self, lines: Iterator[str]):
        quoting = csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE
        return csv.reader(lines, delimiter=self.separator, quoting=quoting)

    def _in_one_piece(self, data: bytes, at: int, line: int) -> Block | None:
        """The rows of a block of whole lines, or None if line by line is safer."""
        if self.encoding != "utf-8" or not self.separator.isascii() or data.count(b"\r") != data.count(b"\r\n"):
            return None
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return None
        quoted = self.quoted and b'"' in data
        return self._parsed(data, text, at, line) if quoted else self._cut(data, text, at, line)

    def _parsed(self, data: bytes, text: str, at: int, line: int) -> Block | None:
        breaks = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
        begins = np.concatenate(([0], breaks + 1))
        reader = self._reader(io.StringIO(text, newline="\n"))
        rows, numbers = [], []
        try:
            for fields in reader:
                rows.append(fields)
                numbers.append(reader.line_num)
        except csv.Error:
            return None
        # The last row may go on in the next block, which begins with it; unless the file ends here.
        if at + len(data) < self._stamp[0]:
            rows.pop()
            numbers.pop()
        if not rows or any(len(fields) != self.width for fields in rows if fields):
            return None
        ends = np.array(numbers)
        full = np.array([bool(fields) for fields in rows])
        starts = at + begins[np.concatenate(([0], ends[:-1]))[full]]
        rows = [fields for fields in rows if fields]
        last = int(begins[ends[-1]]) if ends[-1] < len(begins) else len(data)

        def column(number: int) -> list[str]:
            return [fields[number].strip() for fields in rows]

        return Block(starts, line + ends[full], column, at + last, line + int(ends[-1]))

    def _cut(self, data: bytes, text: str, at: int, line: int) -> Block | None:
        characters = np.frombuffer(data, np.uint8)
        breaks = np.flatnonzero(characters == ord("\n"))
        ends = breaks if data.endswith(b"\n") else np.append(breaks, len(data))
        begins = np.concatenate(([0], ends[:-1] + 1))
        ends = ends - ((ends > begins) & (characters[ends - 1] == ord("\r")))
        if np.any(ends - begins > LONGEST):
            return None
        full = ends > begins
        lines = line + 1 + np.flatnonzero(full)
        begins, ends = begins[full], ends[full]
        cuts = np.flatnonzero(characters == ord(self.separator))
        if len(cuts) != len(begins) * (self.width - 1):
            return None
        cuts = cuts.reshape(len(begins), self.width - 1)
        if self.width > 1 and (np.any(cuts[:, 0] < begins) or np.any(cuts[:, -1] >= ends)):
            return None
        short = len(text) == len(data)

        def column(number: int) -> list[str]:
            lows = begins if number == 0 else cuts[:, number - 1] + 1
            highs = ends if number == self.width - 1 else cuts[:, number]
            spans = zip(lows.tolist(), highs.tolist(), strict=True)
            # Places in bytes are places in text where all of it is ASCII.
            if short:
                return [text[low:high].strip() for low, high in spans]
            return [data[low:high].decode().strip() for low, high in spans]

        return Block(begins + at, lines, column, at + len(data), line + len(breaks) + (not data.endswith(b"\n")))

    def _line_by_line(self, file: BinaryIO, at: int, line: int, length: int) -> Block:
        """The rows that start in the next `length` bytes, as the csv module reads them."""
        file.seek(at)
        lines = _Lines(file, self.encoding, at, line)
        reader = self._reader(lines)
        starts, numbers, rows, undecodable = [], [], [], []
        while (start := lines.place) < at + length:
            lines.undecodable = None
            try:
                fields = next(reader, None)
            except csv.Error as error:
                raise self.error(f"cannot be read as a table: {error} (line {lines.line})") from error
            if fields is None:
                break
            if lines.undecodable is not None:
                if self.undecodable == "error":
                    raise self.error(not_text(self.encoding, lines.undecodable))
                undecodable.append(lines.line)
            elif fields:
                if len(fields) != self.width:
                    quote = "quote fields that hold the separator or a line break" if self.quoted else "mend the line"
                    raise self.error(f"line {lines.line} has {len(fields)} fields, {self.model} {self.width}: {quote}")
                starts.append(start)
                numbers.append(lines.line)
                rows.append(fields)
        return Block(
            np.array(starts, np.int64),
            np.array(numbers, np.int64),
            lambda number: [fields[number].strip() for fields in rows],
            lines.place,
            lines.line,
            tuple(undecodable),
        )


def first_line(path: Path, name: str, encoding: str) -> tuple[str, int]:
    """The first line without its end, and where the next starts; a byte order mark is no part of it."""
    with path.open("rb") as file:
        mark = 3 if encoding == "utf-8" and file.read(3) == b"\xef\xbb\xbf" else 0
        file.seek(mark)
        lines = _Lines(file, encoding, mark)
        try:
            text = next(lines, "")
        except csv.Error as error:
            raise VestigeError(f"{name}: cannot be read as a table: {error}") from error
        if lines.undecodable is not None:
            raise VestigeError(f"{name}: {not_text(encoding, lines.undecodable)}")
        return text.rstrip("\r\n"), lines.place


def checked_encoding(name: str, encoding: str) -> str:
    """The canonical name of an encoding whose line ends, quotes and separators are those of ASCII."""
    try:
        if '\r\n\t,";|'.encode(encoding) == b'\r\n\t,";|':
            return "utf-8" if encoding.lower().replace("_", "-") in {"utf-8", "utf8", "utf-8-sig"} else encoding
        what = "is not read"
    except LookupError:
        what = "is unknown"
    raise VestigeError(f"{name}: the encoding {encoding!r} {what}: convert the file to UTF-8")


def not_text(encoding: str, byte: int) -> str:
    called = "UTF-8" if encoding == "utf-8" else encoding
    return (
        f"not {called} (byte {byte}): convert the file to UTF-8, name its encoding with the option encoding, or set"
        " the option undecodable to skip"
    )


class _Lines:
    """The lines of a file as text, one at a time, and where the next one starts.

    Attributes:
        place: where the next line starts, in bytes; `line` is how many came before.
        undecodable: the first byte since this was last cleared that is no text.
    """

    def __init__(self, file: BinaryIO, encoding: str, place: int = 0, line: int = 0) -> None:
        self._file, self._encoding = file, encoding
        self._pieces: Iterator[str] = iter(())
        self.place, self.line = place, line
        self.undecodable: int | None = None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        piece = next(self._pieces, None)
        if piece is None:
            raw = self._file.readline(LONGEST + 1)
            if not raw:
                raise StopIteration
            if len(raw) > LONGEST:
                raise csv.Error(f"a line longer than {LONGEST:,} bytes")
            try:
                text = raw.decode(self._encoding)
            except UnicodeDecodeError as error:
                if self.undecodable is None:
                    self.undecodable = self.place + error.start
                self.place += len(raw)
                self.line += 1
                return raw.decode("ascii", "replace")
            if "\r" not in text:
                self.place += len(raw)
                self.line += 1
                return text
            self._pieces = io.StringIO(text, newline="")
            piece = next(self._pieces)
        self.place += len(piece.encode(self._encoding))
        self.line += 1
        return piece
