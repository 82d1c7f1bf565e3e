"""The ways of finding wrong captions that `detection.py` compares: each turns a finished run into a score per sample.

High is suspicious. A finder names the design it needs: `two` models, each trained on one half of the samples, or `one`,
trained on all of them (but for the external ones, which are not judged).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from vestige.designs import Design, Role
from vestige.embeddings import EmbeddingStore, all_keys, chosen_rows
from vestige.files import read_table
from vestige.metrics import memorization
from vestige.samples import Modality

CLUSTERS, FOLDS = 60, 5


@dataclass(frozen=True)
class Trained:
    """A finished run; every tensor is of the samples that some model saw, in the order of its table."""

    directory: Path

    @cached_property
    def table(self) -> pa.Table:
        table = read_table(self.directory / "scores.parquet")
        return table.filter(pa.array([role != Role.EXTERNAL for role in table["role"].to_pylist()]))

    @property
    def keys(self) -> list[str]:
        return self.table["key"].to_pylist()

    def column(self, name: str) -> Tensor:
        return torch.from_numpy(self.table[name].cast(pa.float64()).to_numpy().copy())

    @cached_property
    def design(self) -> Design:
        return Design.load(self.directory / "membership.parquet")

    @cached_property
    def embeddings(self) -> Mapping[str, Mapping[str, Tensor]]:
        found = {}
        for model in self.design.models:
            store = EmbeddingStore(self.directory / "embeddings" / model)
            row = {key: place for place, key in enumerate(all_keys(store))}
            found[model] = chosen_rows(store, [row[key] for key in self.keys])
        return found

    def similarity(self) -> Tensor:
        """Cosine similarity of picture and caption under the models that saw the pair."""
        row = {key: place for place, key in enumerate(self.design.keys)}
        member = torch.from_numpy(self.design.member[:, [row[key] for key in self.keys]])
        own = [(x[Modality.IMAGE] * x[Modality.TEXT]).sum(1).double() for x in self.embeddings.values()]
        return memorization(torch.stack(own), member).align_in


def _multimem(run: Trained) -> Tensor:
    """MultiMem's column is f minus g; what g alone saw is a memory of g."""
    sign = {str(Role.CANDIDATE): 1.0, str(Role.INDEPENDENT): -1.0}
    return run.column("multimem") * torch.tensor([sign[role] for role in run.table["role"].to_pylist()]).double()


def _cleanlab(run: Trained) -> Tensor:
    """The label quality of cleanlab, with clusters of captions for labels.

    Captions are clustered by their embeddings; a logistic regression on the pictures' embeddings predicts the cluster,
    out of sample (no group is in two folds); the label quality is the probability of the sample's own cluster.
    """
    from cleanlab.rank import get_label_quality_scores
    from sklearn.cluster import KMeans
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold

    (own,) = run.embeddings.values()
    image, text = (own[modality].float().numpy() for modality in (Modality.IMAGE, Modality.TEXT))
    clusters = min(CLUSTERS, len(image) // (2 * FOLDS))
    labels = KMeans(clusters, n_init="auto", random_state=0).fit_predict(text)
    _, groups = np.unique(np.array(run.table["group"].to_pylist(), dtype=object), return_inverse=True)
    predicted = np.zeros((len(labels), clusters))
    for train, test in GroupKFold(min(FOLDS, len(set(groups.tolist())))).split(image, labels, groups):
        # Ten times the unit embeddings: with the default penalty, too small inputs would be shrunk to nothing.
        model = LogisticRegression(max_iter=200).fit(10 * image[train], labels[train])
        predicted[np.ix_(test, model.classes_)] = model.predict_proba(10 * image[test])
    return -torch.from_numpy(get_label_quality_scores(labels, predicted)).double()


def _random(run: Trained) -> Tensor:
    return torch.rand(len(run.keys), generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@dataclass(frozen=True)
class Finder:
    """A way of finding wrong captions.

    Attributes:
        name: in the tables.
        design: what must be trained.
        trainings: how many models that is; 0 where none is looked at.
        score: of every sample, high for suspicious.
    """

    name: str
    design: Literal["one", "two"]
    trainings: int
    score: Callable[[Trained], Tensor]


FINDERS = (
    Finder("random", "one", 0, _random),
    Finder("CLIPMem: seen minus not seen", "two", 2, lambda run: run.column("memorization")),
    Finder("MultiMem (cmc): seen minus not seen", "two", 2, _multimem),
    Finder("alignment, not seen", "two", 2, lambda run: -run.column("align_out")),
    Finder("CLIP similarity, seen", "two", 2, lambda run: -run.similarity()),
    Finder("neighbour agreement, not seen", "two", 2, lambda run: -run.column("neighbour_agreement_out")),
    Finder("neighbour agreement, seen", "two", 2, lambda run: -run.column("neighbour_agreement_in")),
    Finder("pair loss, seen", "two", 2, lambda run: run.column("pair_loss_in")),
    Finder("suspicion", "two", 2, lambda run: run.column("suspicion")),
    Finder("CLIP similarity, seen", "one", 1, lambda run: -run.similarity()),
    Finder("cleanlab, captions clustered", "one", 1, _cleanlab),
    Finder("neighbour agreement, seen", "one", 1, lambda run: -run.column("neighbour_agreement_in")),
    Finder("pair loss, seen", "one", 1, lambda run: run.column("pair_loss_in")),
    Finder("suspicion", "one", 1, lambda run: run.column("suspicion")),
)
