"""MSR-VTT: clips of web videos with twenty sentences each."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vestige.data.formats.json_lists import elements, field
from vestige.errors import VestigeError
from vestige.samples import Modality, Sample

FILMS = frozenset({".mp4", ".avi", ".webm", ".mkv", ".mov"})
WHOLE = "MSRVTT_data.json"
PARTS = "*videodatainfo*.json"
SPLITS = ("train", "validate", "test")
# The file category.txt of the data set, for copies that came without it.
CATEGORIES = (
    "music", "people", "gaming", "sports/actions", "news/events/politics", "education", "tv shows", "movie/comedy",
    "animation", "vehicles/autos", "howto", "travel", "science/technology", "animals/pets", "kids/family",
    "documentary", "food/drink", "cooking", "beauty/fashion", "advertisement",
)  # fmt: skip
_YOUTUBE = re.compile(r"(?:[?&]v=|youtu\.be/)([\w-]{11})")


class MsrVtt:
    """Annotations with `videos[]` and `sentences[]`, and films named after the clips (`video0.mp4`).

    The annotations are `MSRVTT_data.json`, or else every `*videodatainfo*.json`; they and the films may lie up to
    three folders deep. The key is the clip's `video_id`; clips cut from one web video are one group; the label is the
    category. Clips whose film is not on disk, or that have no sentence, are skipped and listed.

    Args:
        path: the folder.
        split: `train`, `validate` or `test`, or several joined by commas; all when not given.

    Attributes:
        films: by the name of the clip.
        annotations: the files that are read.
        category_file: names of the categories, where the copy has them.
    """

    def __init__(self, path: Path, split: str | None = None) -> None:
        self._name = f"msrvtt:{path}"
        if not path.is_dir():
            raise self._error("not a folder" if path.exists() else "no such folder")
        splits = [name.strip() for name in split.split(",")] if split else SPLITS
        for name in splits:
            if name not in SPLITS:
                raise self._error(f"split is one of {', '.join(SPLITS)}, not {name!r}")
        films = {film.stem: film for film in _below(path, "*") if film.suffix.lower() in FILMS}
        if not films:
            raise self._error(f"no films in it or the folders in it (looked for {' '.join(sorted(FILMS))})")
        self._categories = self._read_categories(path)
        self.films: Mapping[str, Path] = films
        self.annotations = tuple(self._annotations(path))
        self._samples: dict[str, Sample] = {}
        self._skipped: list[tuple[str, str]] = []
        for file in self.annotations:
            self._read(file, films, splits)
        if not self._samples:
            raise self._error(f"none of {len(self._skipped)} clips can be used{_first(self._skipped)}")

    def __len__(self) -> int:
        return len(self._samples)

    def keys(self) -> Sequence[str]:
        return tuple(self._samples)

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        for key in keys:
            yield self._samples[key]

    def skipped(self) -> Sequence[tuple[str, str]]:
        return tuple(self._skipped)

    def _error(self, message: str) -> VestigeError:
        return VestigeError(f"{self._name}: {message}")

    def _annotations(self, path: Path) -> list[Path]:
        whole, parts = sorted(_below(path, WHOLE)), sorted(_below(path, PARTS))
        if not whole and not parts:
            raise self._error(f"no annotations in it (looked for {WHOLE} and {PARTS}): put them there")
        return whole[:1] or parts

    def _read_categories(self, path: Path) -> Mapping[int, str]:
        """Category names by number: lines of `name<TAB>number`."""
        self.category_file: Path | None = next(iter(sorted(_below(path, "category.txt"))), None)
        file = self.category_file
        if file is None:
            return dict(enumerate(CATEGORIES))
        names: dict[int, str] = {}
        for line in file.read_text(encoding="utf-8-sig", errors="replace").splitlines():
            name, _, number = line.strip().rpartition("\t")
            if line.strip():
                if not name or not number.strip().isdecimal():
                    raise self._error(f"category.txt: {line.strip()[:80]!r} is not a name, a tab and a number")
                names[int(number)] = name.strip()
        return names

    def _read(self, file: Path, films: Mapping[str, Path], splits: Sequence[str]) -> None:
        clips: dict[str, tuple[str, str | None]] = {}
        texts: dict[str, list[tuple[int, str]]] = {}
        known: set[str] = set()
        for member, record in elements(file, self._name):
            place = f"{self._name}: {file.name}: {member}"
            if member == "videos":
                key, url = field(place, record, "video_id", str), field(place, record, "url", str)
                if key in clips or key in self._samples:
                    raise self._error(f"{file.name}: two videos have the id {key!r}: keep one of the annotations")
                number = field(place, record, "category", int) if "category" in record else None
                known.add(key)
                split = field(place, record, "split", str)
                if split not in SPLITS:
                    raise self._error(f"{file.name}: the split of {key!r} is {split!r}, not one of {', '.join(SPLITS)}")
                if split in splits:
                    clips[key] = source_of(url), self._label(place, number)
            elif member == "sentences":
                key, caption = field(place, record, "video_id", str), field(place, record, "caption", str)
                text = " ".join(caption.split())
                if text:
                    texts.setdefault(key, []).append((field(place, record, "sen_id", int), text))
        unknown = ((key, len(own)) for key, own in texts.items() if key not in known)
        self._skipped += [(key, f"no video of {number} sentences in {file.name}") for key, number in unknown]
        for key, (group, label) in clips.items():
            if key not in films:
                self._skipped.append((key, f"no film {key}.mp4 below the folder"))
            elif key not in texts:
                self._skipped.append((key, f"no sentence in {file.name}"))
            else:
                captions = tuple(text for _, text in sorted(texts[key]))
                self._samples[key] = Sample(key, group, {Modality.VIDEO: films[key]}, captions, label=label)

    def _label(self, place: str, number: int | None) -> str | None:
        if number is not None and number not in self._categories:
            raise VestigeError(f"{place}: no category has the number {number}: complete category.txt")
        return None if number is None else self._categories[number]


def source_of(url: str) -> str:
    """The web video a clip was cut from: one video is linked to in several ways."""
    found = _YOUTUBE.search(url)
    return found[1] if found else url


def _below(path: Path, pattern: str) -> Iterator[Path]:
    # By hand instead of `**`, which does not follow links: films are often linked to.
    for depth in ("", "*/", "*/*/", "*/*/*/"):
        yield from path.glob(depth + pattern)


def _first(skipped: Sequence[tuple[str, str]]) -> str:
    return f"; the first, {skipped[0][0]}: {skipped[0][1]}" if skipped else ": the split has none"
