"""A part of the samples held back: by whole groups, every class in both parts where it has two groups."""

import torch
from torch import Tensor

from vestige.metrics import checks


def split_groups(labels: Tensor, group: Tensor, *, share: float, seed: int) -> Tensor:
    """Which samples are held back, bool [N].

    Of every class about `share` of its groups is held back: at least one, and at least one is not, where it has two.
    A group that holds several classes goes with that of its first sample.

    Args:
        labels: long [N], the class of every sample.
        group: long [N].
        share: between 0 and 1.
        seed: of the draw.

    Raises:
        ValueError: wrong shape or dtype, a share outside (0, 1).
    """
    checks.fraction("share", share)
    checks.integers("labels", labels, "[N]", (None,), low=0)
    checks.integers("group", group, "[N]", (len(labels),), low=0)
    labels, group = labels.cpu(), group.cpu()
    _, place = group.unique(return_inverse=True)
    count = int(place.max()) + 1 if len(place) else 0
    first = torch.full((count,), len(place)).scatter_reduce_(0, place, torch.arange(len(place)), "amin")
    class_of = labels[first]
    generator = torch.Generator().manual_seed(seed)
    held = torch.zeros(count, dtype=torch.bool)
    for label in class_of.unique():
        own = torch.nonzero(class_of == label).flatten()
        size = min(max(1, round(share * len(own))), len(own) - 1)
        held[own[torch.randperm(len(own), generator=generator)[:size]]] = True
    return held[place]
