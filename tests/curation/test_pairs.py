"""Neighbour agreement and pair loss against literal loops, and what they are for."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from metrics.cases import same, unit
from oracles import pairs as oracle
from vestige.curation import pairs
from vestige.curation.neighbours import neighbour_agreement
from vestige.curation.pairloss import pair_loss

some = settings(max_examples=40, deadline=None, derandomize=True)


def drawn(seed: int, n: int, groups: int) -> torch.Tensor:
    return torch.randint(groups, (n,), generator=torch.Generator().manual_seed(seed))


@some
@given(seed=st.integers(0, 10_000), n=st.integers(2, 12), k=st.integers(1, 13), groups=st.integers(1, 8))
def test_agreement_equals_the_definition(seed: int, n: int, k: int, groups: int) -> None:
    """Random pairs and groups, more neighbours asked for than there are, groups that hold everything."""
    a, b, group = unit(5 * seed, n, 4), unit(5 * seed + 3, n, 4), drawn(seed, n, groups)
    expected = oracle.neighbour_agreement(a, b, group, k, list(range(n)))
    same(neighbour_agreement(a, b, group, neighbours=k), expected)


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_ties_share_the_places(k: int) -> None:
    """Corners of a square: all similarities are 1, 0 or -1, exactly; the order of the samples does not matter."""
    corners = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]], dtype=torch.float64)
    a, b = corners[[0, 0, 1, 1, 2, 3, 1, 0]], corners[[0, 1, 2, 1, 3, 0, 0, 2]]
    group = torch.arange(8)
    found = neighbour_agreement(a, b, group, neighbours=k)
    same(found, oracle.neighbour_agreement(a, b, group, k, list(range(8))))
    order = torch.tensor([5, 2, 7, 0, 6, 1, 4, 3])
    same(neighbour_agreement(a[order], b[order], group, neighbours=k), found[order].tolist())


@some
@given(seed=st.integers(0, 10_000), n=st.integers(1, 12), groups=st.integers(1, 8), temperature=st.floats(0.02, 2))
def test_loss_equals_the_definition(seed: int, n: int, groups: int, temperature: float) -> None:
    """Random and repeated pairs, groups that hold everything."""
    a, b, group = unit(seed, n, 4), unit(seed + 3, n, 4), drawn(seed, n, groups)
    expected = oracle.pair_loss(a, b, group, temperature, list(range(n)))
    same(pair_loss(a, b, group, temperature=temperature), expected)


def test_loss_of_clip_against_everything() -> None:
    """With groups of one it is the cross-entropy that CLIP is trained with."""
    a, b = unit(3, 9, 5), unit(4, 9, 5)
    logits, target = a @ b.T / 0.1, torch.arange(9)
    cross = torch.nn.functional.cross_entropy
    expected = (cross(logits, target, reduction="none") + cross(logits.T, target, reduction="none")) / 2
    same(pair_loss(a, b, torch.arange(9), temperature=0.1), expected.tolist())


def test_blocks_and_references_change_nothing_but_the_references(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read three rows at a time; against every third sample alone."""
    a, b, group = unit(3, 30, 6), unit(4, 30, 6), drawn(1, 30, 9)
    whole = neighbour_agreement(a, b, group, neighbours=4), pair_loss(a, b, group)
    rows = list(range(0, 30, 3))
    few = torch.tensor(rows)
    expected = oracle.neighbour_agreement(a, b, group, 4, rows), oracle.pair_loss(a, b, group, 0.03, rows)
    monkeypatch.setattr(pairs, "CELLS", 90)
    same(neighbour_agreement(a, b, group, neighbours=4), whole[0].tolist())
    same(pair_loss(a, b, group), whole[1].tolist())
    same(neighbour_agreement(a, b, group, neighbours=4, reference=few), expected[0])
    same(pair_loss(a, b, group, reference=few), expected[1])


