"""Object recovery and its gaps against Python sets; ties, empty sets, nulls."""

import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from metrics.cases import numbers, same
from oracles import dejavu as oracle
from vestige.metrics import (
    LabelSets,
    ObjectRecovery,
    dejavu,
    object_recovery,
    population_gaps,
    recall_distribution,
    sample_gaps,
)
from vestige.metrics.bits import bit_count

pytestmark = pytest.mark.usefixtures("way")
some = settings(max_examples=80, deadline=None, derandomize=True)
seeds = st.integers(0, 10_000)
Sets = list[set[int]]


def draw(seed: int, rows: int, labels: int, most: int) -> Sets:
    """Random sets, some of them empty."""
    chance = random.Random(seed)
    return [{chance.randrange(labels) for _ in range(chance.randint(0, most))} for _ in range(rows)]


def columns(found: ObjectRecovery, expected: list[tuple[float, float, int, int]]) -> None:
    """All four columns agree."""
    for k, column in enumerate((found.recall, found.precision, found.correct, found.predicted)):
        same(column, [float(row[k]) for row in expected])


@some
@given(
    seed=seeds,
    n=st.integers(0, 4),
    k=st.integers(0, 7),
    public=st.integers(1, 6),
    labels=st.sampled_from([1, 3, 63, 64, 65, 200]),
    most=st.integers(0, 6),
)
def test_equals_sets(seed: int, n: int, k: int, public: int, labels: int, most: int) -> None:
    """By bits and by counting, with repeated neighbours and labels, empty sets, any number of words."""
    wanted, known = draw(seed, n, labels, most), draw(seed + 1, public, labels, most)
    neighbours = torch.randint(public, (n, k), generator=torch.Generator().manual_seed(seed))
    truth, pool = LabelSets.from_lists(wanted, labels), LabelSets.from_lists([[*s, *s] for s in known], labels)
    expected = oracle.recovery(neighbours, wanted, known)
    columns(object_recovery(neighbours, truth, pool), expected)
    for correct, predicted in (
        dejavu._union(neighbours, truth, pool),
        dejavu._counted(neighbours, truth, pool, None, None),
    ):
        same(correct, [float(row[2]) for row in expected])
        same(predicted, [float(row[3]) for row in expected])


@some
@given(
    seed=seeds,
    n=st.integers(1, 4),
    k=st.integers(1, 8),
    top=st.integers(1, 5),
    near=st.sampled_from(["none", "tied", "different"]),
)
def test_top_labels_equal_sets(seed: int, n: int, k: int, top: int, near: str) -> None:
    """Ties in counts, in counts and distances, and in all but the id."""
    wanted, known = draw(seed, n, 6, 4), draw(seed + 1, 5, 6, 5)
    neighbours = torch.randint(5, (n, k), generator=torch.Generator().manual_seed(seed))
    distances = None if near == "none" else numbers(seed + 2, n, k, tied=near == "tied")
    found = object_recovery(
        neighbours, LabelSets.from_lists(wanted, 6), LabelSets.from_lists(known, 6), top=top, distances=distances
    )
    columns(found, oracle.recovery(neighbours, wanted, known, top, distances))


