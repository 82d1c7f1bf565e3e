"""Which files are meant: one, a folder of them, a glob, or a brace range as WebDataset writes it."""

import re
from collections.abc import Iterator, Sequence
from glob import has_magic
from itertools import islice, product
from pathlib import Path

from vestige.errors import VestigeError

# Nobody has more shards; a slip in a range should not fill the memory.
MOST_SHARDS = 10_000_000

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


def find_shards(location: Path, endings: Sequence[str], kind: str) -> tuple[Path, ...]:
    """The files that a location means, sorted, each once; several locations are joined by `::`.

    Args:
        location: a file, a folder, a glob (`*`, `?`, `[...]`, `**`) or braces (`{00000..00012}`, `{a,b}`).
        endings: of the files looked for in a folder, e.g. ".tar"; in its subfolders if it holds none itself.
        kind: name of the format, for messages.

    Raises:
        VestigeError: a file of a range is missing, or nothing is found.
    """
    found = dict.fromkeys(path for part in str(location).split("::") for path in _files(part, endings, kind))
    return tuple(sorted(found))


def _files(location: str, endings: Sequence[str], kind: str) -> Sequence[Path]:
    path = Path(location)
    if path.is_file():
        return [path]
    if path.is_dir():
        for pattern in ("*", "**/*"):
            if found := [file for file in path.glob(pattern) if file.name.endswith(tuple(endings)) and file.is_file()]:
                return found
        raise VestigeError(f"{kind}:{location}: no files ending in {' or '.join(endings)} in this folder")
    if re.match(r"pipe:|[a-z0-9]+:/", location):
        raise VestigeError(f"{kind}:{location}: only files are read; fetch them first and name them here")
    named = [Path(name) for name in islice(_expanded(location), MOST_SHARDS)]
    if _BRACES.search(location) and not has_magic(location):
        missing = [file for file in named if not file.is_file()]
        if missing:
            raise VestigeError(
                f"{kind}:{location}: {len(missing)} of the {len(named)} files of this range are missing, the first is"
                f" {missing[0]}: fetch them, or correct the range"
            )
        return named
    found = [name for pattern in named for name in _matches(pattern) if name.is_file()]
    if not found:
        raise VestigeError(f"{kind}:{location}: {'no files match' if has_magic(location) else 'no such file'}")
    return found


def _matches(pattern: Path) -> Iterator[Path]:
    root = Path(pattern.anchor)
    return root.glob(str(pattern.relative_to(root)))


def _expanded(pattern: str) -> Iterator[str]:
    """All names a pattern with braces stands for; numbers keep the width they are written with."""
    pieces = _BRACES.split(pattern)
    choices = [_choices(piece) if odd % 2 else [piece] for odd, piece in enumerate(pieces)]
    return ("".join(chosen) for chosen in product(*choices))


def _choices(inner: str) -> Sequence[str]:
    if bounds := _RANGE.fullmatch(inner):
        first, last = int(bounds[1]), int(bounds[2])
        if abs(last - first) >= MOST_SHARDS:
            raise VestigeError(f"the range {{{inner}}} stands for more than {MOST_SHARDS:,} files: correct it")
        width = max(map(len, bounds.groups())) if any(text[0] == "0" for text in bounds.groups()) else 0
        step = 1 if first <= last else -1
        return [f"{number:0{width}d}" for number in range(first, last + step, step)]
    return inner.split(",") if "," in inner else [f"{{{inner}}}"]
