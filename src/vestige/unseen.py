"""The held-out set of a design that keeps nothing out of all models: for each model, what that model did not see.

    A(m, i) = mu_I . mu_T - x_I . m_T - x_T . m_I,     m_j the mean of x_j over H_m,  H_m = samples not seen by m

CLIPMem (eq. 3) takes one H for all models, which costs it the scores of the samples in H. With halves and no external
samples every sample gets a score from two trainings. What that changes: H_f and H_g are two random halves of one
collection, each unseen by its model as S_E is by both, and A is linear in the means, so the expectation of a score over
the division is the one it has with a common H of that size. The choice of H no longer cancels between models; with
thousands of samples in each it adds little, and `<metric>_heldout_se` says how much. A sample that lies in H_m is not
compared with itself; others of its group are, each with a weight of 1/H. There is no null, and so no p-value.
"""

from collections.abc import Mapping, Sequence
from itertools import compress

import numpy as np

from vestige.alignments import Heldout, heldout_rows
from vestige.designs import Design, Role
from vestige.embeddings import Embeddings, all_keys
from vestige.keys import positions

MOST = 4096
"""Samples in the set of a model: the means of more differ by less than a hundredth of a score's spread."""


def heldout_of(stores: Mapping[str, Embeddings], design: Design, *, most: int = MOST) -> Heldout:
    """The external samples of a design, the same for all models; without any, what each model did not see.

    Args:
        stores: the embeddings of every model of the design.
        design: who saw what.
        most: largest size of the set of one model; a larger one is thinned evenly, in the order of the design.

    Raises:
        VestigeError: a model saw every sample.
    """
    external = [key for key, role in zip(design.keys, design.roles(), strict=True) if role == Role.EXTERNAL]
    if external:
        return heldout_rows(stores, external)
    own = {model: _thinned(_unseen(design, model, stores[model]), most) for model in design.models}
    found = {model: heldout_rows({model: stores[model]}, keys) for model, keys in own.items()}
    return Heldout((), {model: rows.shards[model] for model, rows in found.items()}, own)


def _unseen(design: Design, model: str, store: Embeddings) -> list[str]:
    embedded = positions(design.keys, all_keys(store)) >= 0
    return list(compress(design.keys, embedded & ~design.member[design.models.index(model)]))


def _thinned(keys: Sequence[str], most: int) -> list[str]:
    if len(keys) <= most:
        return list(keys)
    places: list[int] = np.linspace(0, len(keys) - 1, most).astype(np.int64).tolist()
    return [keys[place] for place in places]
