"""Metrics are held against their formulas in both ways they can be computed: by torch, and by compiled loops."""

from collections.abc import Iterator

import pytest

from vestige.metrics import fused


@pytest.fixture(params=["torch", "compiled"], scope="module")
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Whether compiled loops are used for inputs of any size, or not at all; and that they were."""
    ran = []
    run = fused.in_threads

    def noted(loop, *arguments) -> None:
        ran.append(loop.name)
        run(loop, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused, "in_threads", noted)
        if request.param == "compiled":
            pytest.importorskip("numba")
            patch.setattr(fused, "LEAST_BYTES", 0)
        else:
            patch.setattr(fused, "usable", lambda: False)
        yield request.param
    assert bool(ran) == (request.param == "compiled")
