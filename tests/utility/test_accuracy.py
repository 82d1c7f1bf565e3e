"""Hits, shares and their intervals against literal definitions, scikit-learn and scipy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, balanced_accuracy_score, top_k_accuracy_score

from oracles import utility as oracle
from vestige.utility import accuracy as module
from vestige.utility import class_mean_share, mean_average_precision, share, split_groups, top_hits
from vestige.utility import precision as precisions

Z = 1.959963984540054


def drawn(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.integers(1, 9), st.integers(1, 6), st.integers(1, 4), st.booleans(), st.integers(0, 99))
def test_top_hits_are_their_definition(n, classes, k, tied, seed):
    scores = torch.randn(n, classes, generator=drawn(seed))
    if tied:
        scores = scores.round()
    labels = torch.randint(classes, (n,), generator=drawn(seed + 1))
    expected = [oracle.top_hit(row, y, k) for row, y in zip(scores.tolist(), labels.tolist(), strict=True)]
    assert top_hits(scores, labels, k).tolist() == expected
    if not tied:
        sorted_ones = [oracle.topk_hit(row, y, k) for row, y in zip(scores.tolist(), labels.tolist(), strict=True)]
        assert expected == sorted_ones


def test_accuracies_of_scikit_learn():
    scores, labels = torch.randn(300, 7, generator=drawn(0)), torch.randint(7, (300,), generator=drawn(1))
    for k in (1, 5):
        found = float(top_hits(scores, labels, k).double().mean())
        assert found == pytest.approx(top_k_accuracy_score(labels, scores, k=k, labels=range(7)), abs=1e-12)
    hits = top_hits(scores, labels)
    expected = balanced_accuracy_score(labels, scores.argmax(1))
    assert class_mean_share(hits, labels).value == pytest.approx(expected, abs=1e-12)
    assert class_mean_share(hits, labels).value == pytest.approx(oracle.balanced_accuracy(hits, labels), abs=1e-12)


def test_equal_scores_count_against_the_model_and_blocks_make_no_difference(monkeypatch):
    labels = torch.tensor([0, 1, 2])
    assert not top_hits(torch.zeros(3, 3), labels, 2).any()
    assert top_hits(torch.zeros(3, 3), labels, 3).all()
    scores, labels = torch.randn(50, 4, generator=drawn(2)), torch.randint(4, (50,), generator=drawn(3))
    whole = top_hits(scores, labels)
    monkeypatch.setattr(module, "CELLS", 12)
    assert torch.equal(top_hits(scores, labels), whole)


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (3, 20), (20, 20), (700, 1000)])
def test_single_samples_have_wilsons_interval(hits, n):
    found = share(torch.arange(n) < hits)
    expected = binomtest(hits, n).proportion_ci(method="wilson")
    assert (found.value, found.n) == (hits / n, n)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(2, 20), st.integers(2, 8), st.integers(1, 4), st.integers(0, 99))
def test_shares_are_their_formula(n, groups, seeds, seed):
    hits = torch.rand(seeds, n, generator=drawn(seed)) < 0.7
    group = torch.randint(groups, (n,), generator=drawn(seed + 1))
    group[:2] = torch.tensor([0, 1])
    found = share(hits, group)
    assert (found.low, found.high) == pytest.approx(
        oracle.share(hits.double().tolist(), group.tolist(), Z), abs=1e-9
    )  # fmt: skip
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_groups_and_seeds_widen():
    hits = torch.arange(100) % 4 > 0
    alone = share(hits)
    copies = share(hits.repeat_interleave(5), torch.arange(100).repeat_interleave(5))
    assert (copies.low, copies.high) == pytest.approx((alone.low, alone.high), abs=1e-3)
    assert copies.n == 500
    noisy = share(torch.stack([torch.arange(100) < 60, torch.arange(100) < 90]))
    assert noisy.high - noisy.low > 1.5 * (alone.high - alone.low)
    assert np.isnan(share(hits, torch.zeros(100, dtype=torch.long)).low)


def test_the_interval_of_a_class_mean_holds_the_truth():
    """Nine of ten and more of repeated studies, classes of very different sizes, groups of three."""
    sizes, rates = torch.tensor([300, 60, 30]), torch.tensor([0.9, 0.5, 0.3])
    labels = torch.repeat_interleave(torch.arange(3), sizes)
    group = torch.arange(len(labels)) // 3
    held = 0
    for seed in range(200):
        each = torch.rand(130, generator=drawn(seed))[group]
        found = class_mean_share(each < rates[labels], labels, group)
        held += found.low <= float(rates.mean()) <= found.high
    assert 0.9 <= held / 200 <= 0.99


def test_mean_average_precision_is_scikit_learns():
    scores = torch.randn(80, 5, generator=drawn(0)).mul(3).round()
    positive = torch.rand(80, 5, generator=drawn(1)) < 0.3
    positive[:, 4] = False
    found = mean_average_precision(scores, positive)
    expected = np.mean([average_precision_score(positive[:, c], scores[:, c]) for c in range(4)])
    assert found.value == pytest.approx(expected, abs=1e-9)
    assert found.low < found.value < found.high
    weight = torch.randint(0, 3, (2, 80), generator=drawn(2)).float()
    for weights in weight:
        ours = precisions._weighted(scores[:, 0], positive[:, 0], weights[None])
        theirs = average_precision_score(positive[:, 0], scores[:, 0], sample_weight=weights)
        assert float(ours) == pytest.approx(theirs, abs=1e-6)


def test_groups_are_split_whole_and_every_class_is_in_both_parts():
    labels = torch.tensor([0] * 40 + [1] * 8 + [2] * 2 + [3])
    group = torch.cat([torch.arange(20).repeat_interleave(2), torch.arange(20, 31)])
    held = split_groups(labels, group, share=0.25, seed=3)
    assert torch.equal(held, split_groups(labels, group, share=0.25, seed=3))
    assert not torch.equal(held, split_groups(labels, group, share=0.25, seed=4))
    assert torch.equal(held[:40:2], held[1:40:2])
    assert [int(held[labels == label].sum()) for label in range(4)] == [10, 2, 1, 0]


def test_refusals_name_the_argument():
    with pytest.raises(ValueError, match="labels: expected values of at least 0 and at most 1"):
        top_hits(torch.zeros(2, 2), torch.tensor([0, 2]))
    with pytest.raises(ValueError, match="hits: expected values from 0 to 1"):
        share(torch.tensor([0.5, 2.0]))
    with pytest.raises(ValueError, match="hits: number of samples"):
        share(torch.zeros(0))
