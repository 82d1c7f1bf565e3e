"""Labels flipped to another class."""

from collections.abc import Sequence

import numpy as np

from vestige.data.plant.record import Fault, Kind, Planted
from vestige.errors import VestigeError


def flip_labels(keys: Sequence[str], labels: Sequence[str | None], *, count: int, seed: int) -> Planted:
    """Choose samples at random and give each a label drawn evenly from the other classes.

    Args:
        keys, labels: the samples to choose from; those without a label are passed over.
        count: how many samples get a wrong label.
        seed: of the draw.

    Raises:
        VestigeError: more asked for than have a label, or there is one class only.
    """
    having = [(key, label) for key, label in zip(keys, labels, strict=True) if label is not None]
    classes = sorted({label for _, label in having})
    if not 0 <= count <= len(having) or (count and len(classes) < 2):
        raise VestigeError(
            f"plant.labels: {count} labels cannot be flipped: {len(having)} candidates have a label, of"
            f" {len(classes)} classes; there must be two classes, and as many candidates as are asked for"
        )
    draw = np.random.Generator(np.random.Philox(seed))
    chosen = [having[place] for place in draw.permutation(len(having))[:count]]
    faults = [
        Fault(key, Kind.LABEL, None, (others[int(draw.integers(len(others)))],), (label,))
        for key, label in chosen
        for others in [[other for other in classes if other != label]]
    ]
    return Planted(tuple(faults))
