"""`webdataset:FILES`: the same archives without the samples that go; all other members byte for byte."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

from vestige.curation.writers.changes import Changes, Origin, Written
from vestige.data.formats.facts import FactFields, Field, Unusable, parse_object
from vestige.data.formats.tar import BLOCK, CHUNK, Damaged, Member, Tar
from vestige.data.formats.tarsamples import split_name
from vestige.data.formats.webdataset import WebDataset
from vestige.progress import progress


def write(origin: Origin, changes: Changes, out: Path) -> Written:
    """An archive for an archive, under the same names; whole samples go, with files of theirs that nobody uses."""
    source = cast(WebDataset, origin.source)
    archives = source.archives
    alone = origin.place.is_file()
    with progress("writing archives", len(archives)) as advance:
        for number, (name, path) in enumerate(archives.items()):
            new = out if alone else out / name
            new.parent.mkdir(parents=True, exist_ok=True)
            tar = Tar(path)
            try:
                with new.open("wb") as file:
                    _write_archive(tar, source.keys_of(number), source.fields, changes, file)
            finally:
                tar.close()
            advance()
    nested = {"/" in name for name in archives}
    return Written(
        "webdataset",
        # Archives in a folder hide those in its subfolders.
        location="" if alone or len(nested) == 1 else "**/*.tar",
        options=origin.options,
    )


def _write_archive(tar: Tar, keys: Mapping[int, str], fields: FactFields, changes: Changes, file: BinaryIO) -> None:
    samples: dict[str, list[Member]] = {}
    for member in _members(tar):
        if stem := _stem(member):
            samples.setdefault(stem, []).append(member)
    edits: dict[int, tuple[Member, bytes | None]] = {}
    for members in samples.values():
        key = _key(tar, members, keys, fields, changes)
        if changes.drops(key):
            edits |= {member.begin: (member, None) for member in members}
        elif key is not None and key in changes.captions:
            edits |= _recaptioned(tar, members, fields, changes.captions[key])
    if changes.keep:
        # What is no part of a sample goes too.
        edits |= {member.begin: (member, None) for member in _members(tar) if not _stem(member)}
    at = 0
    for begin, (member, data) in sorted(edits.items()):
        _copy(tar, at, begin, file)
        if data is not None:
            file.write(tar.read(begin, member.offset - BLOCK - begin))
            file.write(_resized(tar.read(member.offset - BLOCK, BLOCK), len(data)))
            file.write(data + bytes(-len(data) % BLOCK))
        at = member.offset + -(-member.size // BLOCK) * BLOCK
    _copy(tar, at, None, file)


def _members(tar: Tar) -> Iterator[Member]:
    """The members of an archive as far as it is whole: what follows is copied as it is."""
    try:
        yield from tar.members()
    except Damaged:
        return


def _stem(member: Member) -> str:
    """What the files of a sample share; empty for what is no file of a sample."""
    try:
        return "" if member.trouble else split_name(member.name)[0]
    except Unusable:
        return ""


def _key(tar: Tar, members: list[Member], keys: Mapping[int, str], fields: FactFields, changes: Changes) -> str | None:
    """The key of a sample; of a record that repeats the key of one that goes, that key: it would take its place."""
    found = next((keys[member.offset] for member in members if member.offset in keys), None)
    if found is not None or fields.key is None:
        return found
    stated = FactFields((), key=fields.key)
    try:
        key = stated.read(_texts(tar, members, stated.files)).key
    except Unusable:
        return None
    return key if key in changes.chosen else None


def _texts(tar: Tar, members: list[Member], endings: frozenset[str]) -> dict[str, bytes]:
    """The first file of each of these endings."""
    found: dict[str, bytes] = {}
    for member in members:
        _, ending = split_name(member.name)
        if ending in endings and ending not in found:
            found[ending] = tar.read(member.offset, member.size)
    return found


def _recaptioned(
    tar: Tar, members: list[Member], fields: FactFields, captions: tuple[str, ...]
) -> dict[int, tuple[Member, bytes | None]]:
    """The text files of a sample with new captions: in the first field that has any; the others lose theirs."""
    texts = _texts(tar, members, fields.files)
    given = [field for field in fields.captions if _has(texts, field, fields)]
    given = given or [field for field in (fields.fallback,) if field is not None and _has(texts, field, fields)]
    first = {split_name(member.name)[1]: member for member in reversed(members)}
    changed: dict[str, bytes] = {}
    for place, field in enumerate(given):
        text = changed.get(field.file, texts[field.file])
        changed[field.file] = _with_captions(text, field, captions if place == 0 else (), split=fields.split_lines)
    return {first[ending].begin: (first[ending], data) for ending, data in changed.items()}


def _has(texts: Mapping[str, bytes], field: Field, fields: FactFields) -> bool:
    return bool(FactFields((field,), split_lines=fields.split_lines).read(texts).captions)


def _with_captions(text: bytes, field: Field, captions: tuple[str, ...], *, split: bool) -> bytes:
    if field.name is None:
        return "\n".join(captions if split else captions[:1]).encode()
    record = cast(dict[str, Any], parse_object(text, field.file))
    inner, name = record, field.name
    if name not in record:
        *parents, name = field.name.split(".")
        for parent in parents:
            inner = inner[parent]
    inner[name] = list(captions) if isinstance(inner[name], list) else next(iter(captions), None)
    return json.dumps(record, ensure_ascii=False).encode()


def _resized(header: bytes, size: int) -> bytes:
    """A tar header with another size; its checksum counts its own field as blanks."""
    fields = bytearray(header)
    fields[124:136] = b"%011o\0" % size
    fields[148:156] = b" " * 8
    fields[148:156] = b"%06o\0 " % sum(fields)
    return bytes(fields)


def _copy(tar: Tar, start: int, end: int | None, file: BinaryIO) -> None:
    """Bytes of the archive as they are, to its end where none is named."""
    while end is None or start < end:
        data = tar.read(start, CHUNK if end is None else min(CHUNK, end - start))
        if not data:
            return
        file.write(data)
        start += len(data)
