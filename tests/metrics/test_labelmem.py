"""Label alignment against its definition, and what it refuses."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.cases import numbers, same
from oracles import labelmem as oracle
from vestige.metrics import label_alignment, label_set_alignment

some = settings(max_examples=60, deadline=None, derandomize=True)


@some
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(0, 5),
    classes=st.integers(1, 5),
    scale=st.sampled_from([1.0, 800.0]),
    tied=st.booleans(),
    kind=st.sampled_from(["probability", "correctness"]),
)
def test_equals_the_definition(seed: int, n: int, classes: int, scale: float, tied: bool, kind: str) -> None:
    """Large logits do not overflow; of equal logits the first is predicted."""
    logits = scale * numbers(seed, n, classes, tied=tied)
    labels = torch.randint(classes, (n,), generator=torch.Generator().manual_seed(seed))
    same(label_alignment(logits, labels, kind=kind), oracle.label_alignment(logits, labels, kind))


def test_half_precision() -> None:
    """The softmax is taken in single precision."""
    logits, labels = numbers(3, 4, 6).half(), torch.tensor([0, 1, 2, 5])
    found = label_alignment(logits, labels)
    assert found.dtype == torch.float32
    same(found, oracle.label_alignment(logits.double(), labels, "probability"))


def test_refusals() -> None:
    """Each ValueError names the argument and what was found."""
    logits, labels = numbers(3, 2, 3), torch.tensor([0, 2])
    with pytest.raises(ValueError, match=r"^logits: expected \[N, C\], found \[3\]"):
        label_alignment(logits[0], labels)
    with pytest.raises(ValueError, match=r"^logits: expected finite values, found 6 NaN"):
        label_alignment(logits * torch.nan, labels)
    with pytest.raises(ValueError, match=r"^labels: expected values of at least 0 and at most 2, found 1 to 3"):
        label_alignment(logits, labels + 1)
    with pytest.raises(ValueError, match=r"^labels: expected int64, found float32"):
        label_alignment(logits, labels.float())
    with pytest.raises(ValueError, match=r"^labels: expected \[N\] = \[2\], found \[1\]"):
        label_alignment(logits, labels[:1])
    with pytest.raises(ValueError, match=r"^kind: expected one of 'probability', 'correctness', found 'loss'"):
        label_alignment(logits, labels, kind="loss")


@some
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(0, 5),
    classes=st.integers(1, 5),
    kind=st.sampled_from(["probability", "correctness"]),
)
def test_sets_of_labels_equal_the_definition(seed: int, n: int, classes: int, kind: str) -> None:
    """A sample without labels has no alignment."""
    logits = numbers(seed, n, classes)
    labels = torch.rand(n, classes, generator=torch.Generator().manual_seed(seed)) < 0.6
    found = label_set_alignment(logits, labels, kind=kind)
    expected = torch.tensor(oracle.label_set_alignment(logits, labels, kind), dtype=torch.float64)
    torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=0, equal_nan=True)


def test_refusals_of_sets() -> None:
    """Each ValueError names the argument and what was found."""
    logits, labels = numbers(3, 2, 3), torch.ones(2, 3, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"^labels: expected bool, found int64"):
        label_set_alignment(logits, labels.long())
    with pytest.raises(ValueError, match=r"^labels: expected \[N, C\] = \[2, 3\], found \[2, 2\]"):
        label_set_alignment(logits, labels[:, :2])
    with pytest.raises(ValueError, match=r"^logits: expected finite values"):
        label_set_alignment(logits * torch.inf, labels)
