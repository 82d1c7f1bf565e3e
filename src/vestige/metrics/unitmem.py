"""UnitMem: how much each unit of a network answers to one sample alone.

    UnitMem(u) = (mu_max - mu_-max) / (mu_max + mu_-max)
    mu_max     = max_i mu(i, u),      mu_-max = mean over the other samples

    Wang et al., "Localizing Memorization in SSL Vision Encoders" (NeurIPS 2024), eq. 7.

mu(i, u) is the activation of unit u on sample i after the non-linearity, averaged over tokens or space and over the
sample's augmented views first. It is a property of one model, not a contrast: 1 for a unit that fires on one sample
only, 0 for one that fires on all alike. max, argmax, sum and count of parts give those of the whole: one pass, O(U)
memory, any number of machines. The argmax names the sample. The bound [0, 1] holds for activations >= 0; negative ones
are counted, never clipped.

Shapes: N samples, U units.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from . import checks

Rest = Literal["mean", "median"]
NOBODY = torch.iinfo(torch.long).max
ROWS = 256  # samples taken in at a time: their float64 copy stays in the cache


@dataclass(frozen=True, slots=True)
class UnitMemResult:
    """UnitMem of each unit.

    Attributes:
        score: float64 [U]; NaN for dead units and for fewer than two samples.
        argmax: long [U], global index of the sample each unit answers to most; the smallest of several.
        n: samples seen.
        negative: long [U], how many activations were below 0: where any, the score may leave [0, 1].
        dead: bool [U], units with max + rest = 0, which never answered.
    """

    score: Tensor
    argmax: Tensor
    n: int
    negative: Tensor
    dead: Tensor


class UnitMemory:
    """The state from which UnitMem is computed, over any number of batches and shards.

    Attributes:
        max: float64 [U], largest activation so far.
        argmax: long [U], the sample that gave it, by global index.
        sum: float64 [U], sum of all activations.
        negative: long [U], number of activations below 0.
        n: samples seen.
    """

    def __init__(self, units: int, *, device: torch.device | str | None = None) -> None:
        """An empty state for `units` units."""
        checks.count("units", units)
        self.max = torch.full((units,), -torch.inf, dtype=torch.float64, device=device)
        self.argmax = torch.full((units,), NOBODY, dtype=torch.long, device=device)
        self.sum = torch.zeros(units, dtype=torch.float64, device=device)
        self.negative = torch.zeros(units, dtype=torch.long, device=device)
        self.n = 0

    def update(self, activations: Tensor, index: Tensor) -> None:
        """Take in some samples; each sample once in all.

        Args:
            activations: [n, U], after the non-linearity, averaged over tokens or space and over views.
            index: long [n], the global index of each sample.

        Raises:
            ValueError: wrong shape, dtype or device, NaN, negative indices.
        """
        checks.numbers("activations", activations, "[n, U]", (None, self.max.numel()), like=self.max)
        checks.integers("index", index, "[n]", (activations.shape[0],), low=0)
        checks.device("index", index, activations)
        for part, names in zip(activations.split(ROWS), index.split(ROWS), strict=True):
            self._take(part.double(), names)

    def merge(self, other: "UnitMemory") -> None:
        """Take in the samples of another state of the same units; the order of merging does not change max or argmax.

        Raises:
            ValueError: another number of units or another device.
        """
        checks.shape("other", other.max, "[U]", (self.max.numel(),))
        checks.device("other", other.max, self.max)
        self._raise_to(other.max, other.argmax)
        self.sum += other.sum
        self.negative += other.negative
        self.n += other.n

    def compute(self) -> UnitMemResult:
        """UnitMem (eq. 7) of all samples so far."""
        rest = (self.sum - self.max) / (self.n - 1) if self.n > 1 else torch.full_like(self.sum, torch.nan)
        return self._result(rest)

    def _result(self, rest: Tensor) -> UnitMemResult:
        total = self.max + rest
        score = ((self.max - rest) / total).where(total != 0, torch.nan)
        return UnitMemResult(score, self.argmax.clone(), self.n, self.negative.clone(), total == 0)

    def _take(self, part: Tensor, names: Tensor) -> None:
        if not len(names):
            return
        largest = part.amax(0)
        row, unit = (part == largest.where(largest >= self.max, torch.inf)).nonzero(as_tuple=True)
        first = torch.full_like(self.argmax, NOBODY).scatter_reduce_(0, unit, names[row], "amin")
        self._raise_to(largest, first)
        self.sum += part.sum(0)
        if bool(part.amin() < 0):
            self.negative += (part < 0).sum(0)
        self.n += len(names)

    def _raise_to(self, largest: Tensor, index: Tensor) -> None:
        ours = (self.max > largest) | ((self.max == largest) & (self.argmax <= index))
        self.max = torch.where(ours, self.max, largest)
        self.argmax = torch.where(ours, self.argmax, index)


def unit_memorization(activations: Tensor, *, rest: Rest = "mean") -> Tensor:
    """UnitMem of each unit, from all activations at once.

    Args:
        activations: [N, U], after the non-linearity, averaged over tokens or space and over views; N >= 2.
        rest: "mean" of the other samples (the paper's eq. 7), or their "median" (the authors' code); the median has no
            streaming form and sorts a copy of the activations. Of an even number it is the mean of the middle two.

    Returns:
        [U], in [0, 1] if no activation is negative; NaN for dead units. `UnitMemory` gives the samples' names as well.

    Raises:
        ValueError: wrong shape or dtype, NaN, fewer than two samples, no units.
    """
    checks.choice("rest", rest, ("mean", "median"))
    checks.numbers("activations", activations, "[N, U]", (None, None))
    n, units = activations.shape
    checks.count("activations: number of samples", n, least=2)
    memory = UnitMemory(units, device=activations.device)
    memory.update(activations, torch.arange(n, device=activations.device))
    if rest == "mean":
        score = memory.compute().score
    else:
        others = activations.sort(dim=0).values[:-1]
        middle = others[[(n - 2) // 2, (n - 1) // 2]].double().mean(0)
        score = memory._result(middle).score
    return score.to(checks.working_dtype(activations))
