"""What was planted: one record for faults of every kind, in memory and on disk."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from vestige.data import Source
from vestige.data.plant.alteration import Alteration
from vestige.data.plant.sources import Reverted, WithFaults
from vestige.errors import VestigeError
from vestige.files import read_table, write_table


class Kind(StrEnum):
    """What is wrong with a sample."""

    CAPTIONS = "captions"
    """It has the captions of its donor."""
    LABEL = "label"
    """It has a label that is not its own."""
    IMAGE = "image"
    """It has the picture of its donor."""
    AUDIO = "audio"
    """It has the sound of its donor."""
    VIDEO = "video"
    """It has the film of its donor."""
    COPY = "copy"
    """It is its donor once more, byte for byte."""
    NEAR_COPY = "near_copy"
    """It is its donor once more, its picture cropped, shifted or only compressed anew."""


MEDIA = (Kind.IMAGE, Kind.AUDIO, Kind.VIDEO)
COPIES = (Kind.COPY, Kind.NEAR_COPY)


@dataclass(frozen=True, slots=True)
class Fault:
    """One planted fault.

    Attributes:
        key: the sample that has it; of a copy, its new key.
        kind: what is wrong.
        donor: the sample that its captions or medium come from, or whose copy it is; None for a label.
        planted: the captions, or the label, it has now.
        original: those it had.
        group: of a copy, the group it says it belongs to.
        alteration: of a near copy, how its picture is altered.
    """

    key: str
    kind: Kind
    donor: str | None = None
    planted: tuple[str, ...] = ()
    original: tuple[str, ...] = ()
    group: str | None = None
    alteration: Alteration | None = None


_SCHEMA = pa.schema(
    {
        "key": pa.string(),
        "kind": pa.string(),
        "donor": pa.string(),
        "planted": pa.list_(pa.string()),
        "original": pa.list_(pa.string()),
        "group": pa.string(),
        "alteration": pa.string(),
    }
)


@dataclass(frozen=True)
class Planted:
    """Faults, of one kind or several; no sample has two.

    Attributes:
        faults: in the order they were drawn.
    """

    faults: tuple[Fault, ...] = ()

    def __post_init__(self) -> None:
        key, times = next(iter(Counter(fault.key for fault in self.faults).most_common(1)), ("", 0))
        if times > 1:
            raise VestigeError(f"plant: the sample {key!r} has {times} faults: a sample can have one")

    @cached_property
    def captions(self) -> Mapping[str, tuple[str, ...]]:
        """The captions of the samples that were given wrong ones, by key."""
        return {fault.key: fault.planted for fault in self.faults if fault.kind == Kind.CAPTIONS}

    @cached_property
    def kinds(self) -> Mapping[str, Kind]:
        """What is wrong with a sample, by key."""
        return {fault.key: fault.kind for fault in self.faults}

    def apply(self, source: Source) -> WithFaults:
        """The source with the faults; those of samples it does not have are left out.

        Raises:
            VestigeError: a copy's key is the key of a sample.
        """
        by_key = {fault.key: fault for fault in self.faults}
        copies = {key: fault for key, fault in by_key.items() if fault.kind in COPIES}
        return WithFaults(
            source,
            captions=self.captions,
            labels={key: fault.planted[0] for key, fault in by_key.items() if fault.kind == Kind.LABEL},
            media={key: (fault.kind, fault.donor or "") for key, fault in by_key.items() if fault.kind in MEDIA},
            copies={key: (fault.donor or "", fault.group or key, fault.alteration) for key, fault in copies.items()},
        )

    def revert(self, source: Source) -> Reverted:
        """A source that has the faults, without them."""
        by_key = {fault.key: fault for fault in self.faults}
        return Reverted(
            source,
            captions={key: fault.original for key, fault in by_key.items() if fault.kind == Kind.CAPTIONS},
            labels={key: fault.original[0] for key, fault in by_key.items() if fault.kind == Kind.LABEL},
            # A medium of an exchange lies with the sample whose donor its owner is.
            media={fault.donor or "": (fault.kind, fault.key) for fault in self.faults if fault.kind in MEDIA},
            copies={key for key, fault in by_key.items() if fault.kind in COPIES},
        )

    def save(self, path: Path) -> None:
        """Write `key, kind, donor, planted, original, group, alteration` as Parquet."""
        rows = [
            {
                "key": fault.key,
                "kind": str(fault.kind),
                "donor": fault.donor,
                "planted": list(fault.planted),
                "original": list(fault.original),
                "group": fault.group,
                "alteration": None if fault.alteration is None else fault.alteration.to_json(),
            }
            for fault in self.faults
        ]
        write_table(path, pa.Table.from_pylist(rows, schema=_SCHEMA))

    @classmethod
    def load(cls, path: Path) -> "Planted":
        """Read what `save` wrote; also the records of exchanged captions from before there were other kinds.

        Raises:
            VestigeError: the file holds something else.
        """
        rows = read_table(path).to_pylist()
        try:
            return cls(tuple(_fault(row) for row in rows))
        except (KeyError, ValueError, TypeError) as error:
            raise VestigeError(f"{path}: not a record of planted faults: {' '.join(str(error).split())}") from error


def together(parts: Iterable[Planted]) -> Planted:
    """The faults of several records as one.

    Raises:
        VestigeError: a sample has a fault in two of them.
    """
    return Planted(tuple(fault for part in parts for fault in part.faults))


def _fault(row: Mapping[str, object]) -> Fault:
    alteration = row.get("alteration")
    captions = row["planted"] if "planted" in row else row["captions"]
    group = row.get("group")
    return Fault(
        key=str(row["key"]),
        kind=Kind(str(row.get("kind", Kind.CAPTIONS))),
        donor=None if row["donor"] is None else str(row["donor"]),
        planted=_texts(captions),
        original=_texts(row["original"]),
        group=None if group is None else str(group),
        alteration=None if alteration is None else Alteration(**json.loads(str(alteration))),
    )


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list of texts, found {value!r}")
    return tuple(str(text) for text in value)
