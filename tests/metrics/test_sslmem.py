"""SSL alignment against its printed formula, and what it refuses."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.cases import same, unit
from oracles import sslmem as oracle
from vestige.metrics import ssl_alignment

pytestmark = pytest.mark.usefixtures("way")
some = settings(max_examples=60, deadline=None, derandomize=True)


@some
@given(seed=st.integers(0, 10_000), n=st.integers(0, 4), v=st.integers(1, 5), d=st.integers(1, 5))
def test_equals_the_printed_formula(seed: int, n: int, v: int, d: int) -> None:
    """All pairs of views, or each against the anchor; identical and opposite views."""
    views, anchor = unit(seed, n, v, d), unit(seed + 3, n, d)
    if v > 1:
        same(ssl_alignment(views), oracle.ssl_alignment(views))
    same(ssl_alignment(views, anchor=anchor), oracle.ssl_alignment(views, anchor))


def test_near_views_keep_their_digits() -> None:
    """In single precision, views 1e-5 apart: a cosine would say 0."""
    x = unit(3, 1, 1, 8)
    views = torch.nn.functional.normalize(torch.cat([x, x + 1e-5 * unit(4, 1, 1, 8)], dim=1), dim=-1).float()
    assert float(ssl_alignment(views)) == pytest.approx(oracle.ssl_alignment(views.double())[0], rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    """Differences are taken in single precision."""
    views = unit(3, 3, 4, 16, dtype=dtype)
    found = ssl_alignment(views)
    assert found.dtype == torch.float32
    same(found, oracle.ssl_alignment(views.double()))


def test_refusals() -> None:
    """Each ValueError names the argument and what was found."""
    views = unit(3, 5, 3, 8)
    with pytest.raises(ValueError, match=r"^views: expected \[N, V, d\], found \[5, 8\]"):
        ssl_alignment(views[:, 0])
    with pytest.raises(ValueError, match=r"^views: number of views: expected a whole number of at least 2, found 1"):
        ssl_alignment(views[:, :1])
    with pytest.raises(ValueError, match=r"^views: number of views: expected a whole number of at least 1, found 0"):
        ssl_alignment(views[:, :0], anchor=views[:, 0])
    with pytest.raises(ValueError, match=r"^views: expected unit norm, found 2"):
        ssl_alignment(2 * views)
    with pytest.raises(ValueError, match=r"^views: expected unit norm, found NaN in 15 embeddings"):
        ssl_alignment(torch.nan * views)
    with pytest.raises(ValueError, match=r"^anchor: expected \[N, d\] = \[5, 8\], found \[4, 8\]"):
        ssl_alignment(views, anchor=views[:4, 0])
    with pytest.raises(ValueError, match=r"^anchor: expected unit norm, found 0.5"):
        ssl_alignment(views, anchor=views[:, 0] / 2)
    with pytest.raises(ValueError, match=r"^anchor: expected device cpu, found meta"):
        ssl_alignment(views, anchor=views[:, 0].to("meta"))
