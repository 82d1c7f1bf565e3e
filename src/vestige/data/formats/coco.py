"""COCO captions: five texts a picture, and what is in it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from vestige.data.formats.json_lists import elements, field
from vestige.errors import VestigeError
from vestige.samples import Modality, Sample

CAPTIONS, INSTANCES = "captions_", "instances_"


class Coco:
    """`annotations/captions_SPLIT.json` beside a folder of pictures named after the split (`train2017`, `val2014`).

    The key is COCO's image id. All captions of a picture are carried, in the order of their ids; objects are the
    names of the categories in `instances_SPLIT.json`, where that file is. Pictures that are not on disk or have no
    caption are skipped and listed.

    Args:
        path: the folder that holds `annotations`.
        split: one split, or several joined by commas; all whose pictures are there when not given.

    Attributes:
        splits: those that are read.
    """

    def __init__(self, path: Path, split: str | None = None) -> None:
        self._name, self._path = f"coco:{path}", path
        self._pictures: dict[str, Path] = {}
        self._captions: dict[str, tuple[str, ...]] = {}
        self._objects: dict[str, tuple[str, ...]] = {}
        self._skipped: list[tuple[str, str]] = []
        annotations, found = self._splits(path)
        self.splits = asked = [name.strip() for name in split.split(",")] if split else _with_pictures(path, found)
        for name in asked:
            if name not in found:
                raise self._error(f"no {CAPTIONS}{name}.json in {annotations.name}; splits there: {', '.join(found)}")
            if not _folders(path, name):
                raise self._error(
                    f"no folder {name} with the pictures of the split (looked for {name}/ and images/{name}/): unpack"
                    " them there, or set the option split"
                )
            self._read(path, annotations, name)
        if not self._pictures:
            raise self._error(_none(self._skipped))

    @property
    def pictures(self) -> Mapping[str, Path]:
        """The picture of every sample, by key."""
        return self._pictures

    def folders(self, split: str) -> Sequence[Path]:
        """Where the pictures of a split lie."""
        return _folders(self._path, split)

    def __len__(self) -> int:
        return len(self._pictures)

    def keys(self) -> Sequence[str]:
        return tuple(self._pictures)

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        for key in keys:
            media = {Modality.IMAGE: self._pictures[key]}
            yield Sample(key, key, media, self._captions[key], objects=self._objects.get(key, ()))

    def skipped(self) -> Sequence[tuple[str, str]]:
        return tuple(self._skipped)

    def _error(self, message: str) -> VestigeError:
        return VestigeError(f"{self._name}: {message}")

    def _splits(self, path: Path) -> tuple[Path, list[str]]:
        """The folder with the annotations, and the splits that have captions."""
        if not path.is_dir():
            raise self._error("not a folder" if path.exists() else "no such folder")
        annotations = path / "annotations"
        files = sorted(annotations.glob(f"{CAPTIONS}*.json"))
        if not files:
            raise self._error(f"no annotations/{CAPTIONS}*.json in it: unpack COCO's annotations there")
        return annotations, [file.stem.removeprefix(CAPTIONS) for file in files]

    def _read(self, path: Path, annotations: Path, split: str) -> None:
        files: dict[int, str] = {}
        texts: dict[int, list[tuple[int, str]]] = {}
        source = annotations / f"{CAPTIONS}{split}.json"
        for member, record in elements(source, self._name):
            place = f"{self._name}: {source.name}: {member}"
            if member == "images":
                number, file = field(place, record, "id", int), field(place, record, "file_name", str)
                if number in files:
                    raise self._error(f"{source.name}: two images have the id {number}: get the file anew")
                files[number] = file
            elif member == "annotations":
                number, caption = field(place, record, "image_id", int), field(place, record, "caption", str)
                # COCO's own captions have line breaks and blanks at their ends.
                text = " ".join(caption.split())
                if text:
                    texts.setdefault(number, []).append((field(place, record, "id", int), text))
        if not files or not texts:
            missing = "images" if not files else "annotations with captions"
            raise self._error(f"{source.name} lists no {missing}: get the file anew")
        self._gather(_folders(path, split), split, files, texts)
        objects = annotations / f"{INSTANCES}{split}.json"
        if objects.is_file():
            self._objects |= self._objects_in(objects)

    def _gather(
        self,
        folders: Sequence[Path],
        split: str,
        files: Mapping[int, str],
        texts: Mapping[int, Sequence[tuple[int, str]]],
    ) -> None:
        there = {entry.name: entry for folder in reversed(folders) for entry in folder.iterdir()}
        for number, file in files.items():
            key = str(number)
            picture = there.get(PurePosixPath(file).name)
            if key in self._pictures:
                raise self._error(f"the image {key} is in two of the splits: name one with the option split")
            if picture is None:
                self._skipped.append((key, f"the picture {file} is not in {split}"))
            elif number not in texts:
                self._skipped.append((key, f"no caption in {CAPTIONS}{split}.json"))
            else:
                self._pictures[key] = picture
                self._captions[key] = tuple(text for _, text in sorted(texts[number]))
        for number in sorted(texts.keys() - files.keys()):
            self._skipped.append((str(number), f"captions without an image in {CAPTIONS}{split}.json"))

    def _objects_in(self, source: Path) -> Mapping[str, tuple[str, ...]]:
        """Names of the categories in each picture, each once, in the order of the annotations."""
        names: dict[int, str] = {}
        seen: dict[int, dict[int, None]] = {}
        for member, record in elements(source, self._name):
            place = f"{self._name}: {source.name}: {member}"
            if member == "categories":
                names[field(place, record, "id", int)] = field(place, record, "name", str)
            elif member == "annotations":
                of_image = seen.setdefault(field(place, record, "image_id", int), {})
                of_image[field(place, record, "category_id", int)] = None
        unknown = {number for numbers in seen.values() for number in numbers} - names.keys()
        if unknown:
            raise self._error(f"{source.name}: no category has the id {min(unknown)}: get the file anew")
        return {str(image): tuple(names[number] for number in numbers) for image, numbers in seen.items()}


def _folders(path: Path, split: str) -> list[Path]:
    return [folder for folder in (path / split, path / "images" / split) if folder.is_dir()]


def _with_pictures(path: Path, splits: Sequence[str]) -> list[str]:
    there = [split for split in splits if _folders(path, split)]
    # 2014 and 2017 share images: the newer division alone, unless asked otherwise.
    years = {split[-4:] for split in there}
    newest = [split for split in there if split.endswith(max(years))] if there else []
    return newest or list(splits[:1])


def _none(skipped: Sequence[tuple[str, str]]) -> str:
    key, reason = skipped[0]
    return f"none of {len(skipped)} images can be used; the first, {key}: {reason}"
