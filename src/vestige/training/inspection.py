"""Looking at models while they are trained: their embeddings of some samples, and how well they do on them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vestige.data.examples import Examples
from vestige.data.views import View
from vestige.errors import VestigeError
from vestige.metrics import cross_modal_consistency_from_means, heldout_mean
from vestige.samples import Modality
from vestige.training.objectives import Objective
from vestige.training.team import Team
from vestige.utility.retrieval import retrieval

Embedded = dict[Modality, Tensor]
"""By modality, unit embeddings of n samples, [n, d]; NaN for a sample that lacks it."""


class Look(Protocol):
    def __call__(self, model: nn.Module, positions: NDArray[np.int64], /) -> Embedded: ...


def looking(examples: Examples, objective: Objective, team: Team, device: str, batch_size: int) -> Look:
    """A function from a model and positions of samples to their un-augmented embeddings.

    The processes of a team each embed a part. The model is in training mode again afterwards.
    """

    @torch.no_grad()
    def part(model: nn.Module, positions: NDArray[np.int64]) -> Embedded:
        found: dict[Modality, list[Tensor]] = {}
        for batch in np.array_split(positions, -(-len(positions) // batch_size) or 1):
            features = objective.features(model, (examples.draw(batch, None),), device)
            present = examples.rows(batch).present
            for modality in (m for m in present if str(m) in features):
                unit = functional.normalize(features[str(modality)].float(), dim=-1).cpu()
                rows = unit.new_full((len(batch), unit.shape[1]), torch.nan)
                rows[present[modality]] = unit
                found.setdefault(modality, []).append(rows)
            for modality in found.keys() - {m for m in present if str(m) in features}:
                # No sample of this batch has what others have.
                found[modality].append(torch.full((len(batch), found[modality][0].shape[1]), torch.nan))
        return _filled(found, len(positions))

    def look(model: nn.Module, positions: NDArray[np.int64]) -> Embedded:
        parts = np.array_split(positions, team.size)
        with evaluating(model):
            own = part(model, parts[team.rank])
        if team.size == 1:
            return own
        known: list[dict[Modality, int]] = team.agree({modality: x.shape[1] for modality, x in own.items()})
        widths = {modality: width for one in known for modality, width in one.items()}
        counts = [len(one) for one in parts]
        rank = team.rank
        return {
            m: team.gather(own.get(m, torch.full((counts[rank], widths[m]), torch.nan)).to(device), counts).cpu()
            for m in sorted(widths)
        }

    return look


def alignments(embedded: Embedded, rows: slice, heldout: slice) -> Tensor:
    """How well a model aligns some samples against others that no model saw: MultiMem's mean over pairs of modalities.

    For pictures and texts this is CLIPMem's alignment (eq. 3), without views; it is defined for samples that lack a
    modality, as MultiMem's own sum is not.

    Args:
        embedded: of all of them.
        rows, heldout: where the two lie.

    Returns:
        float64 [n]; NaN for a sample with fewer than two modalities.
    """
    if len(embedded) < 2:
        raise VestigeError(
            f"this training compares {' and '.join(embedded) or 'no modality'}: regrouping scores how two modalities"
            " of a sample agree"
        )
    x = {m: own[rows] for m, own in embedded.items()}
    masks = {m: ~own[:, 0].isnan() for m, own in x.items()}
    lacking = {m: mask for m, mask in masks.items() if not bool(mask.all())}
    held = {m: own[heldout] for m, own in embedded.items()}
    means = {m: heldout_mean(own, present=~own[:, 0].isnan()) for m, own in held.items()}
    return cross_modal_consistency_from_means(x, x, means, present=lacking, variant="mean_pair").double()


def heldout_loss(
    model: nn.Module, objective: Objective, examples: Examples, heldout: NDArray[np.int64], size: int, device: str
) -> float:
    """The loss of the held-out samples in batches of at most `size`, under a draw of views that is always the same."""
    total = 0.0
    with evaluating(model), torch.no_grad():
        batches: Sequence[NDArray[np.int64]] = np.array_split(heldout, -(-len(heldout) // size))
        for batch in batches:
            torch.manual_seed(0)
            features = objective.features(model, objective.draw(examples, batch, View(0, 0)), device)
            features = {name: own.float() for name, own in features.items()}
            total += float(objective.loss(model, features, examples.rows(batch))) * len(batch)
    return total / len(heldout)


def heldout_retrieval(embedded: Embedded, names: Tensor) -> float:
    """The mean of the two rates at which the first pair of modalities finds its own other half first.

    Args:
        embedded: the held-out samples.
        names: long [H]; samples of equal names are equally correct.
    """
    (_, x), (_, y) = list(embedded.items())[:2]
    both = ~(x[:, 0].isnan() | y[:, 0].isnan())
    x, y, names = x[both], y[both], names[both]
    return (retrieval(x, y, names, [1])[1] + retrieval(y, x, names, [1])[1]) / 2


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """While the block runs the model is in evaluation mode; afterwards in the mode it was in."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _filled(found: dict[Modality, list[Tensor]], count: int) -> Embedded:
    """One tensor a modality; batches that came before the first one that has it get rows of NaN."""
    filled = {}
    for modality, parts in found.items():
        rows = torch.cat(parts)
        before = rows.new_full((count - len(rows), rows.shape[1]), torch.nan)
        filled[modality] = torch.cat([before, rows])
    return {modality: filled[modality] for modality in Modality if modality in filled}
