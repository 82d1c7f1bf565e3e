"""Tar archives for tests: as WebDataset writes them, and as nobody should."""

import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from drawings import draw


def picture(number: int = 0, form: str = "PNG") -> bytes:
    """An encoded picture."""
    stream = io.BytesIO()
    draw(number)[0].save(stream, form)
    return stream.getvalue()


def member(name: str, data: bytes = b"", **attributes: object) -> tuple[tarfile.TarInfo, bytes]:
    """A member of an archive; a time with fractions makes Python write pax headers, as WebDataset's writer does."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime = len(data), 1.5
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info, data


def write_tar(
    path: Path, members: Iterable[tuple[tarfile.TarInfo, bytes]] | Mapping[str, bytes], form: int = tarfile.PAX_FORMAT
) -> Path:
    """Write an archive; a mapping of names to bytes will do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(members, Mapping):
        members = [member(name, data) for name, data in members.items()]
    with tarfile.open(path, "w", format=form) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return path


def pairs(*keys: str, first: int = 0) -> dict[str, bytes]:
    """Files of samples with a picture and a caption each."""
    files: dict[str, bytes] = {}
    for number, key in enumerate(keys, first):
        files |= {f"{key}.jpg": picture(number, "JPEG"), f"{key}.txt": f"caption {number}".encode()}
    return files
