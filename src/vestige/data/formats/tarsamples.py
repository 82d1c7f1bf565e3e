"""Where the samples of a tar archive lie: its files joined by key, those that are used, and what cannot be used."""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vestige.data.formats.endings import MODALITIES
from vestige.data.formats.facts import LARGEST_TEXT, FactFields, Facts, Unusable
from vestige.data.formats.tar import Damaged, Member, NotATar, Tar
from vestige.errors import VestigeError
from vestige.samples import Modality

# Files of a sample that span no more than this, or little more than they hold, are read at once.
SPAN = 64 * 1024


class Endings:
    """Numbers for endings of files, so that millions of files can be kept in arrays."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._names: list[str] = []

    def code(self, ending: str) -> int:
        if ending not in self._codes:
            self._codes[ending] = len(self._names)
            self._names.append(ending)
        return self._codes[ending]

    def name(self, code: int) -> str:
        return self._names[code]


@dataclass(frozen=True)
class Layout:
    """Which of a sample's files are used: positions among them, by modality and by ending."""

    media: Mapping[Modality, int]
    texts: Mapping[str, int]

    @property
    def used(self) -> list[int]:
        return sorted({*self.media.values(), *self.texts.values()})


@dataclass(frozen=True)
class Chooser:
    """Chooses among the files of a sample.

    Attributes:
        name: of the source, for messages.
        wanted: endings to take for a modality, the first that is there; none for a modality that is not taken.
        texts: endings of the text files that are needed.
    """

    name: str
    wanted: Mapping[Modality, Sequence[str]]
    texts: frozenset[str]

    def layout(self, endings: Sequence[str]) -> Layout:
        """The layout of a sample with these files.

        Raises:
            VestigeError: there are several of a kind and none is to be preferred.
        """
        first = {ending: at for at, ending in reversed(list(enumerate(endings)))}
        media = {}
        for modality in (Modality.IMAGE, Modality.AUDIO, Modality.VIDEO):
            ending = self._ending(modality, first)
            if ending is not None:
                media[modality] = first[ending]
        return Layout(media, {ending: at for ending, at in first.items() if ending in self.texts})

    def _ending(self, modality: Modality, endings: Mapping[str, int]) -> str | None:
        if modality in self.wanted:
            return next((ending for ending in self.wanted[modality] if ending in endings), None)
        found = [ending for ending in endings if MODALITIES.get(ending.rpartition(".")[2]) is modality]
        # `seg.png` beside `jpg` is a mask or a thumbnail.
        plain = [ending for ending in found if "." not in ending] or found
        if len(plain) > 1:
            shown = ", ".join(sorted(plain)[:4]) + (", ..." if len(plain) > 4 else "")
            raise VestigeError(
                f"{self.name}: a sample has {len(plain)} files that could be its {modality} ({shown}): set the option"
                f" {modality}; and mind that WebDataset's keys end at the first dot of a file's name"
            )
        return plain[0] if plain else None


@dataclass
class Part:
    """The samples of one archive; those of sample i are the next `counts[i]` files.

    Attributes:
        keys: large strings of Arrow, [N].
        captioned: whether a sample has a caption, bool [N].
        counts: how many files of each are used, int64 [N].
        codes, offsets, sizes: ending and place of every file, [files].
    """

    keys: pa.Array
    captioned: NDArray[np.bool_]
    counts: NDArray[np.int64]
    codes: NDArray[np.int32]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def where(self, kept: NDArray[np.bool_]) -> "Part":
        """Without the samples that are not kept."""
        files = np.repeat(kept, self.counts)
        return Part(
            self.keys.filter(pa.array(kept)),
            self.captioned[kept],
            self.counts[kept],
            self.codes[files],
            self.offsets[files],
            self.sizes[files],
        )


def split_name(name: str) -> tuple[str, str]:
    """Key and ending of a file in an archive, by WebDataset's rule; ("", "") for hidden files and `__so__`.

    Raises:
        Unusable: the name has no ending.
    """
    folder, slash, base = name.rpartition("/")
    stem, dot, ending = base.partition(".")
    if not stem or (name.startswith("__") and name.partition("/")[0].endswith("__")):
        return "", ""
    if not dot:
        raise Unusable("a file without an ending")
    return folder + slash + stem, ending.lower()


