"""Labels: what a classifier is taught of each sample, as numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from vestige.errors import VestigeError
from vestige.samples import Sample

LabelKind = Literal["label", "objects"]
"""Which labels of a sample: its one `label`, or its `objects`."""


@dataclass(frozen=True)
class Labels:
    """The labels of N samples, of C classes.

    Attributes:
        classes: their names, in alphabetical order.
        targets: the class of every sample, long [N]; or which classes each has, bool [N, C].
    """

    classes: tuple[str, ...]
    targets: Tensor

    @property
    def several(self) -> bool:
        """Whether a sample has any number of labels, and not one."""
        return self.targets.ndim == 2

    def names(self) -> list[tuple[str, ...]]:
        """The labels of every sample by name."""
        if self.several:
            return [tuple(self.classes[place] for place in row.nonzero().flatten().tolist()) for row in self.targets]
        return [(self.classes[place],) for place in self.targets.tolist()]


def label_names(sample: Sample, kind: LabelKind) -> tuple[str, ...]:
    """The labels of a sample by name; none where nothing is known of it."""
    if kind == "objects":
        return tuple(sorted(set(sample.objects)))
    return () if sample.label is None else (sample.label,)


def numbered(names: Sequence[Sequence[str]], kind: LabelKind) -> Labels:
    """Labels by name as numbers.

    Args:
        names: of every sample, one or more.
        kind: whether a sample has one label, or any number.

    Raises:
        VestigeError: fewer than two classes.
    """
    classes = sorted({name for own in names for name in own})
    if len(classes) < 2:
        found = f"all {len(names)} samples have the {kind} {classes[0]!r}" if classes else f"no sample has a {kind}"
        raise VestigeError(f"{found}: a classifier tells at least two classes apart")
    number = {name: place for place, name in enumerate(classes)}
    return Labels(tuple(classes), targets_of(names, number, several=kind == "objects"))


def targets_of(names: Sequence[Sequence[str]], number: dict[str, int], *, several: bool) -> Tensor:
    """The numbers of labels by name: long [N], -1 for none; or bool [N, C]. Unknown names are left out."""
    known = [[number[name] for name in own if name in number] for own in names]
    if not several:
        return torch.tensor([own[0] if own else -1 for own in known], dtype=torch.long)
    targets = torch.zeros(len(names), len(number), dtype=torch.bool)
    for row, own in enumerate(known):
        targets[row, own] = True
    return targets
