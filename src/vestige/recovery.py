"""Deja Vu on stored embeddings: the objects of a picture, recovered from its caption by the nearest public pictures.

Jayaraman, Guo and Chaudhuri (2024), Algorithm 1. As an alignment it is contrasted like any other: what the models that
saw a sample recover of it, minus what those that did not.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vestige.alignments import Metric, Part
from vestige.embeddings import Embeddings, all_keys, chosen_rows
from vestige.errors import VestigeError
from vestige.metrics import LabelSets, ObjectRecovery, object_recovery
from vestige.samples import Modality


@dataclass(frozen=True)
class RecoveryConfig:
    """How objects are recovered."""

    neighbours: int = 10
    """Nearest public samples that vote."""
    top: int | None = None
    """Predict only the labels found in most neighbours (the paper's sample-level test takes 10); all when not given."""
    index: str = "image"
    """What captions are compared with: image (the paper), or text (captions of the public samples)."""
    reference_index: str | None = None
    """The same for all models but the first, where it differs: text, for a reference that embeds texts alone (the
    one-model test)."""

    def __post_init__(self) -> None:
        for name in ("index", "reference_index"):
            if getattr(self, name) not in (Modality.IMAGE, Modality.TEXT, *((None,) if name != "index" else ())):
                raise VestigeError(f"recovery.{name} is image or text, not {getattr(self, name)!r}")
        for name in ("neighbours", "top"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise VestigeError(f"recovery.{name} must be at least 1, not {value}")


class ObjectRecoveryTest:
    """The public side of the test, ready for targets: an exact index a model, and the objects of every public sample.

    Args:
        public: by model, the embeddings of the public samples, which no model saw.
        objects: by key, the objects of the public samples and of the targets.
        targets: keys of the samples to be tested.
        config: how.

    Attributes:
        public_keys: keys of the public samples, in the order of the rows that `neighbours` gives.

    Raises:
        VestigeError: fewer public samples than neighbours, no target with an object, or faiss is not installed.
    """

    def __init__(
        self,
        public: Mapping[str, Embeddings],
        public_objects: Mapping[str, Collection[str]],
        objects: Mapping[str, Collection[str]],
        config: RecoveryConfig,
    ) -> None:
        self._config, self._objects = config, objects
        keys = all_keys(next(iter(public.values())))
        if len(keys) < config.neighbours:
            raise VestigeError(
                f"dejavu: {len(keys)} public samples are fewer than {config.neighbours} neighbours: lower"
                " recovery.neighbours or give more"
            )
        if not any(objects.values()) or not any(public_objects.get(key) for key in keys):
            side = "public samples" if any(objects.values()) else "samples to be scored"
            raise VestigeError(f"dejavu: none of the {side} has an object: name a source with objects")
        names = sorted({label for found in (*objects.values(), *public_objects.values()) for label in found})
        self._label = {name: number for number, name in enumerate(names)}
        self.public_keys = keys
        self._public = self._sets(public_objects.get(key, ()) for key in keys)
        indices = [config.index, *[config.reference_index or config.index] * (len(public) - 1)]
        self._search = {
            model: _exact_index(chosen_rows(own, range(len(keys))), model, index)
            for (model, own), index in zip(public.items(), indices, strict=True)
        }

    def neighbours(self, model: str, captions: Tensor) -> tuple[Tensor, Tensor]:
        """(row in `public_keys`, distance) of the nearest public samples of embedded captions, [n, k] each."""
        similarity, rows = self._search[model].search(captions.float().contiguous().numpy(), self._config.neighbours)
        return torch.from_numpy(rows), (2 - 2 * torch.from_numpy(similarity)).clamp(min=0).sqrt()

    def recover(self, part: Part) -> tuple[ObjectRecovery, Tensor]:
        """(recovery, distance to the nearest public sample [n]) of some samples under one model."""
        rows, distances = self.neighbours(part.model, part.tensors[Modality.TEXT])
        found = object_recovery(
            rows,
            self._sets(self._objects.get(key, ()) for key in part.keys),
            self._public,
            top=self._config.top,
            distances=None if self._config.top is None else distances,
        )
        return found, distances[:, 0]

    def metric(self) -> Metric:
        """Recall and precision as alignments, missing for samples without objects."""

        def alignments(part: Part) -> dict[str, Tensor]:
            found, distance = self.recover(part)
            return {
                "dejavu_recall": found.recall,
                "dejavu_precision": found.precision,
                "dejavu_correct": found.correct.double(),
                "dejavu_predicted": found.predicted.double(),
                "dejavu_distance": distance,
            }

        return Metric(alignments, needs_heldout=False)

    def _sets(self, rows: Iterable[Collection[str]]) -> LabelSets:
        return LabelSets.from_lists(([self._label[name] for name in row] for row in rows), len(self._label))


def _exact_index(tensors: Mapping[str, Tensor], model: str, modality: str):
    if modality not in tensors:
        raise VestigeError(
            f"dejavu: {model} embeds no {modality}: set recovery.index (recovery.reference_index for a reference) to"
            " text for a model of texts alone"
        )
    embeddings = tensors[modality]
    try:
        import faiss
    except ImportError as error:
        raise VestigeError("dejavu needs the package 'faiss': pip install 'vestige[dejavu]'") from error
    index = faiss.IndexFlatIP(embeddings.shape[1])
    index.add(embeddings.float().contiguous().numpy())
    return index


def recovery_of(alignments: Mapping[str, Tensor], model: int) -> ObjectRecovery:
    """What `ObjectRecoveryTest.metric` left of one model's recovery, [N]."""
    return ObjectRecovery(
        recall=alignments["dejavu_recall"][model],
        precision=alignments["dejavu_precision"][model],
        correct=alignments["dejavu_correct"][model].long(),
        predicted=alignments["dejavu_predicted"][model].long(),
    )


def rows_of(recovery: ObjectRecovery, rows: Sequence[int]) -> ObjectRecovery:
    """The recovery of some samples."""
    at = torch.as_tensor(rows, dtype=torch.long)
    return ObjectRecovery(recovery.recall[at], recovery.precision[at], recovery.correct[at], recovery.predicted[at])
