"""Work that is handed to threads."""

import pytest

from vestige import ahead


@pytest.mark.parametrize("processors", [None, 1, 2, 32])
@pytest.mark.parametrize("count", [0, 1, 7, 64, 129, 1000])
def test_handfuls_are_all_of_it_in_order_and_leave_nobody_idle(monkeypatch, processors, count):
    monkeypatch.setattr(ahead, "cpu_count", lambda: processors)
    found = ahead.handfuls(count)
    assert [place for rows in found for place in range(count)[rows]] == list(range(count))
    assert all(0 < rows.stop - rows.start <= ahead.HANDFUL for rows in found)
    assert len(found) >= min(count, 4 * (processors or 1))
