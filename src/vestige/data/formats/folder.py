"""A folder of pictures, sounds or films, with captions in text files of the same name (img2dataset's `files`).

cats/0001.jpg  cats/0001.wav  cats/0001.txt  cats/0001.json  ->  one sample, `cats/0001`
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vestige.data.formats.endings import MODALITIES
from vestige.data.formats.facts import LARGEST_TEXT, FactFields, Facts, Field, Unusable
from vestige.data.formats.filenames import endings_of, walk_files
from vestige.errors import VestigeError
from vestige.samples import Media, Modality, Sample

TEXTS = ("txt", "json")
FIELDS = FactFields(
    captions=(Field("txt"), Field("json", "caption"), Field("json", "captions")),
    split_lines=True,
    label=Field("json", "label"),
    objects=Field("json", "objects"),
)


@dataclass(slots=True)
class _Files:
    media: dict[Modality, Path] = field(default_factory=dict)
    texts: dict[str, Path] = field(default_factory=dict)


class CaptionFolder:
    """Files below a folder that share their name up to the ending are one sample.

    Pictures, sounds and films are its media; the captions are the lines of the `.txt`, the first being the default,
    and the `caption` or `captions` of the `.json`, which may also give a `label` and `objects`. The key is the path
    below the folder without its ending. Text files alone are samples where there are no media at all.

    Args:
        path: the folder.
        missing_captions: "error", or "skip" to leave out (and list) samples without a caption. Where samples have
            several media and none has a caption, none is missing.
        links: "skip" leaves out (and lists) links that lead out of the folder; "follow" reads them.
    """

    def __init__(self, path: Path, missing_captions: str = "error", links: str = "skip") -> None:
        self._name = f"folder:{path}"
        if not path.is_dir():
            raise VestigeError(f"{self._name}: {'not a folder' if path.exists() else 'no such folder'}")
        if missing_captions not in {"error", "skip"}:
            raise VestigeError(f"{self._name}: missing_captions is 'error' or 'skip', not {missing_captions!r}")
        if links not in {"skip", "follow"}:
            raise VestigeError(f"{self._name}: links is 'skip' or 'follow', not {links!r}")
        self._skipped: list[tuple[str, str]] = []
        found = walk_files(path, follow=links == "follow", skipped=self._skipped)
        self._files = self._by_key(found)
        if not self._files:
            why = f"; {self._skipped[0][0]}: {self._skipped[0][1]}" if self._skipped else ""
            raise VestigeError(f"{self._name}: no pictures, sounds, films or texts below it{why or endings_of(found)}")
        self._facts = {key: _facts(files.texts) for key, files in self._files.items()}
        self._drop_uncaptioned(missing_captions)
        self._keys = tuple(self._facts)

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> Sequence[str]:
        return self._keys

    def files(self, key: str) -> Mapping[str, Path]:
        """The files of a sample, by their ending in lower case."""
        own = self._files[key]
        return own.texts | {path.suffix.removeprefix(".").lower(): path for path in own.media.values()}

    def skipped(self) -> Sequence[tuple[str, str]]:
        """(path, reason) of files that are no part of a sample, and keys of samples without a caption."""
        return tuple(self._skipped)

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        for key in keys:
            facts = self._facts[key]
            media: dict[Modality, Media] = {**self._files[key].media}
            yield Sample(key, key, media, facts.captions, facts.label, facts.objects)

    def _by_key(self, paths: Mapping[str, Path]) -> dict[str, _Files]:
        samples: dict[str, _Files] = {}
        for name, path in paths.items():
            key, _, ending = name.rpartition(".")
            ending = ending.lower()
            if not key or key.endswith("/") or (ending not in MODALITIES and ending not in TEXTS):
                continue
            files = samples.setdefault(key, _Files())
            earlier = files.texts.get(ending) if ending in TEXTS else files.media.get(MODALITIES[ending])
            if earlier is not None:
                raise VestigeError(
                    f"{self._name}: duplicate key {key!r}: {earlier.name} and {path.name} would share"
                    " one caption file; rename one of them"
                )
            if ending in TEXTS:
                files.texts[ending] = path
            else:
                files.media[MODALITIES[ending]] = path
        if any(files.media for files in samples.values()):
            alone = [key for key, files in samples.items() if not files.media]
            self._skipped += [
                (key, f"no picture, sound or film beside {' and '.join(samples[key].texts)}") for key in alone
            ]
            return {key: files for key, files in samples.items() if files.media}
        return {key: files for key, files in samples.items() if "txt" in files.texts}

    def _drop_uncaptioned(self, missing_captions: str) -> None:
        without = [key for key, facts in self._facts.items() if not facts.captions]
        everything = len(without) == len(self._facts)
        if not without or (everything and any(len(files.media) > 1 for files in self._files.values())):
            return
        if missing_captions == "error" or everything:
            kinds = {kind for files in self._files.values() for kind in files.media}
            noun = "pictures" if kinds == {Modality.IMAGE} else "samples"
            raise VestigeError(
                f"{self._name}: {len(without)} of {len(self._facts)} {noun} have no caption, the first is"
                f" {without[0]!r}: write captions into {without[0]}.txt, or set the option missing_captions to skip"
            )
        self._skipped += [(key, "no caption") for key in without]
        for key in without:
            del self._facts[key]


def _facts(texts: Mapping[str, Path]) -> Facts:
    contents = {}
    for ending, path in texts.items():
        try:
            if path.stat().st_size > LARGEST_TEXT:
                raise VestigeError(f"{path}: more than {LARGEST_TEXT:,} bytes are no caption: remove the file")
            contents[ending] = path.read_bytes()
        except OSError as error:
            raise VestigeError(f"{path}: {error.strerror or error}") from error
    try:
        return FIELDS.read(contents)
    except Unusable as error:
        where = " and ".join(str(path) for path in texts.values())
        raise VestigeError(f"{where}: {error}: correct the file, or convert it to UTF-8") from error
