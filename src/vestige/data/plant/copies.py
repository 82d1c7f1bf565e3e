"""Samples that are there twice, exactly or nearly.

A copy is a new sample with the key `KEY~copy1`. In a group of its own (the default) it is what curation misses: the
model that does not see the original may see the copy. In the group of the original it is what a careful collector
declares. Exact copies of pictures are found by the catalogue, which joins the groups of identical bytes; near copies
are not. Copies are samples: plant them before the design decides who sees what.
"""

from collections.abc import Collection, Sequence
from typing import Literal

import numpy as np

from vestige.data.plant.alteration import random_alteration
from vestige.data.plant.record import Fault, Kind, Planted
from vestige.errors import VestigeError

STREAM = int.from_bytes(b"copy", "little")
"""What leads these draws apart from others of the same seed."""


def copy_samples(
    keys: Sequence[str],
    groups: Sequence[str],
    *,
    count: int,
    seed: int,
    near: bool = False,
    group: Literal["own", "original"] = "own",
    taken: Collection[str] = (),
) -> Planted:
    """Choose samples at random and copy each once.

    Args:
        keys, groups: the samples to choose from.
        count: how many are copied.
        seed: of the draw.
        near: cropped, shifted or compressed anew, instead of exact; for samples with a picture.
        group: of the copy: one of its own, or that of the original.
        taken: keys that a copy cannot have, beside `keys`.

    Raises:
        VestigeError: more asked for than there are.
    """
    if not 0 <= count <= len(keys):
        raise VestigeError(f"plant: {count} copies asked for, of {len(keys)} candidates: ask for at most that many")
    # A stream of its own: the design permutes the same samples by the same seed, and would give the copied ones to the
    # first of its sets.
    draw = np.random.Generator(np.random.Philox([seed, STREAM]))
    known = {*keys, *taken}
    faults: list[Fault] = []
    for place in map(int, draw.permutation(len(keys))[:count]):
        number = next(number for number in range(1, len(known) + 2) if f"{keys[place]}~copy{number}" not in known)
        key = f"{keys[place]}~copy{number}"
        faults.append(
            Fault(
                key=key,
                kind=Kind.NEAR_COPY if near else Kind.COPY,
                donor=keys[place],
                group=key if group == "own" else groups[place],
                alteration=random_alteration(draw) if near else None,
            )
        )
    return Planted(tuple(faults))
