"""Files below a folder, with names that can be shown; what leads out of the folder is listed, not followed."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def printable(name: bytes) -> str:
    """A file's name as text; bytes that are not UTF-8 and control characters are escaped with a backslash."""
    return _CONTROLS.sub(lambda sign: f"\\x{ord(sign[0]):02x}", name.decode("utf-8", "backslashreplace"))


def walk_files(folder: Path, *, follow: bool, skipped: list[tuple[str, str]]) -> dict[str, Path]:
    """Files below a folder by their printable path in it, sorted; hidden files and folders are left out.

    Args:
        folder: the folder.
        follow: whether links to files outside are followed.
        skipped: gets (path, reason) of the links that are not.
    """
    home = folder.resolve()
    found: dict[str, Path] = {}
    for entry in _entries(folder):
        path = Path(entry.path)
        name = printable(os.fsencode(path.relative_to(folder).as_posix()))
        if entry.is_symlink() and not entry.is_file():
            skipped.append((name, "a link to a folder, or to nothing"))
        elif entry.is_symlink() and not follow and not path.resolve().is_relative_to(home):
            skipped.append((name, "a link that leads out of the folder"))
        elif entry.is_file():
            found[name] = path
    return dict(sorted(found.items(), key=lambda item: item[1]))


def endings_of(names: Iterable[str]) -> str:
    """What files there are instead of those looked for: `; found 60 .heic, 1 .pdf`, the commonest endings."""
    endings = (PurePosixPath(name).suffix.lower() or "without ending" for name in names)
    counts = Counter(endings)
    found = ", ".join(f"{count} {ending}" for ending, count in counts.most_common(3))
    return f"; found {found}" if found else ""


def _entries(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(entry.path)
            else:
                yield entry
