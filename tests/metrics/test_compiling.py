"""Numba that is missing, broken or switched off costs time and no more, and neither does its cache."""

import sys

import numpy as np
import pytest

from metrics.cases import same, unit
from vestige.metrics import compiling, fused, ssl_alignment
from vestige.metrics.compiling import Compiled, usable


@pytest.fixture
def asked_anew(monkeypatch: pytest.MonkeyPatch):
    """Whether Numba can be used is asked once a process."""
    monkeypatch.setattr(fused, "LEAST_BYTES", 0)
    expected = ssl_alignment(unit(1, 2, 3, 4)).tolist()
    usable.cache_clear()
    yield expected
    usable.cache_clear()


def test_a_broken_numba_is_said_and_not_used(asked_anew: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one too old for the NumPy that is there."""
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setattr(compiling, "find_spec", lambda name: object())
    with pytest.warns(RuntimeWarning, match="Numba is installed but cannot be loaded"):
        same(ssl_alignment(unit(1, 2, 3, 4)), asked_anew)
    assert not usable()


def test_without_numba_or_its_compiler_torch_computes(asked_anew: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Loops that are not compiled would take minutes."""
    with monkeypatch.context() as patch:
        patch.setenv("NUMBA_DISABLE_JIT", "1")
        assert not usable()
        same(ssl_alignment(unit(1, 2, 3, 4)), asked_anew)
    usable.cache_clear()
    monkeypatch.setattr(compiling, "find_spec", lambda name: None)
    assert not usable()


def double(numbers: np.ndarray) -> None:
    """In place."""
    for i in range(len(numbers)):
        numbers[i] *= 2


def test_a_damaged_cache_is_left_aside(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files cut short, as a full disk leaves them; and no place to write at all."""
    numba = pytest.importorskip("numba")
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    numbers = np.ones(3)
    Compiled(double)(numbers)
    kept = list(tmp_path.rglob("*.nbi"))
    assert kept
    for file in kept:
        file.write_bytes(file.read_bytes()[:20])
    with pytest.warns(RuntimeWarning, match="double was compiled for this process alone"):
        Compiled(double)(numbers)
    assert numbers.tolist() == [4, 4, 4]

    def nowhere(*arguments, cache: bool = False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(*arguments, **options)

    njit = numba.njit
    monkeypatch.setattr(numba, "njit", nowhere)
    Compiled(double)(numbers)
    assert numbers.tolist() == [8, 8, 8]


def test_what_ran_out_of_memory_is_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have added to its arguments."""
    pytest.importorskip("numba")
    ran = []

    def starved(*arguments) -> None:
        ran.append(arguments)
        raise MemoryError

    function = Compiled(double)
    monkeypatch.setattr(function, "_run", starved)
    with pytest.raises(MemoryError):
        function(np.ones(3))
    assert len(ran) == 1


def test_what_a_function_raises_comes_through() -> None:
    """After a second try without the cache."""
    pytest.importorskip("numba")
    with pytest.raises(Exception, match="float64"):
        Compiled(double)(1.5)