def read_files(tar: Tar, offsets: Sequence[int], sizes: Sequence[int]) -> list[bytes]:
    """Files of an archive, in the order given, which is that of their places.

    Raises:
        EOFError: the archive ends before.
    """
    start, end = offsets[0], offsets[-1] + sizes[-1]
    if end - start <= max(SPAN, sum(sizes) * 9 // 8):
        data = tar.read(start, end - start)
        if len(data) < end - start:
            raise EOFError(f"ends at byte {start + len(data)}")
        return [data[at - start : at - start + size] for at, size in zip(offsets, sizes, strict=True)]
    return [file for at, size in zip(offsets, sizes, strict=True) for file in read_files(tar, [at], [size])]


def index_archive(
    path: Path,
    endings: Endings,
    layout: Callable[[tuple[int, ...]], Layout],
    fields: FactFields,
    skipped: list[tuple[str, str]],
) -> Part:
    """Read the headers and the texts of an archive.

    Args:
        path: the archive.
        endings: where endings are numbered.
        layout: which files of a sample are used, by their endings' numbers.
        fields: where the facts stand.
        skipped: gets (place, reason) of what cannot be used.

    Raises:
        VestigeError: the file is no archive, or cannot be read.
    """
    try:
        tar = Tar(path)
    except OSError as error:
        raise VestigeError(f"{path}: {error.strerror or error}") from error
    try:
        return _part(tar, path.name, _read_members(tar, path.name, endings, skipped), endings, layout, fields, skipped)
    except NotATar as error:
        raise VestigeError(f"{path}: {error}") from error
    except OSError as error:
        raise VestigeError(f"{path}: {error.strerror or error}") from error
    finally:
        tar.close()


class _Members:
    """The files of samples: number of the sample, ending, place."""

    def __init__(self) -> None:
        self.stems: dict[str, int] = {}
        self._columns = array("q"), array("q"), array("q"), array("q")

    def add(self, stem: str, code: int, member: Member) -> None:
        number = self.stems.setdefault(stem, len(self.stems))
        for column, value in zip(self._columns, (number, code, member.offset, member.size), strict=True):
            column.append(value)

    def samples(self) -> Iterator[tuple[str, tuple[int, ...], list[int], list[int]]]:
        """Key, endings, offsets and sizes of every sample; its files need not stand side by side."""
        numbers, codes, offsets, sizes = (np.frombuffer(column, np.int64) for column in self._columns)
        order = np.argsort(numbers, kind="stable")
        ends = np.cumsum(np.bincount(numbers, minlength=len(self.stems))).tolist()
        for stem, start, end in zip(self.stems, [0, *ends], ends, strict=False):
            at = order[start:end]
            yield stem, tuple(codes[at].tolist()), offsets[at].tolist(), sizes[at].tolist()


def _read_members(tar: Tar, archive: str, endings: Endings, skipped: list[tuple[str, str]]) -> _Members:
    members = _Members()
    try:
        for member in tar.members():
            try:
                if member.trouble:
                    raise Unusable(member.trouble)
                stem, ending = split_name(member.name)
            except Unusable as error:
                skipped.append((f"{archive}: {member.name}", str(error)))
                continue
            if stem:
                members.add(stem, endings.code(ending), member)
    except Damaged as error:
        skipped.append((archive, str(error)))
    return members


def _part(
    tar: Tar,
    archive: str,
    members: _Members,
    endings: Endings,
    layout: Callable[[tuple[int, ...]], Layout],
    fields: FactFields,
    skipped: list[tuple[str, str]],
) -> Part:
    """The usable samples; the texts of each are read once, to list here what cannot be used."""
    keys, captioned, seen = [], bytearray(), set()
    columns = counts, used_codes, used_offsets, used_sizes = array("q"), array("q"), array("q"), array("q")
    for stem, codes, offsets, sizes in members.samples():
        for code in {code for code in codes if codes.count(code) > 1} if len(set(codes)) < len(codes) else ():
            reason = f"stands in the archive {codes.count(code)} times: the first is used"
            skipped.append((f"{archive}: {stem}.{endings.name(code)}", reason))
        chosen = layout(codes)
        try:
            facts = _facts(tar, chosen, offsets, sizes, fields)
            if not chosen.media and not facts.captions:
                found = ", ".join(endings.name(code) for code in codes[:8])
                raise Unusable(f"no picture, sound, film or caption (found {found})")
            key = facts.key or stem
            if key in seen:
                raise Unusable(f"the key {key!r} stands in this archive before")
        except Unusable as error:
            skipped.append((f"{archive}: {stem}", str(error)))
            continue
        if fields.key is not None:
            seen.add(key)
        keys.append(key)
        captioned.append(bool(facts.captions))
        used = sorted(chosen.used, key=offsets.__getitem__)
        counts.append(len(used))
        used_codes.extend(codes[at] for at in used)
        used_offsets.extend(offsets[at] for at in used)
        used_sizes.extend(sizes[at] for at in used)
    counted, codes, offsets, sizes = (np.array(column, np.int64) for column in columns)
    texts = pa.array(keys, pa.large_string())
    return Part(texts, np.frombuffer(captioned, np.bool_), counted, codes.astype(np.int32), offsets, sizes)


def _facts(tar: Tar, layout: Layout, offsets: Sequence[int], sizes: Sequence[int], fields: FactFields) -> Facts:
    for ending, at in layout.texts.items():
        if sizes[at] > LARGEST_TEXT:
            raise Unusable(f"{ending} of {sizes[at]:,} bytes: more than {LARGEST_TEXT:,}")
    order = sorted(layout.texts, key=lambda ending: offsets[layout.texts[ending]])
    places = [layout.texts[ending] for ending in order]
    files = read_files(tar, [offsets[at] for at in places], [sizes[at] for at in places]) if places else []
    return fields.read(dict(zip(order, files, strict=True)))
