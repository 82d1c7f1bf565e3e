"""Which samples of a source were seen before, by the models of a run or in a test: these say nothing about others."""

from dataclasses import dataclass
from pathlib import Path

from vestige.designs import Design, Role
from vestige.files import read_table
from vestige.samples import Modality
from vestige.utility.facts import Facts

MEDIA = tuple(modality for modality in Modality if modality != Modality.TEXT)


@dataclass(frozen=True)
class Seen:
    """What some model of a run was trained on, or what a probe is tested on.

    Attributes:
        keys, groups: of these samples, as their source calls them.
        contents: hashes of their media.
        external: keys of the samples that were held out of every model.
    """

    keys: frozenset[str]
    groups: frozenset[str]
    contents: frozenset[str]
    external: tuple[str, ...]

    @classmethod
    def by(cls, directory: Path, design: Design) -> "Seen":
        """Read what lies in the directory of a run."""
        roles = zip(design.keys, design.roles(), strict=True)
        external = tuple(key for key, role in roles if role == Role.EXTERNAL)
        keys = frozenset(design.keys) - frozenset(external)
        columns = ["key", "group", *(f"{modality}_content" for modality in MEDIA)]
        groups: set[str] = set()
        contents: set[str] = set()
        for path in sorted((directory / "samples").glob("samples-*.parquet")):
            for row in read_table(path, columns).to_pylist():
                if row["key"] in keys:
                    groups.add(row["group"])
                    contents.update(own for name in columns[2:] if (own := row[name]) is not None)
        return cls(keys, frozenset(groups), frozenset(contents), external)

    @classmethod
    def of(cls, facts: Facts) -> "Seen":
        """These samples, whose media were hashed."""
        return cls(frozenset(facts.keys), frozenset(facts.groups), frozenset().union(*facts.contents), ())

    def unseen(self, facts: Facts, *, same_source: bool) -> list[int]:
        """Rows of the samples that are not among these.

        Args:
            facts: samples with the hashes of their media.
            same_source: whether keys and groups mean the same there as here. Where they do not, a sample was seen if
                one of its media is, byte for byte, among these.
        """
        return [
            row
            for row in range(len(facts))
            if not (same_source and (facts.keys[row] in self.keys or facts.groups[row] in self.groups))
            and self.contents.isdisjoint(facts.contents[row])
        ]
