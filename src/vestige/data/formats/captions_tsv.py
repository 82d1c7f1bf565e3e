"""Tables without a header that name pictures on the web: Conceptual Captions (CC3M) and YFCC100M."""

import hashlib
import html
import json
import re
import zlib
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_plus

import numpy as np
from numpy.typing import NDArray

from vestige.data.formats.picture_files import PictureFiles, plain
from vestige.data.formats.rows import Block, RowFile, first_line
from vestige.errors import VestigeError
from vestige.samples import Modality, Sample

CHECKED = 64
ABSENT, SEVERAL, SHARED, VIDEO, WORDLESS, REPEATED = range(6)
REASONS = (
    "no picture of it in the folder",
    "several pictures in the folder have its name",
    "another row names a picture of the same name",
    "a video, of which there is no picture",
    "no caption",
    "its photo is in the table before",
)
_TAG = re.compile(r"<[^<>]*>")


@dataclass(frozen=True)
class Table:
    """Where a publisher's table holds what.

    Attributes:
        captions: columns of the captions, in this order; web-encoded if `encoded`.
        url: column of the picture's address; `photo` of its number, `digest` of the hash that names it, `kind` of a
            1 for videos. None where there is none.
    """

    captions: tuple[int, ...]
    url: int
    encoded: bool = False
    photo: int | None = None
    digest: int | None = None
    kind: int | None = None

    def stems(self, naming: str, block: Block, first: int) -> list[str]:
        """What the picture of each row is called by a convention, in a block that begins with the row `first`."""
        if naming == "number":
            return [str(first + row) for row in range(len(block.starts))]
        if naming == "photo":
            return [plain(value) for value in block.column(self.photo or 0)]
        if naming == "digest":
            return [plain(value) for value in block.column(self.digest or 0)]
        return [plain(_NAMED[naming](url)) for url in block.column(self.url)]

    @property
    def namings(self) -> tuple[str, ...]:
        return (*(("photo", "digest") if self.photo is not None else ()), "number", *_NAMED)


def _basename(url: str) -> str:
    base = url.partition("?")[0].rpartition("/")[2]
    return base.rpartition(".")[0] or base


_NAMED: Mapping[str, Callable[[str], str]] = {
    "md5": lambda url: hashlib.md5(url.encode(), usedforsecurity=False).hexdigest(),
    "crc32": lambda url: str(zlib.crc32(url.encode())),
    "basename": _basename,
}
CC3M = Table(captions=(0,), url=1)
# Line, photo, hash, user, nick, taken, uploaded, device, title, description, tags, machine tags, longitude, latitude,
# accuracy, page, download, license, its address, server, farm, secret, secret of the original, extension, video or not.
YFCC = Table(captions=(8, 9), url=16, encoded=True, photo=1, digest=2, kind=24)
WIDTHS: Mapping[int, Table] = {2: CC3M, 25: YFCC}


