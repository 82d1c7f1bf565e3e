"""Retrieval against its literal definition."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from vestige.utility import retrieval as module
from vestige.utility.retrieval import chance, retrieval


def literal(query, target, identity, k):
    hits = 0
    for i in range(len(query)):
        similarity = [float(query[i] @ target[j]) for j in range(len(target))]
        best = max(s for j, s in enumerate(similarity) if identity[j] == identity[i])
        hits += sum(s >= best for j, s in enumerate(similarity) if identity[j] != identity[i]) < k
    return hits / len(query)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(1, 12), st.integers(0, 5), st.integers(0, 99), st.booleans())
def test_retrieval_is_its_definition(n, names, seed, tied):
    generator = torch.Generator().manual_seed(seed)
    query, target = (normalize(torch.randn(n, 3, generator=generator), dim=1) for _ in range(2))
    if tied:
        target = target[:1].expand(n, 3).clone()
    identity = torch.randint(names + 1, (n,), generator=generator)
    found = retrieval(query, target, identity, (1, 2, 5))
    for k, rate in found.items():
        assert rate == pytest.approx(literal(query, target, identity, k))


def test_chunks_make_no_difference(monkeypatch):
    query, target = (normalize(torch.randn(50, 4, generator=torch.Generator().manual_seed(s)), dim=1) for s in (1, 2))
    whole = retrieval(query, target, torch.arange(50), (1, 5, 10))
    monkeypatch.setattr(module, "CELLS", 60)
    assert retrieval(query, target, torch.arange(50), (1, 5, 10)) == whole


def test_chance_is_what_random_orders_give():
    identity = torch.tensor([0, 0, 0, 1, 2, 3, 3, 4])
    rng = np.random.default_rng(0)
    hits = dict.fromkeys((1, 3, 8), 0)
    for _ in range(4000):
        order = identity[rng.permutation(8)]
        for k in hits:
            hits[k] += np.mean([own in order[:k] for own in identity])
    for k, rate in chance(identity, (1, 3, 8)).items():
        assert rate == pytest.approx(hits[k] / 4000, abs=0.01)
    assert chance(identity, (8,))[8] == pytest.approx(1)


def test_a_collapsed_model_retrieves_nothing():
    same = normalize(torch.ones(20, 4), dim=1)
    assert retrieval(same, same, torch.arange(20), (1, 10)) == {1: 0.0, 10: 0.0}


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"found \[3, 2\], \[2, 2\], \[3\]"):
        retrieval(torch.ones(3, 2), torch.ones(2, 2), torch.arange(3), (1,))
