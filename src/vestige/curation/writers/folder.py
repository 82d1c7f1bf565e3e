"""`folder:DIR`: the same tree of files without those of the samples that go."""

import json
from pathlib import Path
from typing import Any, cast

from vestige.curation.writers.changes import Changes, Origin, Written, put
from vestige.data.formats.facts import parse_object
from vestige.data.formats.filenames import walk_files
from vestige.data.formats.folder import CaptionFolder
from vestige.progress import progress

# What a JSON beside a picture may call its captions.
CAPTIONS = ("caption", "captions")


def write(origin: Origin, changes: Changes, out: Path) -> Written:
    """Links to the files that stay, or copies of them; captions that change are written into the `.txt`."""
    source, path = cast(CaptionFolder, origin.source), origin.place
    own = {file: key for key in source.keys() for file in source.files(key).values()}
    files = walk_files(path, follow=origin.options.get("links") == "follow", skipped=[])
    with progress("writing files", len(files)) as advance:
        for file in files.values():
            key = own.get(file)
            if not changes.drops(key):
                new = out / file.relative_to(path)
                if key not in changes.captions or file.suffix.lower() not in {".txt", ".json"}:
                    put(file, new, copy=changes.copy)
                elif file.suffix.lower() == ".json":
                    _write_facts(file, new)
            advance()
    for key, captions in changes.captions.items():
        medium = next(iter(source.files(key).values()))
        new = (out / medium.relative_to(path)).with_suffix(".txt")
        new.parent.mkdir(parents=True, exist_ok=True)
        new.write_text("".join(f"{' '.join(caption.split())}\n" for caption in captions), encoding="utf-8")
    return Written("folder", options=linked(origin, changes))


def linked(origin: Origin, changes: Changes) -> dict[str, str]:
    """The options that make a folder of links readable."""
    return {**origin.options} | ({} if changes.copy else {"links": "follow"})


def _write_facts(file: Path, new: Path) -> None:
    """A sample's JSON without its captions."""
    record = cast(dict[str, Any], parse_object(file.read_bytes(), file.name))
    rest = {name: value for name, value in record.items() if name not in CAPTIONS}
    new.parent.mkdir(parents=True, exist_ok=True)
    new.write_text(json.dumps(rest, ensure_ascii=False), encoding="utf-8")
