"""The numbers of the report."""

import pyarrow as pa
import pytest
import torch

from vestige.alignments import Heldout
from vestige.metrics import auc, mean_interval
from vestige.report.terminal import show
from vestige.summary import held_out_retrieval, summarise

ROLES = ["candidate"] * 6 + ["shared"] * 4 + ["external"] * 4
SCORES = [0.9, 0.8, 0.1, 0.3, 0.2, None, 0.0, 0.1, -0.1, 0.0, 0.2, 0.2, 0.2, 0.2]


def table(**change) -> pa.Table:
    columns = {
        "key": [str(number) for number in range(14)],
        "group": [str(number) for number in range(14)],
        "role": ROLES,
        "clipmem": SCORES,
        "q_value": [0.01, 0.05, 0.2, 0.06, None, None] + [None] * 8,
        "caption": ["x"] * 14,
        "planted": [True, True] + [False] * 12,
    }
    return pa.table(columns | change)


def test_means_and_intervals_by_role():
    found = summarise(table(), ("f", "g"))
    expected = mean_interval(torch.tensor([0.9, 0.8, 0.1, 0.3, 0.2], dtype=torch.float64))
    assert found["roles"]["candidate"] == pytest.approx(
        {"n": 5, "mean": expected.mean, "se": expected.se, "low": expected.low, "high": expected.high}
    )
    assert "independent" not in found["roles"]
    assert (found["metric"], found["samples"], found["groups"]) == ("clipmem", 14, 14)


def test_groups_are_the_units():
    """A group tells less than as many single samples: pairs of equal samples have the interval of the pairs."""
    scores = [value for value in (0.1, 0.5, 0.3, 0.9, 0.2) for _ in range(2)]
    rows = {"key": list(map(str, range(10))), "group": [str(number // 2) for number in range(10)]}
    rows |= {"role": ["shared"] * 10, "clipmem": scores, "q_value": [None] * 10}
    rows |= {"caption": [""] * 10, "planted": [False] * 10}
    paired = summarise(pa.table(rows), "fg")["roles"]["shared"]
    pairs = mean_interval(torch.tensor(scores[::2], dtype=torch.float64))
    assert (paired["low"], paired["high"]) == pytest.approx((pairs.low, pairs.high))


def test_planted_and_memorized():
    found = summarise(table(), ("f", "g"))
    assert found["memorized"] == {"fdr": 0.05, "count": 2, "of": 4}
    expected = auc(torch.tensor([0.9, 0.8, 0.1, 0.3, 0.2]), torch.tensor([True, True, False, False, False]))
    assert found["planted"]["auc"] == expected.value
    assert (found["planted"]["n"], found["planted"]["mean"]) == (2, pytest.approx(0.85))
    assert found["planted"]["clean_mean"] == pytest.approx(0.2)
    assert summarise(table(planted=[False] * 14), "fg")["planted"] is None


def test_warnings():
    few, null = summarise(table(), "fg")["warnings"]
    assert few.startswith("only 5 samples have a score")
    assert null.startswith("only 4 external samples")
    many = pa.concat_tables(
        [
            table(key=[f"{block}/{n}" for n in range(14)], group=[f"{block}/{n}" for n in range(14)])
            for block in range(9)
        ]
    )
    (uncentred,) = summarise(many, "fg")["warnings"]
    assert "the null is not centred: the mean of the external samples is 0.200" in uncentred


def test_retrieval_of_the_held_out():
    eye = torch.eye(4)
    shards = {"f": {"image": eye, "text": eye}, "g": {"image": eye, "text": eye.roll(1, 0)}}
    found = held_out_retrieval(Heldout(list("abcd"), shards), ["w", "x", "y", "z"])
    assert found is not None
    assert (found["n"], found["chance"]["T@1"]) == (4, 0.25)
    assert found["models"]["f"]["T@1"] == found["models"]["f"]["I@1"] == 1
    assert found["models"]["g"]["T@1"] == 0
    assert held_out_retrieval(Heldout(["a"], {"f": {"image": eye[:1]}}), ["w"]) is None


def test_texts_that_a_model_cannot_tell_apart_are_equally_correct():
    """The two Rs have one embedding: as different texts they would tie, and neither picture would find its own."""
    pictures = torch.eye(3)
    shards = {"f": {"image": pictures, "text": pictures[[0, 0, 2]]}}
    keys = list("abc")
    told = held_out_retrieval(Heldout(keys, shards), ["The letter R.", "the  letter r.", "A mouse."])
    assert told is not None
    assert told["models"]["f"]["T@1"] == pytest.approx(2 / 3)
    assert told["chance"]["T@1"] == pytest.approx((2 / 3 + 2 / 3 + 1 / 3) / 3)
    apart = held_out_retrieval(Heldout(keys, shards), ["The letter R.", "the letter S.", "A mouse."])
    assert apart is not None
    assert apart["models"]["f"]["T@1"] == pytest.approx(1 / 3)
    # No words, no identity: spaces are no caption.
    blank = held_out_retrieval(Heldout(keys, shards), ["", " ", "A mouse."])
    assert blank is not None
    assert blank["chance"]["T@1"] == pytest.approx(1 / 3)


def test_a_group_that_outweighs_the_others_is_told():
    """A fifth of the candidates in one group is borne, more is not; a few candidates are warned of as few alone."""

    def warned(count: int, largest: int) -> list[str]:
        rows = {"key": list(map(str, range(count))), "role": ["candidate"] * count}
        rows["group"] = ["large" if number < largest else str(number) for number in range(count)]
        rows |= {"clipmem": [0.1 * number for number in range(count)], "q_value": [None] * count}
        rows |= {"caption": [""] * count, "planted": [False] * count}
        return [text for text in summarise(pa.table(rows), "fg")["warnings"] if "unbalanced" in text]

    assert warned(100, 20) == []
    assert warned(100, 21) == [
        "the groups are unbalanced: one of 80 holds 21 of 100 candidate samples, and their mean is much its own"
    ]
    assert warned(29, 20) == []


def test_one_model_has_no_contrast_and_is_told_so(capsys):
    """Without a contrast there are no empty tables and no talk of p-values: the suspicion is shown."""
    roles = ["shared"] * 10 + ["external"] * 4
    alone = table(role=roles, clipmem=pa.nulls(14, pa.float64()), q_value=pa.nulls(14, pa.float64()))
    alone = alone.append_column("suspicion", pa.array([number / 14 for number in range(14)]))
    found = summarise(alone, ("m0",))
    (warning,) = found["warnings"]
    assert warning.startswith("no sample has a score of memorization")
    show(found, alone)
    printed = capsys.readouterr().out
    assert "most suspicious" in printed
    assert "most memorized" not in printed
    assert "+0.643" in printed  # the most suspicious that was trained on: of the external ones nobody asked
    assert "+0.929" not in printed


def test_no_external_samples_are_not_few():
    (_, none) = summarise(table(role=["candidate"] * 14), "fg")["warnings"]
    assert none.startswith("no external samples")
