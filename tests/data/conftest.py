"""A registry of small packages for the tests of the built-in collections, and a look for the real ones."""

from collections.abc import Callable
from pathlib import Path

import pytest

from registry import Registry, on_path
from vestige.data import open_source
from vestige.data.builtin import cache
from vestige.data.builtin.packages import COLLECTIONS


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Clients that know only what the test puts on the shelf, an empty cache folder, and nothing installed."""
    made = Registry(tmp_path / "registry")
    made.open()
    monkeypatch.setenv("PATH", on_path(made.clients))
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "SYSTEM", tmp_path / "system")
    monkeypatch.setattr(cache, "find_spec", lambda name: None)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(made.shelf))
    return made


@pytest.fixture
def real() -> Callable:
    """A function that opens the real collection where it was fetched or is installed; elsewhere it skips the test."""

    def opened(name: str, **options: str):
        missing = [package.name for package in COLLECTIONS[name].packages if cache.find(package) is None]
        if missing:
            pytest.skip(f"not fetched: {', '.join(missing)} (vestige data fetch {name})")
        return open_source(name, **options)

    return opened
