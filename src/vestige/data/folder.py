"""A folder of pictures, each with its captions in a text file of the same name (as img2dataset's `files` format)."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from vestige.errors import VestigeError
from vestige.samples import Modality, Sample

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


class CaptionFolder:
    """Pictures below a folder; `cat.png` takes its captions from `cat.txt`, one a line, the first the default.

    The key is the path below the folder without its suffix; a picture without a text file is an error, as is an
    empty one.

    Args:
        path: the folder.
        missing_captions: "error", or "skip" to leave out pictures without a caption.
    """

    def __init__(self, path: Path, missing_captions: str = "error") -> None:
        if not path.is_dir():
            raise VestigeError(f"folder:{path}: {'not a folder' if path.exists() else 'no such folder'}")
        if missing_captions not in {"error", "skip"}:
            raise VestigeError(f"folder:{path}: missing_captions is 'error' or 'skip', not {missing_captions!r}")
        self._pictures = _by_key(path)
        if not self._pictures:
            endings = " ".join(sorted(PICTURES))
            raise VestigeError(f"folder:{path}: no pictures below it (looked for {endings})")
        captions = {key: _captions(picture.with_suffix(".txt")) for key, picture in self._pictures.items()}
        empty = [key for key, texts in captions.items() if not texts]
        if empty and (missing_captions == "error" or len(empty) == len(captions)):
            raise VestigeError(
                f"folder:{path}: {len(empty)} of {len(captions)} pictures have no caption, the first is"
                f" {empty[0]!r}: write captions into {empty[0]}.txt, or set the option missing_captions to skip"
            )
        self._captions = {key: texts for key, texts in captions.items() if texts}
        self._keys = tuple(self._captions)

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> Sequence[str]:
        return self._keys

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        for key in keys:
            yield Sample(key, group=key, media={Modality.IMAGE: self._pictures[key]}, captions=self._captions[key])


def _by_key(folder: Path) -> dict[str, Path]:
    pictures: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in PICTURES or not path.is_file():
            continue
        key = path.relative_to(folder).with_suffix("").as_posix()
        if key in pictures:
            raise VestigeError(
                f"folder:{folder}: duplicate key {key!r}: {pictures[key].name} and {path.name} would share"
                " one caption file; rename one of them"
            )
        pictures[key] = path
    return pictures


def _captions(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise VestigeError(f"{path}: the captions are not UTF-8 (byte {error.start}): convert the file") from error
    return tuple(line.strip() for line in text.splitlines() if line.strip())
