"""What a writer is given, and what it gives back."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vestige.data import Source
from vestige.errors import VestigeError


@dataclass(frozen=True)
class Origin:
    """The data as they are.

    Attributes:
        source: the samples.
        form: name of the format, or of the built-in collection.
        location: where they lie; None for a built-in collection.
        options: of the source.
    """

    source: Source
    form: str
    location: Path | None
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.form if self.location is None else f"{self.form}:{self.location}"

    @property
    def place(self) -> Path:
        """The location of what has one."""
        if self.location is None:
            raise ValueError(f"{self.form} has no location")
        return self.location


@dataclass(frozen=True)
class Changes:
    """What becomes of the samples.

    Attributes:
        chosen: samples to take out; or, with `keep`, the only ones to leave in.
        keep: whether they are left in. Records that make no sample then go with the others.
        captions: new captions in place of a sample's own.
        copy: whether media are copied rather than linked to.
    """

    chosen: frozenset[str] = frozenset()
    keep: bool = False
    captions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    copy: bool = False

    def drops(self, key: str | None) -> bool:
        """Whether a sample goes; None stands for a record that makes no sample."""
        return (key in self.chosen) != self.keep


@dataclass(frozen=True)
class Written:
    """How the cleaned set is opened.

    Attributes:
        form: of the format.
        location: below the place that was written to, or an absolute path; empty for the place itself.
        options: of the source.
        renumbered: why keys are not what they were; empty if they are.
        notes: what whoever uses the set should know, in sentences.
    """

    form: str
    location: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    renumbered: str = ""
    notes: tuple[str, ...] = ()


def put(original: Path, place: Path, *, copy: bool) -> None:
    """A link at `place` to a file or folder, or a copy of it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if not copy:
        place.symlink_to(original.resolve())
    elif original.is_dir():
        shutil.copytree(original, place)
    else:
        shutil.copy2(original, place)


def no_captions_here(origin: Origin, why: str) -> VestigeError:
    return VestigeError(f"{origin.name}: captions cannot be changed here: {why}; take the samples out instead")
