"""Sets of labels, one a sample, as two flat tensors: row i holds labels[offsets[i] : offsets[i + 1]].

Labels are whole numbers below `n_labels`. Give them in the order of their names: where counts tie, the smaller id wins.

Shapes: N samples, nnz labels in all, W = ceil(n_labels / 64) words of 64 bits.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from . import checks

WORD = 64  # labels in one word


@dataclass(frozen=True, slots=True)
class LabelSets:
    """The labels of N samples. Built from any rows, it holds each row sorted and without repeats.

    Attributes:
        offsets: long [N + 1], from 0, never falling, ending at nnz.
        labels: long [nnz], in [0, n_labels).
        n_labels: how many labels there are.

    Raises:
        ValueError: wrong shape, dtype or device, offsets that fall or do not span the labels, labels out of range.
    """

    offsets: Tensor
    labels: Tensor
    n_labels: int

    def __post_init__(self) -> None:
        """Check, sort and drop repeats."""
        checks.count("n_labels", self.n_labels)
        checks.integers("labels", self.labels, "[nnz]", (None,), low=0, high=self.n_labels)
        checks.integers("offsets", self.offsets, "[N + 1]", (None,), low=0, high=self.labels.numel() + 1)
        checks.device("offsets", self.offsets, self.labels)
        if self.offsets.numel() == 0 or int(self.offsets[0]) != 0 or int(self.offsets[-1]) != self.labels.numel():
            ends = self.offsets[[0, -1]].tolist() if self.offsets.numel() else "nothing"
            raise ValueError(f"offsets: expected to span 0 to {self.labels.numel()}, found {ends}")
        if bool((self.offsets.diff() < 0).any()):
            raise ValueError("offsets: expected values that never fall, found a fall")
        row = torch.repeat_interleave(self.offsets.diff())
        cell = (row * self.n_labels + self.labels).unique()
        sizes = torch.bincount(cell // self.n_labels, minlength=self.offsets.numel() - 1)
        object.__setattr__(self, "labels", cell % self.n_labels)
        object.__setattr__(self, "offsets", torch.cat([sizes.new_zeros(1), sizes.cumsum(0)]))

    @classmethod
    def from_lists(cls, rows: Iterable[Iterable[int]], n_labels: int) -> Self:
        """From the label ids of each sample, as Python collections.

        Raises:
            ValueError: a label outside [0, n_labels).
        """
        lists = [list(row) for row in rows]
        sizes = torch.tensor([len(row) for row in lists], dtype=torch.long)
        labels = torch.tensor([label for row in lists for label in row], dtype=torch.long)
        return cls(torch.cat([sizes.new_zeros(1), sizes.cumsum(0)]), labels, n_labels)

    def __len__(self) -> int:
        """N."""
        return self.offsets.numel() - 1

    def sizes(self) -> Tensor:
        """Long [N]: how many labels each sample has."""
        return self.offsets.diff()

    def words(self) -> int:
        """W: words of 64 bits that hold one set."""
        return -(-self.n_labels // WORD)

    def bits(self, start: int, stop: int) -> Tensor:
        """Long [stop - start, W]: the sets of some rows, label l as bit l % 64 of word l // 64."""
        offsets = self.offsets[start : stop + 1]
        labels = self.labels[int(offsets[0]) : int(offsets[-1])]
        sizes, words = offsets.diff(), self.words()
        row = torch.repeat_interleave(sizes, output_size=len(labels))
        table = torch.zeros(len(sizes) * words, dtype=torch.long, device=labels.device)
        # No label is twice in a row, so adding bits sets them.
        table.scatter_add_(0, row * words + labels // WORD, torch.ones_like(labels) << labels % WORD)
        return table.view(-1, words)
