"""Sets as rows of bits: by NumPy, by torch for other devices, and by several threads, all the same."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from vestige.metrics import LabelSets, bits, dejavu, object_recovery


@pytest.fixture
def threads() -> Iterator[None]:
    """Three threads, whatever the machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def public(labels: int) -> tuple[Tensor, LabelSets, LabelSets]:
    """Neighbours of 300 targets that do not lie end to end, with sets over some number of labels."""
    generator = torch.Generator().manual_seed(labels)

    def draw(rows: int) -> LabelSets:
        sizes = torch.randint(0, 9, (rows,), generator=generator)
        drawn = torch.randint(labels, (int(sizes.sum()),), generator=generator)
        return LabelSets(torch.cat([sizes.new_zeros(1), sizes.cumsum(0)]), drawn, labels)

    return torch.randint(40, (7, 600), generator=generator).T[::2], draw(300), draw(40)


@pytest.mark.parametrize("labels", [1, 63, 64, 65, 200, 1000])
@pytest.mark.parametrize("targets", [0, 1, 300])
@pytest.mark.parametrize("k", [0, 1, 7])
def test_or_of_rows(labels: int, targets: int, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unions of rows of any width, of none, and of rows that do not lie end to end, on both paths."""
    near, _, pool = public(labels)
    rows, table = near[:targets, :k], pool.bits(0, len(pool))
    expected = torch.zeros(targets, pool.words(), dtype=torch.long)
    for i, row in enumerate(rows.tolist()):
        for j in row:
            expected[i] |= table[j]
    counts = [sum((word & (2**64 - 1)).bit_count() for word in row) for row in expected.tolist()]
    for on_processor in (True, False):
        monkeypatch.setattr(bits, "on_processor", lambda tensor, found=on_processor: found)
        assert torch.equal(bits.or_of_rows(table, rows), expected)
        assert bits.bit_count(expected).tolist() == counts


@pytest.mark.parametrize("inference", [False, True])
def test_threads_find_the_same(monkeypatch: pytest.MonkeyPatch, threads: None, inference: bool) -> None:
    """Inference is a matter of each thread: what one makes, another may not write to."""
    near, truth, pool = public(200)
    expected = object_recovery(near, truth, pool)
    monkeypatch.setattr(dejavu, "CELLS", 32)
    with torch.inference_mode(inference):
        found = object_recovery(near + 0, truth, pool)
    assert found.correct.tolist() == expected.correct.tolist()
    assert found.predicted.tolist() == expected.predicted.tolist()
