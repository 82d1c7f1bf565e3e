"""The classes of a source: one label a sample, or, where samples have objects and no labels, a set of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vestige.utility.facts import Facts
from vestige.utility.unfit import Unfit

LEAST_OF_A_SET = 5
"""Objects that fewer samples show make no class: their average precision is a matter of chance."""


@dataclass(frozen=True)
class Classes:
    """Names of the classes, C of them, and whether a sample has one or a set of them."""

    names: tuple[str, ...]
    sets: bool

    def of(self, facts: Facts) -> Tensor:
        """Long [N], -1 for a sample without; for sets bool [N, C]."""
        number = {name: place for place, name in enumerate(self.names)}
        if not self.sets:
            return torch.tensor([-1 if name is None else number.get(name, -1) for name in facts.labels])
        has = torch.zeros(len(facts), len(self.names), dtype=torch.bool)
        for row, objects in enumerate(facts.objects):
            has[row, [number[name] for name in set(objects) if name in number]] = True
        return has

    def labelled(self, facts: Facts) -> list[int]:
        """Rows of the samples that have a class."""
        known = set(self.names)
        has = [facts.objects[row] if self.sets else (facts.labels[row],) for row in range(len(facts))]
        return [row for row, own in enumerate(has) if not known.isdisjoint(own)]


def classes_of(data: str, parts: Sequence[Facts]) -> Classes:
    """The classes that some part of a source has.

    Raises:
        Unfit: no sample has a class, or all have the same.
    """
    labels = sorted({label for facts in parts for label in facts.labels if label is not None})
    if len(labels) > 1:
        return Classes(tuple(labels), sets=False)
    if labels:
        raise Unfit(f"{data}: all samples that have a label have the same, {labels[0]!r}: two classes are needed")
    counts = Counter(name for facts in parts for objects in facts.objects for name in set(objects))
    if not counts:
        raise Unfit(f"{data}: the samples have neither labels nor objects: probe and zero-shot need classes")
    objects = sorted(name for name, count in counts.items() if count >= LEAST_OF_A_SET)
    if not objects:
        raise Unfit(f"{data}: no object is in {LEAST_OF_A_SET} samples or more: too few to tell classes apart")
    return Classes(tuple(objects), sets=True)
