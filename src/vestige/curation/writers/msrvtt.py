"""`msrvtt:DIR`: annotations without the clips that go; the films that stay are linked to."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from vestige.curation.writers.changes import Changes, Origin, Written, put
from vestige.curation.writers.json_files import copy_lists
from vestige.data.formats.msrvtt import MsrVtt
from vestige.progress import progress


def write(origin: Origin, changes: Changes, out: Path) -> Written:
    """Videos and sentences go from the annotations that were read."""
    source, path = cast(MsrVtt, origin.source), origin.place
    given: Counter[str] = Counter()

    def change(member: str, record: Any) -> Iterable[Any]:
        key = record.get("video_id") if isinstance(record, Mapping) else None
        if member not in {"videos", "sentences"} or not isinstance(key, str):
            return (record,)
        if changes.drops(key):
            return ()
        if member == "sentences" and key in changes.captions:
            captions, place = changes.captions[key], given[key]
            given[key] += 1
            return ({**record, "caption": captions[place]},) if place < len(captions) else ()
        return (record,)

    for file in source.annotations:
        copy_lists(file, out / file.relative_to(path), origin.name, change)
    if (category := source.category_file) is not None:
        put(category, out / category.relative_to(path), copy=changes.copy)
    with progress("writing films", len(source.films)) as advance:
        for key, film in source.films.items():
            if not changes.drops(key):
                put(film, out / film.relative_to(path), copy=changes.copy)
            advance()
    return Written("msrvtt", options=origin.options)