class CaptionTsv:
    """CC3M's `caption<TAB>url` (with or without that header), or YFCC100M's 25 columns, and the pictures on disk.

    Key and group: for CC3M the row's number, from 0, in nine digits as img2dataset counts, and its address; for YFCC
    the photo's number. Captions: CC3M's one; YFCC's title and description, decoded, without tags. Rows whose picture
    is not on disk are skipped and listed.

    Args:
        path: the table, or a folder that holds one `*.tsv`.
        pictures: the folder with the pictures, at any depth; the table's folder when not given.
        naming: what pictures are named after: "number" of the row (img2dataset), "md5", "crc32" or "basename" of the
            address; for YFCC also "photo" and "digest". The one that finds most when not given.
        subset: for YFCC, a table `line<TAB>photo<TAB>hash` of the photos to take, as OpenAI published it.

    Attributes:
        pictures: the folder with the pictures.
    """

    def __init__(
        self, path: Path, pictures: str | None = None, naming: str | None = None, subset: str | None = None
    ) -> None:
        self._name = f"tsv:{path}"
        self._file, self._table = self._opened(path)
        self.pictures = folder = Path(pictures) if pictures else self._file.path.parent
        if not folder.is_dir():
            raise self._error(f"pictures: no folder {folder}")
        if naming is not None and naming not in self._table.namings:
            raise self._error(f"naming is one of {', '.join(self._table.namings)}, not {naming!r}")
        if subset and self._table.photo is None:
            raise self._error("the option subset is for YFCC's table of 25 columns; this one has 2")
        self._pictures = PictureFiles(folder)
        self._naming = naming or self._found_naming(folder)
        wanted = self._photos(Path(subset)) if subset else None
        self._skipped_ids, self._skipped_reasons = array("q"), bytearray()
        self._ids, self._starts, self._files = self._indexed(wanted)
        if not len(self._ids):
            raise self._error(
                f"none of {len(self._skipped_ids)} rows has its picture below {folder} ({len(self._pictures)} files"
                f" there, looked up by {self._naming}): set the options pictures and naming"
            )
        self._order = np.argsort(self._ids)
        self._check_sidecars()

    @property
    def path(self) -> Path:
        """The table."""
        return self._file.path

    @property
    def headed(self) -> bool:
        """Whether its first line is a header."""
        return self._file.line == 1

    @property
    def layout(self) -> Table:
        return self._table

    @property
    def naming(self) -> str:
        return self._naming

    def key_of(self, row: int, fields: Sequence[str]) -> str:
        """The key of a row by its number, from 0, and its fields."""
        photo = self._table.photo
        return self._key(row if photo is None else int(fields[photo]))

    def __len__(self) -> int:
        return len(self._ids)

    def keys(self) -> Sequence[str]:
        return tuple(map(self._key, self._ids.tolist()))

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        with self._file.reading() as row:
            for key in keys:
                at = self._position(key)
                yield self._sample(key, row(int(self._starts[at])), self._pictures.path(int(self._files[at])))

    def skipped(self) -> Sequence[tuple[str, str]]:
        listed = zip(self._skipped_ids, self._skipped_reasons, strict=True)
        return [(self._key(number), REASONS[reason]) for number, reason in listed]

    def _error(self, message: str) -> VestigeError:
        return VestigeError(f"{self._name}: {message}")

    def _key(self, number: int) -> str:
        return f"{number:09d}" if self._table.photo is None else str(number)

    def _position(self, key: str) -> int:
        number = int(key) if key.isdecimal() and len(key) < 19 else -1
        place = int(np.searchsorted(self._ids, number, sorter=self._order))
        at = int(self._order[place]) if place < len(self._ids) else -1
        if at < 0 or self._key(int(self._ids[at])) != key:
            raise KeyError(key)
        return at

    def _sample(self, key: str, fields: Sequence[str], picture: Path) -> Sample:
        texts = _captions(self._table, [fields[column] for column in self._table.captions])
        group = key if self._table.photo is not None else fields[self._table.url]
        return Sample(key, group, {Modality.IMAGE: picture}, texts)

    def _opened(self, path: Path) -> tuple[RowFile, Table]:
        if path.is_dir():
            tables = sorted(path.glob("*.tsv"))
            if len(tables) != 1:
                names = ", ".join(table.name for table in tables) or "none"
                raise self._error(f"a folder with one *.tsv is expected, found {names}: name the file")
            path = tables[0]
        if not path.is_file():
            raise self._error("not a file" if path.exists() else "no such file")
        line, begin = first_line(path, self._name, "utf-8")
        fields = line.split("\t")
        if len(fields) not in WIDTHS:
            raise self._error(
                f"its first line has {len(fields)} fields; caption<TAB>url (CC3M) has 2, YFCC100M's table 25:"
                " for other tables use csv:FILE"
            )
        headed = [value.strip().lower() for value in fields] == ["caption", "url"]
        start, line_number = (begin, 1) if headed else (first_line_begin(path), 0)
        file = RowFile(path, self._name, "\t", len(fields), start, line_number, quoted=False, model="the first line")
        return file, WIDTHS[len(fields)]

    def _found_naming(self, folder: Path) -> str:
        """The convention that finds most pictures in the first block that has any."""
        first = 0
        for block in self._file.blocks():
            hits = {
                naming: sum(map(bool, self._pictures.found(self._table.stems(naming, block, first))))
                for naming in self._table.namings
            }
            if any(hits.values()):
                return max(hits, key=lambda naming: hits[naming])
            first += len(block.starts)
        raise self._error(
            f"no row has its picture below {folder} ({len(self._pictures)} pictures there): set the option pictures;"
            f" they are looked up by {', '.join(self._table.namings)}"
        )

    def _photos(self, path: Path) -> NDArray[np.int64]:
        if not path.is_file():
            raise self._error(f"subset: no file {path}")
        file = RowFile(path, f"{self._name}: subset", "\t", 3, quoted=False, model="a row of it")
        photos = [number for block in file.blocks() for number in self._numbers(block, 1)]
        return np.unique(np.array(photos, np.int64))

    def _numbers(self, block: Block, column: int) -> list[int]:
        values = block.column(column)
        for line, value in zip(block.lines, values, strict=True):
            if not value.isdecimal() or len(value) > 18:
                raise self._error(f"line {line}: {value[:40]!r} is not the number of a photo")
        return list(map(int, values))

    def _indexed(self, wanted: NDArray[np.int64] | None) -> tuple[NDArray[np.int64], ...]:
        """Number, place in the table, and file of every row that can be used."""
        ids, starts, files, first = array("q"), array("q"), array("q"), 0
        for block in self._file.blocks():
            stems = self._table.stems(self._naming, block, first)
            count = len(stems)
            photos = self._table.photo
            numbers = list(range(first, first + count)) if photos is None else self._numbers(block, photos)
            taken = np.ones(count, np.bool_) if wanted is None else np.isin(numbers, wanted)
            found_of_rows = self._pictures.found(stems)
            starts_of_rows = block.starts.tolist()
            rows = zip(taken, numbers, starts_of_rows, found_of_rows, self._troubles(block), strict=True)
            for take, number, start, found, trouble in rows:
                if not take:
                    continue
                if trouble is None and len(found) != 1:
                    trouble = SEVERAL if found else ABSENT
                if trouble is None:
                    ids.append(number)
                    starts.append(start)
                    files.append(found[0])
                else:
                    self._skip(number, trouble)
            first += count
        return self._once(*(np.frombuffer(column, np.int64) for column in (ids, starts, files)))

    def _once(self, ids: NDArray[np.int64], *others: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """Without rows that repeat a photo, and without any that share a picture: it is not known whose it is."""
        _, place, counts = np.unique(others[-1], return_inverse=True, return_counts=True)
        repeated = np.ones(len(ids), np.bool_)
        repeated[np.unique(ids, return_index=True)[1]] = False
        shared = (counts[place] > 1) & ~repeated if self._naming == "basename" else np.zeros(len(ids), np.bool_)
        for rows, reason in ((repeated, REPEATED), (shared, SHARED)):
            for number in ids[rows].tolist():
                self._skip(number, reason)
        kept = ~(repeated | shared)
        return tuple(column[kept] for column in (ids, *others))

    def _skip(self, number: int, reason: int) -> None:
        self._skipped_ids.append(number)
        self._skipped_reasons.append(reason)

    def _troubles(self, block: Block) -> Iterator[int | None]:
        """Why the row cannot be used, whatever pictures there are."""
        kinds = block.column(self._table.kind) if self._table.kind is not None else ["0"] * len(block.starts)
        texts = zip(*(block.column(column) for column in self._table.captions), strict=True)
        for kind, captions in zip(kinds, texts, strict=True):
            wordless = not _captions(self._table, captions)
            yield VIDEO if kind == "1" else WORDLESS if wordless else None

    def _check_sidecars(self) -> None:
        """Pictures numbered otherwise would get other pictures' captions: img2dataset notes the address beside each."""
        if self._naming != "number":
            return
        some = np.unique(np.linspace(0, len(self._ids) - 1, CHECKED, dtype=np.int64)).tolist()
        with self._file.reading() as row:
            for at in some:
                picture = self._pictures.path(int(self._files[at]))
                url = _noted_url(picture.with_suffix(".json"))
                if url is not None and url != row(int(self._starts[at]))[self._table.url]:
                    raise self._error(
                        f"{picture.name} is not the picture of row {self._ids[at]}: {picture.stem}.json names another"
                        " address; open img2dataset's output as webdataset:FILES or folder:DIR instead"
                    )


def first_line_begin(path: Path) -> int:
    with path.open("rb") as file:
        return 3 if file.read(3) == b"\xef\xbb\xbf" else 0


def _captions(table: Table, texts: Sequence[str]) -> tuple[str, ...]:
    if table.encoded:
        texts = [" ".join(html.unescape(_TAG.sub(" ", unquote_plus(text))).split()) for text in texts]
    return tuple(dict.fromkeys(text for text in texts if text))


def _noted_url(path: Path) -> str | None:
    try:
        noted = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    url = noted.get("url") if isinstance(noted, dict) else None
    return url if isinstance(url, str) else None
