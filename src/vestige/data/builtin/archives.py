"""Packages unpacked without their package managers: .deb, .tgz and .whl. Only the parts asked for, never outside."""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from vestige.errors import VestigeError

MAGIC = b"!<arch>\n"
HEADER = 60


@dataclass(frozen=True)
class _Member:
    name: str
    start: int
    size: int


def unpack(archive: Path, parts: Sequence[str], folder: Path) -> None:
    """Unpack the parts (folders and files inside the archive) into a folder.

    Raises:
        VestigeError: not a package of a known kind, damaged, or with files that would land outside the folder.
    """
    kinds: dict[str, Callable[[Path, Sequence[str], Path], None]] = {".deb": _deb, ".tgz": _tgz, ".whl": _wheel}
    if archive.suffix not in kinds:
        raise VestigeError(f"{archive.name}: not a package of a known kind ({', '.join(kinds)})")
    with _refusing(archive):
        kinds[archive.suffix](archive, parts, folder)


@contextmanager
def _refusing(archive: Path) -> Iterator[None]:
    """Say of a damaged or hostile package in one line that it is."""
    try:
        yield
    except (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, ValueError) as error:
        raise VestigeError(f"{archive.name}: the package cannot be unpacked: {error}; fetch it again") from error


def deb_control(archive: Path) -> dict[str, str]:
    """The fields of a Debian package's control file: Package, Version, ..."""
    with _refusing(archive), _deb_tar(archive, "control.tar") as tar:
        for member in tar:
            if PurePosixPath(member.name).name == "control" and member.isfile():
                text = tar.extractfile(member)
                lines = text.read().decode("utf-8", "replace").splitlines() if text else []
                fields = (line.partition(":") for line in lines if line[:1].strip())
                return {name: value.strip() for name, _, value in fields}
    raise VestigeError(f"{archive.name}: a Debian package without a control file")


def _deb(archive: Path, parts: Sequence[str], folder: Path) -> None:
    with _deb_tar(archive, "data.tar") as tar:
        _extract(tar, parts, folder)


def _tgz(archive: Path, parts: Sequence[str], folder: Path) -> None:
    with tarfile.open(archive, "r|gz") as tar:
        _extract(tar, parts, folder)


def _extract(tar: tarfile.TarFile, parts: Sequence[str], folder: Path) -> None:
    for member in tar:
        name = PurePosixPath(member.name).as_posix().removeprefix("./")
        if _wanted(name, parts):
            # The "data" filter refuses absolute paths, links that leave the folder, and devices.
            tar.extract(member, folder, filter="data")


def _wheel(archive: Path, parts: Sequence[str], folder: Path) -> None:
    with zipfile.ZipFile(archive) as wheel:
        for name in wheel.namelist():
            if _wanted(name, parts):
                wheel.extract(name, folder)


def _wanted(name: str, parts: Sequence[str]) -> bool:
    return any(name == part or name.startswith(f"{part}/") for part in parts)


@contextmanager
def _deb_tar(archive: Path, stem: str) -> Iterator[tarfile.TarFile]:
    """A .deb is an `ar` archive of a version, `control.tar.*` and `data.tar.*`."""
    with archive.open("rb") as file:
        member = next((member for member in _ar_members(file, archive.name) if member.name.startswith(stem)), None)
        if member is None:
            raise VestigeError(f"{archive.name}: a Debian package without {stem}")
        compression = PurePosixPath(member.name).suffix.removeprefix(".")
        part = _Window(file, member.start, member.size)
        if compression == "zst":
            import pyarrow as pa

            with (
                pa.CompressedInputStream(pa.PythonFile(part, mode="r"), "zstd") as stream,
                tarfile.open(fileobj=stream, mode="r|") as tar,
            ):
                yield tar
        elif compression in {"xz", "gz", "bz2", "tar"}:
            mode = "" if compression == "tar" else compression
            with tarfile.open(fileobj=part, mode=f"r|{mode}") as tar:  # pyright: ignore[reportCallIssue,reportArgumentType]
                yield tar
        else:
            raise VestigeError(f"{archive.name}: {member.name} is compressed in a way that is not known")


def _ar_members(file: IO[bytes], name: str) -> Iterator[_Member]:
    """A header of 60 bytes before each: name 16, time 12, owner 6, group 6, mode 8, size 10, a backtick and newline."""
    if file.read(len(MAGIC)) != MAGIC:
        raise VestigeError(f"{name}: not a Debian package (no ar archive)")
    while header := file.read(HEADER):
        if len(header) < HEADER or header[58:] != b"`\n" or not header[48:58].strip().isdigit():
            raise VestigeError(f"{name}: the package is damaged (ar header at byte {file.tell() - len(header)})")
        size, start = int(header[48:58]), file.tell()
        yield _Member(header[:16].decode("ascii", "replace").strip().removesuffix("/"), start, size)
        # Members begin at even places.
        file.seek(start + size + size % 2)


class _Window:
    """The bytes of one member, to be read once from begin to end."""

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        file.seek(start)
        self._file, self._left, self.closed = file, size, False

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data

    def close(self) -> None:
        self.closed = True
