"""The gradients of one batch: as a whole, in chunks, or over several processes, always of the same loss.

A loss that compares all samples of a batch needs all their features, but not all their activations. In chunks, the
features are computed without activations, then the gradient of the loss with respect to them, and each chunk goes
through the model a second time to carry its part of that gradient on (gradient caching: Gao et al., "Scaling Deep
Contrastive Learning Batch Size under Memory Limited Setup", 2021). Processes do the same with their parts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vestige.data.examples import Drawn, Rows
from vestige.samples import Modality
from vestige.training.objectives import Features, Objective
from vestige.training.team import Team

Views = Sequence[Drawn]


@dataclass(frozen=True)
class Work:
    """What one model does with one batch.

    Attributes:
        views: what was drawn of the samples that this process has.
        rows: the samples of the whole batch; those of a process lie together, in the order of ranks.
        counts: how many each process has.
        seed: of what is drawn while computing: dropout, noise.
    """

    views: Views
    rows: Rows
    counts: Sequence[int]
    seed: int


@dataclass(frozen=True)
class Gradients:
    """Computes the gradients of a batch.

    Attributes:
        objective: from a batch to a loss.
        device: where the model computes.
        team: the processes that share the batch.
        bfloat16: whether products are computed in that precision.
        chunk: samples that go through the model at once; None for all.
    """

    objective: Objective
    device: str
    team: Team
    bfloat16: bool = False
    chunk: int | None = None

    def __call__(self, model: nn.Module, work: Work) -> float:
        """Leave the gradients of the batch in the model; the loss."""
        own = work.counts[self.team.rank]
        chunks = [(0, own)] if self.chunk is None else _parts(own, self.chunk)
        if len(chunks) == 1 and self.team.size == 1:
            features = self._features(model, work, *chunks[0])
            return self._backward(model, features, work)
        return self._cached(model, work, chunks)

    def _cached(self, model: nn.Module, work: Work, chunks: Sequence[tuple[int, int]]) -> float:
        again = len(chunks) > 1
        with torch.set_grad_enabled(not again):
            parts = [self._features(model, work, *chunk) for chunk in chunks]
        names = sorted({name for found in self.team.agree([name for part in parts for name in part]) for name in found})
        places = self._places(work, names)
        leaves = {
            name: self._gathered(name, [part[name] for part in parts if name in part], places[name]) for name in names
        }
        loss = self._backward(model, leaves, work)
        for number, (start, stop) in enumerate(chunks):
            if again:
                parts[number] = self._features(model, work, start, stop)
            carried = [
                (feature, self._carried(leaves[name], places[name][self.team.rank], work, name, start, stop))
                for name, feature in parts[number].items()
                if feature.requires_grad
            ]
            torch.autograd.backward([feature for feature, _ in carried], [gradient for _, gradient in carried])
        self.team.average_gradients(model)
        return loss

    def _features(self, model: nn.Module, work: Work, start: int, stop: int) -> Features:
        rows = torch.arange(start, stop)
        whole = start == 0 and stop == work.counts[self.team.rank]
        views = work.views if whole else [view.rows(rows) for view in work.views]
        # The same draws the second time a chunk goes through the model.
        self._seed(work.seed + start)
        with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.bfloat16):
            found = self.objective.features(model, views, self.device)
        return {name: feature.float() for name, feature in found.items()}

    def _backward(self, model: nn.Module, features: Features, work: Work) -> float:
        self._seed(work.seed)
        loss = self.objective.loss(model, features, work.rows)
        loss.backward()
        return loss.item()

    def _seed(self, seed: int) -> None:
        """What `torch.manual_seed` does; for a processor without the rest of it, which takes a percent of a step.

        It notes for every kind of device that is not in use where in the code it was called from.
        """
        if torch.device(self.device).type == "cpu":
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)

    def _places(self, work: Work, names: Sequence[str]) -> dict[str, list[tuple[int, int]]]:
        """Where the rows of every process lie in each feature: (start, stop) by rank."""
        starts = [sum(work.counts[:rank]) for rank in range(self.team.size)]
        spans = [(start, start + count) for start, count in zip(starts, work.counts, strict=True)]
        return {
            name: [(_before(work.rows, name, start), _before(work.rows, name, stop)) for start, stop in spans]
            for name in names
        }

    def _gathered(self, name: str, parts: Sequence[Tensor], places: Sequence[tuple[int, int]]) -> Tensor:
        own = torch.cat([part.detach() for part in parts]) if parts else None
        if self.team.size > 1:
            shape = next(
                shape for shape in self.team.agree(None if own is None else own.shape[1:]) if shape is not None
            )
            own = torch.zeros(0, *shape, device=self.device) if own is None else own
            own = self.team.gather(own, [stop - start for start, stop in places])
        assert own is not None
        return own.requires_grad_()

    def _carried(self, leaf: Tensor, place: tuple[int, int], work: Work, name: str, start: int, stop: int) -> Tensor:
        """The gradient of the loss with respect to the features of a chunk of this process.

        Every process has the gradient of the same loss; the mean over processes of the gradients of the parameters is
        that of their sum when each part counts as often as there are processes.
        """
        first = sum(work.counts[: self.team.rank])
        begin, end = (_before(work.rows, name, first + own) for own in (start, stop))
        assert leaf.grad is not None
        return leaf.grad[begin:end] * self.team.size


def _parts(count: int, size: int) -> list[tuple[int, int]]:
    return [(start, min(start + size, count)) for start in range(0, count, size)] or [(0, 0)]


def _before(rows: Rows, name: str, place: int) -> int:
    """How many rows a feature has of the samples before a place in the batch."""
    present = rows.present.get(Modality(name)) if name in tuple(Modality) else None
    return place if present is None else int(present[:place].sum())
