"""Deja Vu on embeddings: against its literal algorithm with sets and a full sort."""

import pyarrow as pa
import pytest
import torch
from torch.nn.functional import normalize

from vestige.alignments import Part
from vestige.data.memory import SampleList
from vestige.embeddings import TensorEmbeddings
from vestige.errors import VestigeError
from vestige.recovery import ObjectRecoveryTest, RecoveryConfig
from vestige.retrieved import retrieved
from vestige.samples import Sample

N, P, D = 30, 50, 6
LABELS = ["cat", "dog", "tree", "car", "sky", "boat"]


def unit(rows, seed):
    return normalize(torch.randn(rows, D, generator=torch.Generator().manual_seed(seed)), dim=1)


def labelled(names, seed):
    draws = torch.rand(len(names), len(LABELS), generator=torch.Generator().manual_seed(seed)) < 0.3
    return {
        name: [label for label, drawn in zip(LABELS, row, strict=True) if drawn]
        for name, row in zip(names, draws, strict=True)
    }


@pytest.fixture
def case():
    targets, public = [f"t{n}" for n in range(N)], [f"p{n}" for n in range(P)]
    tensors = {"image": unit(P, 1), "text": unit(P, 2)}
    return targets, unit(N, 3), labelled(targets, 4), public, tensors, labelled(public, 5)


@pytest.mark.parametrize("index", ["image", "text"])
@pytest.mark.parametrize("top", [None, 2])
def test_recovery_is_its_algorithm(case, index, top):
    targets, captions, objects, public, tensors, public_objects = case
    config = RecoveryConfig(neighbours=7, top=top, index=index)
    test = ObjectRecoveryTest({"f": TensorEmbeddings(public, tensors)}, public_objects, objects, config)
    found, nearest = test.recover(Part("f", targets, {"text": captions}, {}, torch.full((N,), -1)))
    for row, key in enumerate(targets):
        distances = (tensors[index] - captions[row]).norm(dim=1)
        order = distances.argsort()[:7].tolist()
        votes = {}
        for place in order:
            for label in public_objects[public[place]]:
                count, apart = votes.get(label, (0, 0.0))
                votes[label] = (count + 1, apart + float(distances[place]))
        ranked = sorted(votes, key=lambda label: (-votes[label][0], votes[label][1], label))
        predicted, truth = set(ranked[:top]), set(objects[key])
        assert float(nearest[row]) == pytest.approx(float(distances[order[0]]), abs=1e-3)
        if truth:
            assert float(found.recall[row]) == pytest.approx(len(predicted & truth) / len(truth))
            expected = len(predicted & truth) / len(predicted) if predicted else 0
            assert float(found.precision[row]) == pytest.approx(expected)
        else:
            assert found.recall[row].isnan()


def test_without_a_gap_there_is_nothing_retrieved(case):
    """The second model recovers every candidate as well or better, and a sample of another role does not count."""
    targets, captions, objects, public, tensors, public_objects = case
    test = ObjectRecoveryTest({"f": TensorEmbeddings(public, tensors)}, public_objects, objects, RecoveryConfig())
    columns = {"dejavu_recall": [0.0, -0.5, None, 0.5], "dejavu_precision": [0.5, 0.0, None, 0.5]}
    roles = ["candidate", "candidate", "candidate", "external"]
    scores = pa.table({"key": targets[:4], "role": roles, **columns})
    stores = {"f": TensorEmbeddings(targets, {"text": captions})}
    data = SampleList(Sample(key, key) for key in targets)
    assert len(retrieved(scores, stores, test, data, data)) == 0


def test_what_cannot_be_tested(case):
    _, _, objects, public, tensors, public_objects = case
    stores = {"f": TensorEmbeddings(public, tensors)}
    with pytest.raises(VestigeError, match="50 public samples are fewer than 60 neighbours"):
        ObjectRecoveryTest(stores, public_objects, objects, RecoveryConfig(neighbours=60))
    with pytest.raises(VestigeError, match="none of the public samples has an object"):
        ObjectRecoveryTest(stores, {}, objects, RecoveryConfig())
    with pytest.raises(VestigeError, match="none of the samples to be scored has an object"):
        ObjectRecoveryTest(stores, public_objects, {"t0": []}, RecoveryConfig())
    with pytest.raises(VestigeError, match="image or text, not 'audio'"):
        RecoveryConfig(index="audio")
    with pytest.raises(VestigeError, match="top must be at least 1"):
        RecoveryConfig(top=0)
