"""`coco:DIR`: annotations without the images that go; the pictures are linked to."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from vestige.curation.writers.changes import Changes, Origin, Written, put
from vestige.curation.writers.json_files import copy_lists
from vestige.data.formats.coco import CAPTIONS, Coco


def write(origin: Origin, changes: Changes, out: Path) -> Written:
    """Every `annotations/*_SPLIT.json` of the splits that are read loses the images and what is said of them.

    The folders of pictures are linked to whole; copied, they hold the pictures that stay alone.
    """
    source, path = cast(Coco, origin.source), origin.place
    splits = source.splits
    for file in sorted((path / "annotations").glob("*.json")):
        if file.stem.endswith(tuple(f"_{split}" for split in splits)):
            _copy(file, out / "annotations" / file.name, changes, origin.name)
    for split in splits:
        for folder in source.folders(split):
            new = out / folder.relative_to(path)
            if not changes.copy:
                put(folder, new, copy=False)
    if changes.copy:
        for key, picture in source.pictures.items():
            if not changes.drops(key):
                put(picture, out / picture.relative_to(path), copy=True)
    return Written("coco", options={**origin.options, "split": ",".join(splits)})


def _copy(file: Path, out: Path, changes: Changes, name: str) -> None:
    given: Counter[str] = Counter()
    described = file.name.startswith(CAPTIONS)

    def change(member: str, record: Any) -> Iterable[Any]:
        image = {"images": "id", "annotations": "image_id"}.get(member)
        if image is None or not isinstance(record, Mapping):
            return (record,)
        key = str(record.get(image))
        if changes.drops(key):
            return ()
        if described and member == "annotations" and key in changes.captions:
            captions, place = changes.captions[key], given[key]
            given[key] += 1
            return ({**record, "caption": captions[place]},) if place < len(captions) else ()
        return (record,)

    copy_lists(file, out, name, change)
