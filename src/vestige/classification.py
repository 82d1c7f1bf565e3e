"""Label memorization on stored scores of classes: how sure a classifier is of the labels a sample has.

Feldman and Zhang (2020). As an alignment it is contrasted like any other: the models that were taught a sample's label,
minus those that were not.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vestige.alignments import Heldout, Metric, Part
from vestige.data import Source
from vestige.data.labels import label_names, targets_of
from vestige.embeddings import LOGITS
from vestige.errors import VestigeError
from vestige.metrics import label_alignment, label_set_alignment
from vestige.models import ClassifyingEncoder, Encoder

LABELMEM = "labelmem"


class LabelTest:
    """The labels of the samples, in the numbers of the classifiers.

    Args:
        names: labels of every sample, by key; samples without a label that the classifiers know get no score.
        classes: those of the classifiers.
        several: whether a sample has any number of labels.

    Raises:
        VestigeError: no sample has a label that they know.
    """

    def __init__(self, names: Mapping[str, Sequence[str]], classes: Sequence[str], *, several: bool) -> None:
        known = set(classes)
        self._number = {name: place for place, name in enumerate(classes)}
        self._names = {key: tuple(name for name in own if name in known) for key, own in names.items()}
        self._several = several
        if not any(self._names.values()):
            raise VestigeError(
                "labelmem: no sample has a label that the classifiers know"
                f" ({', '.join(list(classes)[:3])}, ...): give the samples their labels"
            )

    @classmethod
    def of(cls, encoders: Mapping[str, Encoder], sources: Mapping[str, Source]) -> "LabelTest":
        """The test of these models on samples, with the labels they have there.

        Args:
            encoders: the models by name.
            sources: the samples by what leads their keys in the table.

        Raises:
            VestigeError: models that are no classifiers, or not of the same classes.
        """
        found: list[ClassifyingEncoder] = []
        for name, encoder in encoders.items():
            if not isinstance(encoder, ClassifyingEncoder):
                raise VestigeError(f"labelmem needs classifiers (paradigm supervised), and {name} is none")
            found.append(encoder)
        first = found[0]
        if any((own.classes, own.labels) != (first.classes, first.labels) for own in found):
            raise VestigeError("labelmem compares classifiers of the same classes, and these differ in theirs")
        names = {
            prefix + sample.key: label_names(sample, first.labels)
            for prefix, source in sources.items()
            for sample in source.samples(source.keys())
        }
        return cls(names, first.classes, several=first.labels == "objects")

    def accuracy(self, heldout: Heldout) -> dict[str, Any] | None:
        """How often each classifier is right on held-out samples.

        Returns:
            `n`, `chance` (the share of the most frequent label) and `models` (by name); None where samples have any
            number of labels, or no held-out sample has one.
        """
        numbers = targets_of([self._names.get(key, ()) for key in heldout.keys], self._number, several=False)
        known = numbers >= 0
        if self._several or not bool(known.any()):
            return None
        right = {
            name: label_alignment(shard[LOGITS][known].float(), numbers[known], kind="correctness").mean().item()
            for name, shard in heldout.shards.items()
        }
        chance = numbers[known].bincount().max().item() / int(known.sum())
        return {"n": int(known.sum()), "chance": chance, "models": right}

    def metric(self) -> Metric:
        """Probability and correctness as alignments, missing for samples without labels."""

        def alignments(part: Part) -> dict[str, Tensor]:
            if LOGITS not in part.tensors:
                raise VestigeError(f"labelmem: the embeddings of {part.model} keep no scores of classes: embed again")
            names = [self._names.get(key, ()) for key in part.keys]
            has = torch.tensor([bool(own) for own in names], dtype=torch.bool)
            has &= ~part.tensors[LOGITS][:, 0].isnan()
            logits = part.tensors[LOGITS][has].float()
            targets = targets_of(names, self._number, several=self._several)[has]
            align = label_set_alignment if self._several else label_alignment
            found = {
                "labelmem": align(logits, targets, kind="probability"),
                "labelmem_correct": align(logits, targets, kind="correctness"),
            }
            missing = logits.new_full((len(names),), torch.nan)
            return {column: missing.masked_scatter(has, own) for column, own in found.items()}

        return Metric(alignments, needs_heldout=False)
