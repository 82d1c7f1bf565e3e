"""UnitMem against its printed formula, the merging of states, and what it refuses."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from metrics.cases import mask, numbers, same
from oracles import unitmem as oracle
from vestige.metrics import UnitMemory, unit_memorization, unitmem

some = settings(max_examples=60, deadline=None, derandomize=True)
seeds = st.integers(0, 10_000)


def fired(seed: int, n: int, units: int, *, tied: bool) -> Tensor:
    """Non-negative activations, some units dead."""
    x = numbers(seed, n, units, tied=tied).clamp(min=0)
    return x * mask(seed, units, share=0.8)


@some
@given(seed=seeds, n=st.integers(2, 6), units=st.integers(1, 4), tied=st.booleans(), negative=st.booleans())
def test_equals_the_printed_formula(seed: int, n: int, units: int, tied: bool, negative: bool) -> None:
    """Mean and median of the others; dead units; negative activations are not clipped."""
    x = numbers(seed, n, units, tied=tied) if negative else fired(seed, n, units, tied=tied)
    for rest in ("mean", "median"):
        found = unit_memorization(x, rest=rest)
        same(found, oracle.unit_memorization(x, rest), 1e-6 if not negative else 1e-5)
        if not negative:
            known = found[~found.isnan()]
            assert ((known >= 0) & (known <= 1)).all()


@some
@given(
    seed=seeds,
    n=st.integers(1, 9),
    cuts=st.lists(st.integers(0, 9), max_size=3),
    tied=st.booleans(),
    held=st.sampled_from([1, 2, 256]),
)
def test_streaming_and_merging_are_the_whole(seed: int, n: int, cuts: list[int], tied: bool, held: int) -> None:
    """Any cut into batches, any order of merging, rows in any order: the same max, argmax, count and score."""
    x = fired(seed, n, 3, tied=tied) - float(seed % 4 == 0)
    edges = sorted({0, n, *(min(cut, n) for cut in cuts)})
    shuffled = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    shards = []
    for low, high in itertools.pairwise(edges):
        shard = UnitMemory(3)
        rows = shuffled[low:high]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(unitmem, "ROWS", held)
            shard.update(x[rows], rows)
        shards.append(shard)
    whole = UnitMemory(3)
    whole.update(x, torch.arange(n))
    whole.update(x[:0], torch.arange(0))
    expected = whole.compute()
    for order in itertools.permutations(shards):
        merged = UnitMemory(3)
        for shard in order:
            merged.merge(shard)
        found = merged.compute()
        assert torch.equal(merged.max, whole.max)
        assert torch.equal(found.argmax, expected.argmax)
        assert torch.equal(found.dead, expected.dead)
        assert found.n == expected.n == n
        assert found.negative.tolist() == (x < 0).sum(0).tolist()
        same(found.score, expected.score.tolist())
    assert expected.argmax.tolist() == [column.index(max(column)) for column in x.T.tolist()]
    same(expected.score, oracle.unit_memorization(x))


def test_flags() -> None:
    """Negative activations and dead units are counted; one sample has no others."""
    memory = UnitMemory(3)
    memory.update(torch.tensor([[1.0, 0.0, -2.0], [0.0, 0.0, -1.0]]), torch.tensor([7, 4]))
    found = memory.compute()
    assert found.negative.tolist() == [0, 0, 2]
    assert found.dead.tolist() == [False, True, False]
    assert found.argmax.tolist() == [7, 4, 4]
    assert found.score.isnan().tolist() == [False, True, False]
    one = UnitMemory(1)
    one.update(torch.ones(1, 1), torch.tensor([0]))
    assert one.compute().score.isnan().all()
    assert not one.compute().dead.any()


def test_sums_do_not_lose_small_activations() -> None:
    """A hundred thousand half-precision activations of 0.1 and one of 1000."""
    x = torch.full((100_001, 1), 0.1, dtype=torch.float16)
    x[5] = 1000
    small = float(x[0, 0])
    found = unit_memorization(x)
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx((1000 - small) / (1000 + small), rel=1e-6)
    memory = UnitMemory(1)
    for low in range(0, 100_001, 9999):
        rows = torch.arange(low, min(low + 9999, 100_001))
        memory.update(x[rows], rows)
    assert float(memory.sum) == pytest.approx(1000 + 100_000 * small, rel=1e-12)
    assert memory.argmax.tolist() == [5]
    single = numbers(3, 2000, 2).float()
    memory = UnitMemory(2)
    memory.update(single, torch.arange(2000))
    same(memory.sum, single.double().sum(0).tolist(), 1e-12)


def test_refusals() -> None:
    """Each ValueError names the argument and what was found."""
    x, index = torch.ones(2, 3), torch.tensor([0, 1])
    memory = UnitMemory(3)
    with pytest.raises(ValueError, match=r"^activations: expected \[n, U\] = \[\*, 3\], found \[2, 2\]"):
        memory.update(x[:, :2], index)
    with pytest.raises(ValueError, match=r"^activations: expected finite values, found 6 NaN"):
        memory.update(x * torch.nan, index)
    with pytest.raises(ValueError, match=r"^index: expected values of at least 0, found -1 to 0"):
        memory.update(x, index - 1)
    with pytest.raises(ValueError, match=r"^index: expected \[n\] = \[2\], found \[1\]"):
        memory.update(x, index[:1])
    with pytest.raises(ValueError, match=r"^activations: expected device cpu, found meta"):
        memory.update(x.to("meta"), index)
    with pytest.raises(ValueError, match=r"^other: expected \[U\] = \[3\], found \[4\]"):
        memory.merge(UnitMemory(4))
    with pytest.raises(ValueError, match=r"^units: expected a whole number of at least 1, found 0"):
        UnitMemory(0)
    with pytest.raises(ValueError, match=r"^activations: expected \[N, U\], found \[2\]"):
        unit_memorization(x[:, 0])
    with pytest.raises(ValueError, match=r"^activations: number of samples: expected a whole number of at least 2"):
        unit_memorization(x[:1])
    with pytest.raises(ValueError, match=r"^rest: expected one of 'mean', 'median', found 'mode'"):
        unit_memorization(x, rest="mode")