def test_samples_without_a_modality_are_missing_and_count_for_nothing() -> None:
    """What they hold is not read: NaN. References are rows of all samples, those without a modality among them."""
    a, b, group = unit(3, 20, 6), unit(4, 20, 6), drawn(1, 20, 7)
    present = torch.ones(20, dtype=torch.bool)
    present[[0, 7, 8]] = False
    reference = torch.arange(0, 20, 2)
    full = {
        "agreement": neighbour_agreement(
            a[present], b[present], group[present], neighbours=3, reference=torch.tensor([1, 3, 5, 7, 9, 11, 13, 15])
        ),
        "loss": pair_loss(a[present], b[present], group[present]),
    }
    a[7], b[0], b[8] = torch.nan, torch.nan, torch.nan
    agreement = neighbour_agreement(a, b, group, neighbours=3, present=present, reference=reference)
    loss = pair_loss(a, b, group, present=present)
    assert agreement[~present].isnan().all()
    assert loss[~present].isnan().all()
    same(loss[present], full["loss"].tolist())
    # Of rows 0, 2, ..., 18 rows 0 and 8 are gone; the others are rows 1, 3, ... of what is left.
    kept = [int(present[:row].sum()) for row in reference.tolist() if present[row]]
    assert kept == [1, 3, 5, 7, 9, 11, 13, 15]
    same(agreement[present], full["agreement"].tolist())


def test_nobody_to_compare_with() -> None:
    """No references, or none of another group."""
    a, group, none = unit(3, 4, 3), torch.arange(4), torch.zeros(0, dtype=torch.long)
    assert neighbour_agreement(a, a, group, reference=none).isnan().all()
    assert pair_loss(a, a, group, reference=none).isnan().all()
    assert neighbour_agreement(a, a, torch.zeros(4).long()).isnan().all()
    assert neighbour_agreement(a[:0], a[:0], group[:0]).shape == (0,)


def test_own_group_is_no_neighbour() -> None:
    """Variants with the same wrong caption do not vouch for each other."""
    generator = torch.Generator().manual_seed(0)
    topics = normalize(torch.randn(4, 8, generator=generator), dim=-1)
    topic = torch.arange(40) % 4
    a = normalize(topics[topic] + 0.05 * torch.randn(40, 8, generator=generator), dim=-1)
    b = normalize(topics[topic] + 0.05 * torch.randn(40, 8, generator=generator), dim=-1)
    wrong = torch.zeros(40, dtype=torch.bool)
    wrong[[0, 4, 8]] = True
    b[wrong] = topics[1]
    alone, together = torch.arange(40), torch.arange(40).masked_fill(wrong, 0)
    for neighbours in (3, 9):
        found = neighbour_agreement(a, b, together, neighbours=neighbours)
        assert found[wrong].max() < found[~wrong].min()
    excused = neighbour_agreement(a, b, alone, neighbours=3)
    assert (excused[wrong] > neighbour_agreement(a, b, together, neighbours=3)[wrong]).all()


def test_half_precision_is_computed_in_single() -> None:
    """Embeddings that were stored in float16."""
    a, b, group = unit(3, 30, 16), unit(4, 30, 16), torch.arange(30)
    found = neighbour_agreement(a.half(), b.half(), group, neighbours=30)
    assert found.dtype == torch.float32
    same(found, neighbour_agreement(a, b, group, neighbours=30).tolist(), tolerance=2e-3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"a": torch.ones(4, 3)}, r"^a: expected unit norm"),
        ({"b": unit(1, 5, 3)}, r"^b: expected \[N, d\] = \[4, 3\], found \[5, 3\]"),
        ({"group": torch.zeros(3).long()}, r"^group: expected \[N\] = \[4\]"),
        ({"present": torch.ones(4)}, r"^present: expected bool"),
        ({"reference": torch.tensor([4])}, r"^reference: expected values of at least 0 and at most 3, found 4"),
    ],
)
def test_refusals(change: dict, said: str) -> None:
    """Each ValueError names the argument and what was found."""
    given_ = {"a": unit(3, 4, 3), "b": unit(4, 4, 3), "group": torch.arange(4)} | change
    for measure in (neighbour_agreement, pair_loss):
        with pytest.raises(ValueError, match=said):
            measure(**given_)


def test_refusals_of_settings() -> None:
    """No neighbours, no temperature."""
    a, group = unit(3, 4, 3), torch.arange(4)
    with pytest.raises(ValueError, match=r"^neighbours: expected a whole number of at least 1, found 0"):
        neighbour_agreement(a, a, group, neighbours=0)
    with pytest.raises(ValueError, match=r"^temperature: expected a number above 0, found 0"):
        pair_loss(a, a, group, temperature=0)
