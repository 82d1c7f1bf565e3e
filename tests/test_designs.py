"""Designs: exact sizes, no group parted, stored as drawn, matched slots."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vestige import designs
from vestige.designs import Design, Role, partition
from vestige.errors import VestigeError

grouped = st.lists(st.integers(0, 12), min_size=1, max_size=60).map(lambda ids: [f"g{number}" for number in ids])


def named(groups):
    return [f"k{number}" for number in range(len(groups))]


def whole_groups(design: Design) -> None:
    for group in set(design.groups):
        columns = {tuple(design.member[:, i].tolist()) for i, own in enumerate(design.groups) if own == group}
        assert len(columns) == 1


def reachable(counts: list[int], size: int) -> bool:
    sums = {0}
    for count in counts:
        sums |= {total + count for total in sums}
    return size in sums


@settings(deadline=None, derandomize=True, max_examples=200)
@given(grouped, st.integers(0, 99), st.data())
def test_partition_fills_two_parts_exactly_wherever_whole_groups_can(groups, seed, data):
    size = data.draw(st.integers(0, len(groups)))
    counts = list(Counter(groups).values())
    small = min(size, len(groups) - size)
    if not reachable(counts, small):
        with pytest.raises(VestigeError, match=f"exactly {small}"):
            partition(groups, [size, len(groups) - size], seed)
        return
    parts = partition(groups, [size, len(groups) - size], seed)
    assert (parts == 0).sum() == size
    for group in set(groups):
        assert len({part for part, own in zip(parts.tolist(), groups, strict=True) if own == group}) == 1


def test_partition_is_drawn_from_the_seed_and_uniform():
    groups = [str(number) for number in range(40)]
    draws = np.stack([partition(groups, [10, 30], seed) == 0 for seed in range(2000)])
    np.testing.assert_array_equal(partition(groups, [10, 30], 7) == 0, draws[7])
    # Each sample is drawn with probability 1/4: 500 of 2,000, standard deviation 19.
    assert np.abs(draws.sum(axis=0) - 500).max() < 5 * 19


def test_groups_of_all_sizes_are_drawn():
    """Filling exactly must not mean that large groups are never chosen, or always."""
    groups = [f"large {number // 20}" for number in range(200)] + [f"small {number}" for number in range(200)]
    share = np.mean([(partition(groups, [100, 300], seed)[:200] == 0).mean() for seed in range(400)])
    assert 0.2 < share < 0.3


@settings(deadline=None, derandomize=True)
@given(grouped, st.integers(0, 9), st.integers(1, 10), st.integers(0, 10))
def test_roles(groups, seed, candidates, external):
    keys = named(groups)
    try:
        design = designs.roles(keys, groups, candidates=candidates, external=external, seed=seed)
    except VestigeError:
        return
    found = Counter(design.roles())
    assert (found[Role.CANDIDATE], found[Role.INDEPENDENT], found[Role.EXTERNAL]) == (candidates, candidates, external)
    assert design.member[0].sum() == design.member[1].sum() == len(keys) - candidates - external
    whole_groups(design)
    assert set(design.unscored()) == {
        key for key, role in zip(keys, design.roles(), strict=True) if role in (Role.SHARED, Role.EXTERNAL)
    }


def test_halves_score_every_sample_but_the_external():
    groups = [str(number // 2) for number in range(102)]
    design = designs.halves(named(groups), groups, pairs=3, external=10, seed=0)
    whole_groups(design)
    assert design.models == ("f0", "g0", "f1", "g1", "f2", "g2")
    assert design.blocks == (0, 0, 1, 1, 2, 2)
    outside = design.member.sum(axis=0) == 0
    assert outside.sum() == 10
    for pair in range(3):
        f, g = design.member[2 * pair : 2 * pair + 2]
        assert (f ^ g)[~outside].all()
        assert abs(int(f.sum()) - int(g.sum())) <= 4
    assert (design.member[0] != design.member[2]).any()
    assert set(design.unscored().values()) == {"no model saw it"}
    singles = named(range(51))
    assert sorted(designs.halves(singles, singles, pairs=1, external=0, seed=0).member.sum(axis=1)) == [25, 26]
    assert designs.halves(named(groups), groups, pairs=1, external=0, seed=0).unscored() == {}


def test_subsets_take_their_share():
    groups = named(range(100))
    design = designs.subsets(groups, groups, models=7, share=0.7, external=20, seed=1)
    assert design.member.sum(axis=1).tolist() == [56] * 7
    assert len({row.tobytes() for row in design.member}) == 7
    assert Counter(design.roles())[Role.EXTERNAL] >= 20


def test_disjoint_sets_do_not_meet():
    groups = named(range(30))
    design = designs.disjoint(groups, groups, size=12, seed=1)
    assert not (design.member[0] & design.member[1]).any()
    assert Counter(design.roles()) == {Role.CANDIDATE: 12, Role.INDEPENDENT: 12, Role.EXTERNAL: 6}


def test_leave_out_is_literal():
    groups = ["a", "a", "b", "c", "d", "e"]
    keys = named(groups)
    design = designs.leave_out(keys, groups, candidates=["k0", "k3"], external=2, seed=0)
    whole_groups(design)
    seen = ~(design.member.sum(axis=0) == 0)
    assert seen.sum() == 4
    assert design.member[0].tolist() == seen.tolist()
    assert (design.member[0] & ~design.member[1]).tolist() == [True, True, False, False, False, False]
    assert (design.member[0] & ~design.member[2]).tolist() == [False, False, False, True, False, False]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda k: designs.roles(k, k, candidates=9, external=3, seed=0), "9 candidate, 9 independent, 3 external"),
        (lambda k: designs.roles(k, k, candidates=0, external=3, seed=0), "at least one candidate"),
        (lambda k: designs.roles(k, ["a"] * 20, candidates=3, external=3, seed=0), "exactly 3"),
        (lambda k: designs.halves(k, k, pairs=0, external=0, seed=0), "pairs must be 1 or more"),
        (lambda k: designs.halves(k, k, pairs=1, external=19, seed=0), "leave at least two"),
        (
            lambda k: designs.subsets(k, k, models=2, share=1.1, external=0, seed=0),
            "share lies above 0 and is at most 1",
        ),
        (lambda k: designs.disjoint(k, k, size=11, seed=0), "two sets of 11"),
        (lambda k: designs.leave_out(k, k, candidates=["none"], external=0, seed=0), "'none' is not among"),
        (lambda k: designs.leave_out(k, k, candidates=["k1"], external=19, seed=0), "19 are free"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(make, said):
    with pytest.raises(VestigeError) as caught:
        make(named(range(20)))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_slots_match_what_models_share():
    groups = named(range(50))
    design = designs.roles(groups, groups, candidates=7, external=9, seed=3)
    f, g = design.slots()
    roles = np.array(design.roles())
    assert sorted(f) == np.flatnonzero(design.member[0]).tolist()
    assert sorted(g) == np.flatnonzero(design.member[1]).tolist()
    same = f == g
    assert (roles[f[same]] == Role.SHARED).all()
    assert same.sum() == (roles == Role.SHARED).sum()
    assert (roles[f[~same]] == Role.CANDIDATE).all()
    assert (roles[g[~same]] == Role.INDEPENDENT).all()


def test_slots_of_unequal_models_are_empty_where_nothing_is_left():
    groups = named(range(6))
    design = designs.leave_out(groups, groups, candidates=["k2"], external=0, seed=0)
    f, g = design.slots()
    assert (f == g).sum() == 5
    assert g[f == 2].tolist() == [-1]


def test_slots_of_blocks_are_apart():
    groups = named(range(20))
    design = designs.halves(groups, groups, pairs=2, external=2, seed=0)
    assert [sorted(row) for row in design.slots().tolist()] == [np.flatnonzero(row).tolist() for row in design.member]


def test_membership_round_trips(tmp_path):
    groups = [str(number // 2) for number in range(60)]
    for design in (
        designs.roles(named(groups), groups, candidates=8, external=8, seed=2),
        designs.halves(named(groups), groups, pairs=2, external=4, seed=2),
    ):
        design.save(tmp_path / "m.parquet")
        found = Design.load(tmp_path / "m.parquet")
        np.testing.assert_array_equal(found.member, design.member)
        assert (found.keys, found.groups, found.models, found.blocks, found.name, found.seed) == (
            design.keys, design.groups, design.models, design.blocks, design.name, design.seed,
        )  # fmt: skip


def test_a_table_that_is_no_membership(tmp_path):
    import pyarrow as pa

    from vestige.files import write_table

    write_table(tmp_path / "t.parquet", pa.table({"key": ["a"]}))
    with pytest.raises(VestigeError, match="not the membership of a design"):
        Design.load(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"member": np.zeros((2, 3), bool)}, r"\[2, 4\]"),
        ({"member": np.zeros((2, 4))}, "float64"),
        ({"keys": ("a", "a", "b", "c")}, "one twice"),
        ({"groups": ("x", "x", "y")}, "found 3"),
        ({"groups": ("x", "x", "y", "y")}, "'x' is parted"),
    ],
)
def test_a_design_that_contradicts_itself(change, said):
    member = np.array([[True, False, True, True], [False, True, True, True]])
    sound = {"name": "x", "keys": tuple("abcd"), "groups": tuple("abcd"), "models": ("f", "g"), "member": member}
    with pytest.raises(ValueError, match=said):
        Design(**(sound | change), blocks=(0, 0), seed=0)
