"""Where the bytes of media go: into the page, or, past a size, into a folder beside it."""

import base64
import hashlib
from pathlib import Path
from urllib.parse import quote

from vestige.files import replacing
from vestige.report.media import Clip

SUFFIXES = {
    "image/webp": ".webp",
    "audio/wav": ".wav",
    "audio/flac": ".flac",
    "audio/ogg": ".ogg",
    "audio/mpeg": ".mp3",
    "video/mp4": ".mp4",
    "video/webm": ".webm",
}


class Assets:
    """Media on their way into a report.

    They are kept in memory until they pass the limit; from then on each lies in a file of the folder, named after its
    content, so that a page that is there already finds its own until the new one takes its place.

    Args:
        folder: beside the page; made where it is needed.
        limit: bytes of the media as they would stand in the page.
    """

    def __init__(self, folder: Path, limit: float) -> None:
        self._folder, self._limit = folder, limit
        self._size = 0
        self._held: dict[str, Clip] | None = {}
        self._written: set[str] = set()

    @property
    def outside(self) -> bool:
        """Whether media lie in the folder."""
        return self._held is None

    def add(self, clip: Clip) -> str:
        """Take up a medium; the name given back leads to its address."""
        name = hashlib.blake2b(clip.data, digest_size=12).hexdigest() + SUFFIXES[clip.type]
        if self._held is None:
            self._write(name, clip)
            return name
        if name not in self._held:
            self._held[name] = clip
        # A medium stands in the page as often as it is shown.
        self._size += 4 * len(clip.data) // 3
        if self._size > self._limit:
            held, self._held = self._held, None
            for own, other in held.items():
                self._write(own, other)
        return name

    def address(self, name: str) -> str:
        """What `src` says: a data URI, or a path relative to the page. To be asked when all media were added."""
        if self._held is None:
            return f"{quote(self._folder.name)}/{name}"
        clip = self._held[name]
        return f"data:{clip.type};base64,{base64.b64encode(clip.data).decode()}"

    def clear(self) -> None:
        """Remove what an earlier report left in the folder; to be called when the page is written."""
        if not self._folder.is_dir():
            return
        for path in self._folder.iterdir():
            # What is not ours stays.
            if path.suffix in SUFFIXES.values() and len(path.stem) == 24 and path.name not in self._written:
                path.unlink()
        if not any(self._folder.iterdir()):
            self._folder.rmdir()

    def _write(self, name: str, clip: Clip) -> None:
        if name in self._written:
            return
        if not (self._folder / name).exists():
            with replacing(self._folder / name) as temporary:
                temporary.write_bytes(clip.data)
        self._written.add(name)
