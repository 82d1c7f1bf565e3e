"""Rankings: which end goes first, what is not ranked, ties, and the error of what is called memorized."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.cases import scores
from vestige.curation.ranking import rank
from vestige.errors import VestigeError

KEYS = ("a", "b", "c", "d")


def test_the_highest_memorization_and_the_lowest_alignment_go_first():
    table = scores(KEYS, [0.1, 0.3, None, 0.2], align_out=[0.5, None, 0.1, 0.4], multimem=[1, 2, 3, 4])
    assert rank(table).keys == ("b", "d", "a")
    assert rank(table).scores == (0.3, 0.2, 0.1)
    assert rank(table, "align_out").keys == ("c", "d", "a")
    assert rank(table, "multimem").keys == ("d", "c", "b", "a")
    assert rank(table, "multimem", order="lowest").keys == KEYS
    assert rank(table, "align_out", order="highest").keys == ("a", "d", "c")


def test_a_missing_score_is_not_zero():
    table = scores(KEYS, [-1.0, None, float("nan"), -2.0])
    assert rank(table).keys == ("a", "d")
    assert set(rank(table, "random").keys) == {"a", "d"}


def test_equal_scores_go_by_key_whatever_the_order_of_the_table():
    table = scores(("d", "b", "a", "c"), [1.0, 1.0, 0.0, 1.0])
    assert rank(table).keys == ("b", "c", "d", "a")
    assert rank(table.take(pa.array([3, 2, 1, 0]))).keys == ("b", "c", "d", "a")


def test_the_random_ranking_follows_the_seed_and_not_the_table():
    keys = [f"{number:03d}" for number in range(50)]
    one, other = rank(scores(keys), "random", seed=1), rank(scores(keys[::-1]), "random", seed=1)
    assert one.keys == other.keys
    assert one.scores == (None,) * 50
    assert rank(scores(keys), "random", seed=2).keys != one.keys
    assert sorted(one.keys) == keys
    assert list(one.keys) != keys


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1, max_size=30), st.floats(0.01, 0.99))
def test_discoveries_are_all_that_reach_the_rate_and_nothing_else(q_values, rate):
    keys = [str(number) for number in range(len(q_values))]
    ranking = rank(scores(keys, None, q_value=q_values))
    expected = {key for key, q in zip(keys, q_values, strict=True) if q is not None and q <= rate}
    if expected:
        assert set(ranking.discoveries(rate).keys) == expected
    else:
        with pytest.raises(VestigeError, match=r"nothing is called memorized|no sample of this table has a q-value"):
            ranking.discoveries(rate)


@pytest.mark.parametrize("count", [0, -1, 3])
def test_more_than_there_are(count):
    with pytest.raises(VestigeError, match=f"{count} samples asked for, and 2 are ranked by memorization"):
        rank(scores(("a", "b"))).top(count)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, 5.0])
def test_a_rate_that_is_none(rate):
    with pytest.raises(VestigeError, match="lies between 0 and 1"):
        rank(scores(("a",), None, q_value=[0.01])).discoveries(rate)


def test_columns_that_cannot_be_ranked_by():
    table = scores(("a",), None, caption=["red"])
    with pytest.raises(VestigeError, match="'nosuch' is not in the table of scores: rank by one of memorization"):
        rank(table, "nosuch")
    with pytest.raises(VestigeError, match="'caption' holds no numbers"):
        rank(table, "caption")
    with pytest.raises(VestigeError, match="no sample of the table has a score by memorization"):
        rank(scores(("a", "b"), [None, None]))
