"""When compiled loops are used, and that they give the same bits on any number of threads."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from metrics.cases import same, unit
from vestige.metrics import (
    LabelSets,
    clip_alignment,
    cross_modal_consistency,
    fused,
    object_recovery,
    ssl_alignment,
)

pytest.importorskip("numba")
MANY = 700  # more than two parts of the rows


@pytest.fixture(autouse=True)
def any_size(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Small inputs are worth it too; the number of threads is put back."""
    monkeypatch.setattr(fused, "LEAST_BYTES", 0)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the loops that ran."""
    found: list[str] = []
    run = fused.in_threads

    def noted(loop, *arguments) -> None:
        found.append(loop.name)
        run(loop, *arguments)

    monkeypatch.setattr(fused, "in_threads", noted)
    return found


def compute() -> list[Tensor]:
    """Every metric that has a loop."""
    x = {j: unit(k, MANY, 16).float() for k, j in enumerate("abc")}
    z = {j: unit(k + 9, MANY, 16).float() for k, j in enumerate("abc")}
    views = {"a": unit(20, MANY, 3, 16).float()}
    labels = torch.arange(2000) % 70
    sets = LabelSets(torch.arange(0, 2001, 20), labels, 70)
    wanted = LabelSets(torch.arange(MANY + 1), torch.arange(MANY) % 70, 70)
    near = torch.randint(100, (MANY, 5), generator=torch.Generator().manual_seed(1))
    recovered = object_recovery(near, wanted, sets)
    return [
        clip_alignment(x["a"], x["b"], z["a"], z["b"], image_views=views["a"]),
        cross_modal_consistency(x, z, views=views),
        ssl_alignment(views["a"]),
        ssl_alignment(views["a"], anchor=x["a"]),
        recovered.correct,
        recovered.predicted,
    ]


def test_threads_do_not_change_the_bits(calls: list[str]) -> None:
    """Sums lie within a row or within a part."""
    torch.set_num_threads(1)
    alone = compute()
    assert set(calls) == {"sum_rows", "products", "pair_distances", "unions"}
    torch.set_num_threads(2)
    for one, two in zip(alone, compute(), strict=True):
        assert torch.equal(one, two)


def test_the_threads_of_torch_stay_as_they_were() -> None:
    """In a process of its own: Numba starts its threads once, and with them sets the number of OpenMP's."""
    code = """
import torch
from vestige.metrics import fused, ssl_alignment
views = torch.nn.functional.normalize(torch.ones(600, 2, 8), dim=2)
for asked in (1, 2, 1):
    torch.set_num_threads(asked)
    fused.LEAST_BYTES = 0
    ssl_alignment(views)
    assert torch.get_num_threads() == asked, (torch.get_num_threads(), asked)
"""
    for threads in ("1", "2"):
        first = f"import torch; assert torch.get_num_threads() == {threads}\n"
        untouched = first + code.split("for asked")[0] + "fused.LEAST_BYTES = 0; ssl_alignment(views)\n" + first
        for script in (untouched, code):
            done = subprocess.run(
                [sys.executable, "-c", script],
                env={**os.environ, "OMP_NUM_THREADS": threads},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr


def test_same_as_by_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over several parts of the rows."""
    compiled = compute()
    monkeypatch.setattr(fused, "usable", lambda: False)
    for one, two in zip(compiled, compute(), strict=True):
        same(one, two.double().tolist(), tolerance=3e-6)  # each within 1e-6 of double precision


def test_what_the_loops_cannot_take_is_left_to_torch(calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Half precision, other strides, gradients, a forked process, too little to be worth it."""
    image, text, heldout = unit(1, 4, 8).float(), unit(2, 4, 8).float(), unit(3, 5, 8).float()
    expected = clip_alignment(image, text, heldout, heldout)
    assert calls == ["sum_rows", "sum_rows", "products"]
    calls.clear()
    halves = [t.half() for t in (image, text, heldout, heldout)]
    assert (clip_alignment(*halves) - expected).abs().max() < 1e-2
    turned = [t.T.contiguous().T for t in (image, text, heldout, heldout)]
    same(clip_alignment(*turned), expected.tolist())
    assert calls == []
    image.requires_grad_()
    clip_alignment(image, text, heldout, heldout).sum().backward()
    assert image.grad is not None
    same(image.grad[0], (text.double()[0] - heldout.double().mean(0)).tolist())
    assert calls == ["sum_rows", "sum_rows"]
    image = image.detach()
    calls.clear()
    with monkeypatch.context() as patch:
        patch.setattr(fused, "_OPENED_BY", -1)
        same(clip_alignment(image, text, heldout, heldout), expected.tolist())
    with monkeypatch.context() as patch:
        patch.setattr(fused, "LEAST_BYTES", 1 << 20)
        same(clip_alignment(image, text, heldout, heldout), expected.tolist())
    assert calls == []


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning")  # torch itself, at first use
def test_derivatives_are_carried_by_torch() -> None:
    """In forward mode, which `requires_grad` does not tell of."""
    views, along = unit(1, 3, 2, 4), unit(2, 3, 2, 4)
    value, tangent = torch.func.jvp(ssl_alignment, (views,), (along,))
    step = 1e-6
    nearby = [_distance(views + sign * step * along) for sign in (1, -1)]
    same(value, (-_distance(views)).tolist())
    same(tangent, ((nearby[1] - nearby[0]) / (2 * step)).tolist())


def _distance(views: Tensor) -> Tensor:
    return (views[:, 0] - views[:, 1]).norm(dim=1)


def test_many_views_lose_no_digits() -> None:
    """Two thousand pairs of views, in single precision."""
    views = unit(1, 3, 64, 64)
    same(ssl_alignment(views.float()), ssl_alignment(views).tolist(), tolerance=5e-7)