@pytest.mark.parametrize("top", [None, 3])
def test_more_targets_than_are_held_at_a_time(top: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks meet without a seam."""
    for name, size in (("CELLS", 30), ("CELLS_COUNTED", 900)):
        monkeypatch.setattr(dejavu, name, size)
    wanted, known = draw(1, 40, 150, 5), draw(2, 30, 150, 30)
    neighbours = torch.randint(30, (40, 5), generator=torch.Generator().manual_seed(3))
    truth, pool = LabelSets.from_lists(wanted, 150), LabelSets.from_lists(known, 150)
    assert dejavu._bits_are_faster(pool)
    columns(object_recovery(neighbours, truth, pool, top=top), oracle.recovery(neighbours, wanted, known, top))


def test_many_labels_and_few_a_picture_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The form with bits is not taken where it would be the larger, and both agree."""
    wanted, known = draw(1, 10, 20_000, 4), draw(2, 30, 20_000, 4)
    neighbours = torch.randint(30, (10, 5), generator=torch.Generator().manual_seed(3))
    truth, pool = LabelSets.from_lists(wanted, 20_000), LabelSets.from_lists(known, 20_000)
    assert not dejavu._bits_are_faster(pool)
    expected = oracle.recovery(neighbours, wanted, known)
    columns(object_recovery(neighbours, truth, pool), expected)
    monkeypatch.setattr(dejavu, "_bits_are_faster", lambda public: True)
    columns(object_recovery(neighbours, truth, pool), expected)


def test_bit_count() -> None:
    """Every bit by itself, the sign bit too, all and none."""
    words = torch.tensor([[1 << bit] for bit in range(63)] + [[-(1 << 63)], [-1], [0]])
    assert bit_count(words).tolist() == [1] * 64 + [64, 0]
    assert bit_count(torch.tensor([[-1, 0b1011, -2]])).tolist() == [64 + 3 + 63]


def recoveries(seed: int, n: int) -> tuple[ObjectRecovery, ObjectRecovery]:
    """Two models on the same targets, with many ties and some targets without objects."""
    truth = LabelSets.from_lists(draw(seed, n, 5, 3), 5)
    pool = LabelSets.from_lists(draw(seed + 1, 6, 5, 3), 5)
    generator = torch.Generator().manual_seed(seed)
    first, second = (torch.randint(6, (n, 2), generator=generator) for _ in range(2))
    return object_recovery(first, truth, pool), object_recovery(second, truth, pool)


@some
@given(seed=seeds, n=st.integers(0, 12))
def test_population_gaps(seed: int, n: int) -> None:
    """Eq. 3, eq. 4 and the area between the distributions, each with its closed error."""
    a, b = recoveries(seed, n)
    found = population_gaps(a, b)
    expected = (
        *oracle.sign_gap(a.precision.tolist(), b.precision.tolist()),
        *oracle.sign_gap(a.recall.tolist(), b.recall.tolist()),
        *oracle.recall_gap(a.recall.tolist(), b.recall.tolist()),
    )
    for value, wanted in zip(
        (found.ppg, found.ppg_se, found.prg, found.prg_se, found.aucg, found.aucg_se), expected, strict=True
    ):
        same(value, wanted)
    assert found.n == int((~a.recall.isnan()).sum())


def test_bootstrap_is_the_spread_of_a_tenth() -> None:
    """The paper's 100 repetitions of 10%: sqrt(10) times the closed error; seeded."""
    a, b = recoveries(4, 3000)
    closed, drawn = population_gaps(a, b), population_gaps(a, b, bootstrap=600)
    assert (drawn.ppg, drawn.prg, drawn.aucg) == (closed.ppg, closed.prg, closed.aucg)
    for name in ("ppg_se", "prg_se", "aucg_se"):
        assert getattr(drawn, name) == pytest.approx(math.sqrt(10) * getattr(closed, name), rel=0.12)
    assert drawn == population_gaps(a, b, bootstrap=600)
    assert drawn != population_gaps(a, b, bootstrap=600, generator=torch.Generator().manual_seed(1))
    assert math.isnan(population_gaps(a, b, bootstrap=1).ppg_se)
    empty = recoveries(4, 0)
    assert math.isnan(population_gaps(*empty, bootstrap=5).ppg)


def test_recall_distribution() -> None:
    """Steps up to 1; the area between two of them is AUCG."""
    a, b = recoveries(4, 200)
    area = []
    for recovery in (a, b):
        values, share = recall_distribution(recovery)
        known = recovery.recall[~recovery.recall.isnan()]
        same(share, [float((known <= value).double().mean()) for value in values])
        edges = torch.cat([values, values.new_ones(1)])
        area.append(float((share * edges.diff()).sum()))
    same(area[1] - area[0], population_gaps(a, b).aucg)


@some
@given(seed=seeds, order=st.sampled_from(["distance", "correct", "gap"]), halves=st.booleans())
def test_sample_gaps(seed: int, order: str, halves: bool) -> None:
    """Top samples by sorting, for every length; ordered by the measurement itself or by another."""
    a, b = recoveries(seed, 12)
    chosen_a, chosen_b = a, b
    if halves:
        swap = torch.arange(11, -1, -1)
        swap = swap[~a.recall.isnan()[swap]]
        back = torch.arange(12)
        back[~a.recall.isnan()] = swap

        def moved(r: ObjectRecovery) -> ObjectRecovery:
            return ObjectRecovery(r.recall[back], r.precision[back], r.correct[back], r.predicted[back])

        chosen_a, chosen_b = moved(a), moved(b)
    n = int((~a.recall.isnan()).sum())
    if n == 0:
        with pytest.raises(ValueError, match=r"^a: number of samples with objects"):
            sample_gaps(a, b, order="gap")
        return
    distance = numbers(seed, 12, tied=True)
    found = sample_gaps(
        a,
        b,
        order=order,
        distance=distance,
        lengths=range(1, n + 1),
        select_on=(chosen_a, chosen_b) if halves else None,
        repetitions=2,
    )
    f_a, f_b, chosen_f_a, chosen_f_b = (
        [oracle.f_score(p, r) for p, r in zip(x.precision.tolist(), x.recall.tolist(), strict=True)]
        for x in (a, b, chosen_a, chosen_b)
    )
    key = {
        "distance": (-distance).tolist(),
        "correct": chosen_a.correct.double().tolist(),
        "gap": [x - y for x, y in zip(chosen_f_a, chosen_f_b, strict=True)],
    }[order]
    for curve, x, y in (
        (found.precision, a.precision.tolist(), b.precision.tolist()),
        (found.recall, a.recall.tolist(), b.recall.tolist()),
        (found.f, f_a, f_b),
    ):
        same(curve.gap, [oracle.top_gap(x, y, key, length) for length in found.lengths])
    assert found.n == n


def independent(seed: int, n: int) -> tuple[ObjectRecovery, ObjectRecovery]:
    """Two models that recover objects at random: nothing is memorized."""
    generator = torch.Generator().manual_seed(seed)

    def one() -> ObjectRecovery:
        hits = torch.randint(0, 4, (n,), generator=generator)
        return ObjectRecovery(hits / 3.0, hits / 10.0, hits, torch.full((n,), 10))

    first, second = one(), one()
    widened = (ObjectRecovery(r.recall.double(), r.precision.double(), r.correct, r.predicted) for r in (first, second))
    return next(widened), next(widened)


@pytest.mark.parametrize("order", ["correct", "gap"])
def test_choosing_by_the_outcome_gives_a_gap_that_the_null_shows(order: str) -> None:
    """Without memorization, the top 100 of 6,000 have a large gap, and so has the null."""
    a, b = independent(0, 6000)
    found = sample_gaps(a, b, order=order, lengths=(100, 6000), repetitions=60, confidence=0.999)
    assert float(found.recall.gap[0]) > 0.4
    assert float(found.recall.low[0]) <= float(found.recall.gap[0]) <= float(found.recall.high[0])
    assert float(found.recall.low[1]) <= float(found.recall.gap[1]) <= float(found.recall.high[1])
    assert abs(float(found.recall.null[1])) < 0.02
    other = independent(1, 6000)
    clean = sample_gaps(a, b, order=order, lengths=(100,), select_on=other, repetitions=2)
    assert abs(float(clean.recall.gap[0])) < 0.2


def test_the_null_does_not_hide_memorization() -> None:
    """A model that recovers more leaves the interval, by every order; the draw repeats."""
    a, b = independent(0, 2000)
    more = torch.rand(2000, generator=torch.Generator().manual_seed(5)) < 0.3
    hits = torch.where(more, 3, a.correct)
    a = ObjectRecovery(hits / 3.0, hits / 10.0, hits, a.predicted)
    a = ObjectRecovery(a.recall.double(), a.precision.double(), a.correct, a.predicted)
    for order in ("distance", "correct", "gap"):
        found = sample_gaps(a, b, order=order, distance=torch.arange(2000.0), repetitions=60)
        assert found.lengths == (1, 10, 100, 1000, 2000)
        assert float(found.recall.gap[-1]) > float(found.recall.high[-1])
        again = sample_gaps(a, b, order=order, distance=torch.arange(2000.0), repetitions=60)
        assert torch.equal(again.recall.null, found.recall.null)
        other = sample_gaps(
            a, b, order=order, distance=torch.arange(2000.0), repetitions=60, generator=torch.Generator().manual_seed(9)
        )
        assert not torch.equal(other.recall.null, found.recall.null)


def test_label_sets() -> None:
    """Rows are sorted and hold no label twice."""
    found = LabelSets(torch.tensor([0, 3, 3, 5]), torch.tensor([4, 1, 4, 0, 0]), 5)
    assert found.offsets.tolist() == [0, 2, 2, 3]
    assert found.labels.tolist() == [1, 4, 0]
    assert len(found) == 3
    assert found.sizes().tolist() == [2, 0, 1]
    assert len(LabelSets.from_lists([], 5)) == 0
    assert LabelSets.from_lists([[], [2]], 3).offsets.tolist() == [0, 0, 1]


def sets() -> tuple[Tensor, LabelSets, LabelSets]:
    """Neighbours, ground truth, public."""
    return torch.tensor([[0, 1], [1, 1]]), LabelSets.from_lists([[0], [1]], 3), LabelSets.from_lists([[0], [2]], 3)


def test_refusals() -> None:
    """Each ValueError names the argument and what was found."""
    one, long = torch.tensor([0, 1]), torch.tensor([0])
    for arguments, message in (
        ((one, long, 0), "n_labels: expected a whole number of at least 1, found 0"),
        ((one, long + 3, 3), "labels: expected values of at least 0 and at most 2, found 3 to 3"),
        ((one, long.float(), 3), "labels: expected int64, found float32"),
        ((one[:1], long, 3), r"offsets: expected to span 0 to 1, found \[0, 0\]"),
        ((one[:0], long, 3), "offsets: expected to span 0 to 1, found nothing"),
        ((torch.tensor([0, 1, 0, 1]), long, 3), "offsets: expected values that never fall"),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            LabelSets(*arguments)
    near, truth, pool = sets()
    with pytest.raises(ValueError, match=r"^neighbours: expected \[N, k\] = \[2, \*\], found \[1, 2\]"):
        object_recovery(near[:1], truth, pool)
    with pytest.raises(ValueError, match=r"^neighbours: expected values of at least 0 and at most 1, found 1 to 2"):
        object_recovery(near + 1, truth, pool)
    with pytest.raises(ValueError, match=r"^neighbours: expected int64, found int32"):
        object_recovery(near.int(), truth, pool)
    with pytest.raises(ValueError, match=r"^ground_truth: expected 3 labels, found 4"):
        object_recovery(near, LabelSets.from_lists([[0], [1]], 4), pool)
    with pytest.raises(ValueError, match=r"^top: expected a whole number of at least 1, found 0"):
        object_recovery(near, truth, pool, top=0)
    with pytest.raises(ValueError, match=r"^distances: expected none without top"):
        object_recovery(near, truth, pool, distances=torch.zeros(2, 2))
    with pytest.raises(ValueError, match=r"^distances: expected finite values, found 4 NaN"):
        object_recovery(near, truth, pool, top=1, distances=torch.zeros(2, 2) * torch.nan)


def test_refusals_of_gaps() -> None:
    """Recoveries of different samples, orders without what they need."""
    near, truth, pool = sets()
    a = object_recovery(near, truth, pool)
    other = object_recovery(near, LabelSets.from_lists([[0], []], 3), pool)
    short = object_recovery(near[:1], LabelSets.from_lists([[0]], 3), pool)
    with pytest.raises(ValueError, match=r"^b.recall: expected objects in the same samples as in a"):
        population_gaps(a, other)
    with pytest.raises(ValueError, match=r"^b.recall: expected \[N\] = \[2\], found \[1\]"):
        population_gaps(a, short)
    with pytest.raises(ValueError, match=r"^share: expected a number between 0 and 1"):
        population_gaps(a, a, bootstrap=3, share=10)
    with pytest.raises(ValueError, match=r"^distance: expected \[N\] for order 'distance', found None"):
        sample_gaps(a, a)
    with pytest.raises(ValueError, match=r"^distance: expected \[N\] = \[2\], found \[3\]"):
        sample_gaps(a, a, distance=torch.zeros(3))
    with pytest.raises(ValueError, match=r"^order: expected one of 'distance', 'correct', 'gap', found 'near'"):
        sample_gaps(a, a, order="near")
    with pytest.raises(ValueError, match=r"^lengths: expected a whole number from 1 to 2, found 3"):
        sample_gaps(a, a, order="gap", lengths=(1, 3))
    with pytest.raises(ValueError, match=r"^select_on: expected objects in the same samples"):
        sample_gaps(a, a, order="gap", select_on=(other, other))
    with pytest.raises(ValueError, match=r"^select_on\[0\].recall: expected \[N\] = \[2\], found \[1\]"):
        sample_gaps(a, a, order="gap", select_on=(short, short))
    with pytest.raises(ValueError, match=r"^repetitions: expected a whole number of at least 1, found 0"):
        sample_gaps(a, a, order="gap", repetitions=0)
    with pytest.raises(ValueError, match=r"^confidence: expected a number between 0 and 1"):
        sample_gaps(a, a, order="gap", confidence=1.0)
