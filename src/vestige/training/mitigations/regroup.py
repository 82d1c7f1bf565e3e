"""Regrouping while training (Wang et al., "MultiMem", ECCV 2026, in-training mitigation).

At given epochs (the paper: every 10) the training samples are scored, the most memorized 5% of each model are put
together in batches of their own, and these alone are augmented: noise on their representations, and a random caption
in each epoch. What has a score follows from the design, for a sample is memorized by a model when that model aligns it
better than the model of its pair that never sees it:

    contrast     s(i) = A_f(i) - A_g(i) for i that f sees and g does not; the other way round for g's samples.
                 Samples that both see have no score, and stay where they are.
    alignment    s(i) = - A_m(i): the worst aligned samples of a model, from that model alone. Training has to
                 memorize what it cannot align otherwise, but this is a guess where the contrast is a measurement.

A is `inspection.alignments`, without views. The models of a pair stay matched: the samples they share are in the same
batches in both. The samples that one of them has to itself share slots with those of the other in any order, so the
slots are dealt anew, the most memorized of f with the most memorized of g. By alignment the share is taken of the
shared samples (by the mean over the models) and of each model's own, apart.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from vestige.data.examples import Drawn, Examples
from vestige.data.views import View, chosen_captions
from vestige.errors import VestigeError
from vestige.samples import Modality
from vestige.training.inspection import Look, alignments
from vestige.training.mitigations.around import Around
from vestige.training.objectives import Objective

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Scored:
    """What scoring the training samples of a block gave.

    Attributes:
        top: for every model, the positions of the samples to be put together, ascending.
        ranked: for every model, how many samples had a score.
        seconds: for every model, what it cost to embed with it.
    """

    top: Sequence[Positions]
    ranked: Sequence[int]
    seconds: Sequence[float]


def check_block(models: int, by: str) -> None:
    """Refuse what cannot be regrouped.

    Raises:
        VestigeError: the contrast takes two models that are trained in step.
    """
    if models > 2:
        raise VestigeError("mitigations.regroup_every: regrouping takes one or two models that are trained in step")
    if by == "contrast" and models != 2:
        raise VestigeError(
            "mitigations.regroup_by contrast compares two models that are trained in step, and this design trains each"
            " by itself: use mitigations.regroup_by alignment, or the designs roles or halves"
        )


def score_samples(
    models: Sequence[nn.Module], slots: Positions, look: Look, heldout: Positions, *, by: str, share: float
) -> Scored:
    """The samples to be put together, `share` of those that have a score.

    Args:
        models: one or two.
        slots: the sample in every slot of every model, [M, S]; -1 for none.
        look: from a model and positions to embeddings.
        heldout: positions of samples that no model sees.
        by: "contrast" or "alignment".
        share: of the samples, in (0, 1); two of them at least.
    """
    shared, own = _parted(slots)
    everything = by == "alignment"
    # For the contrast, all samples that one model has to itself go through both.
    alone = [np.concatenate([shared, one]) for one in own]
    wanted = alone if everything else [np.concatenate(own)] * len(models)
    found, seconds = [], []
    for model, positions in zip(models, wanted, strict=True):
        start = time.perf_counter()
        embedded = look(model, np.concatenate([positions, heldout]))
        count = len(positions)
        scores = alignments(embedded, slice(0, count), slice(count, None)).numpy()
        seconds.append(time.perf_counter() - start)
        found.append(scores)
    if everything:
        together = -np.mean([scores[: len(shared)] for scores in found], axis=0)
        apart = [-scores[len(shared) :] for scores in found]
        top_shared = _top(together, shared, _count(share, len(shared)))
    else:
        parts = np.split(found[0] - found[1], [len(own[0])])
        apart, top_shared = [parts[0], -parts[1]], np.empty(0, np.int64)
    # Equally many of each model, so that they fill the same batches.
    least = _count(share, min(len(one) for one in own))
    top = [np.union1d(top_shared, _top(s, one, least)) for s, one in zip(apart, own, strict=True)]
    ranked = [len(one) + (len(shared) if everything else 0) for one in own]
    return Scored(top, ranked, seconds)


def put_together(slots: Positions, top: Sequence[Positions]) -> tuple[Positions, NDArray[np.bool_]]:
    """Deal the slots anew, such that some of them hold exactly the samples that are to be put together.

    Args:
        slots: the sample in every slot of every model, [M, S]; -1 for none.
        top: for every model its samples to be put together: the same of those that all models share, and equally many
            of its own.

    Returns:
        The slots, and which of them hold these samples, bool [S]. Samples that all models share keep their slots.
    """
    shared, own = _parted(slots)
    apart = np.isin(slots[0], np.intersect1d(top[0], shared))
    free = np.flatnonzero(~np.isin(slots[0], shared))
    dealt = slots.copy()
    first = 0
    for model, (mine, chosen) in enumerate(zip(own, top, strict=True)):
        ahead, rest = mine[np.isin(mine, chosen)], mine[~np.isin(mine, chosen)]
        first = len(ahead)
        dealt[model, free] = -1
        dealt[model, free[: len(mine)]] = np.concatenate([ahead, rest])
    apart[free[:first]] = True
    return dealt, apart


class DiverseCaptions(Around):
    """An objective that sees a random caption of some samples, whatever the policy of the others."""

    def __init__(self, inner: Objective, chosen: Tensor) -> None:
        super().__init__(inner)
        self._chosen = chosen

    def draw(self, examples: Examples, positions: Positions, view: View) -> tuple[Drawn, ...]:
        return tuple(self._other(examples, own, view) for own in self.inner.draw(examples, positions, view))

    def _other(self, examples: Examples, drawn: Drawn, view: View) -> Drawn:
        if Modality.TEXT not in drawn.tensors:
            return drawn
        having = drawn.positions[drawn.present[Modality.TEXT]]
        chosen = self._chosen[having]
        own = having[chosen].numpy()
        choice = chosen_captions("random", view, examples.hashes[own], examples.counts[own])
        tokens = drawn.tensors[Modality.TEXT].clone()
        tokens[chosen] = examples.tokens(own, choice)
        return Drawn(drawn.positions, {**drawn.tensors, Modality.TEXT: tokens}, drawn.present)


def overhead(scoring: Mapping[str, float], training: Mapping[str, float], every: int) -> dict[str, float | None]:
    """What scoring costs, as a share of the time that training the first model takes.

    Args:
        scoring: seconds of one scoring by model, the first model first.
        training: seconds of an epoch by model; without models that were not timed.
        every: epochs between two scorings.

    Returns:
        `overhead_f`: the first model's part of the scoring alone; `overhead_with_g`: all of the scoring and the
        training of the second model, which the contrast cannot do without. None where nothing was timed.
    """
    first, *others = scoring
    if training.keys() != scoring.keys():
        return {"overhead_f": None, "overhead_with_g": None}
    base = every * training[first]
    beside = sum(scoring.values()) + every * sum(training[name] for name in others)
    return {"overhead_f": scoring[first] / base, "overhead_with_g": beside / base}


def _parted(slots: Positions) -> tuple[Positions, list[Positions]]:
    """The samples that all models see, and those that each has to itself, in the order of the slots."""
    rows = [row[row >= 0] for row in slots]
    shared = rows[0] if len(rows) > 1 else np.empty(0, np.int64)
    for row in rows[1:]:
        shared = shared[np.isin(shared, row)]
    return shared, [row[~np.isin(row, shared)] for row in rows]


def _count(share: float, total: int) -> int:
    """How many that is: two at least, for one pair alone has nothing to be told from."""
    return min(max(round(share * total), 2), total)


def _top(scores: NDArray[np.float64], positions: Positions, count: int) -> Positions:
    """The positions of the highest scores; of equal ones the first, and those without a score last."""
    order = np.argsort(-np.nan_to_num(scores, nan=-np.inf), kind="stable")
    return np.sort(positions[order[:count]])
