"""Where fetched data lie: one folder a package and version, whole or not there."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from vestige.data.builtin.packages import Package
from vestige.errors import VestigeError

VARIABLE = "VESTIGE_CACHE"
SYSTEM = Path("/")
"""Below which Debian's packages are installed."""


def cache_folder() -> Path:
    """`$VESTIGE_CACHE`, else `$XDG_CACHE_HOME/vestige`, else `~/.cache/vestige`."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named).expanduser()
    # An XDG folder that is not absolute is to be ignored, says its specification.
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "vestige"


def package_folder(package: Package, version: str, cache: Path) -> Path:
    """The folder of one version; scopes and colons in names are quoted, so that it is one folder on any disk."""
    return cache / package.client / f"{_quoted(package.name)}@{_quoted(version)}"


def find(package: Package, cache: Path | None = None) -> Path | None:
    """The folder that a package's parts lie below: where it is installed, else where it was fetched to, else None."""
    installed = _installed(package)
    if installed is not None:
        return installed
    folder = (cache or cache_folder()) / package.client
    counted = package_folder(package, package.version, cache or cache_folder())
    if counted.is_dir():
        return counted
    if package.client != "apt":
        return None
    fetched = sorted(folder.glob(f"{_quoted(package.name)}@*"))
    return fetched[-1] if fetched else None


def require(package: Package, source: str) -> Path:
    """The folder that a package's parts lie below.

    Raises:
        VestigeError: it is not there; the message says how to fetch it.
    """
    found = find(package)
    if found is None:
        raise VestigeError(
            f"the data of {source!r} are not fetched: the package {package.name} is neither installed nor in"
            f" {cache_folder()}; run: vestige data fetch {source}"
        )
    return found


def _installed(package: Package) -> Path | None:
    if package.client == "apt":
        return SYSTEM if (SYSTEM / package.parts[0]).is_dir() and _complete(package, SYSTEM) else None
    if package.client == "pip":
        spec = find_spec(Path(package.parts[0]).parts[0])
        places = (spec.submodule_search_locations if spec else None) or []
        roots = (Path(place).parent for place in places)
        return next((root for root in roots if (root / package.parts[0]).is_dir()), None)
    return None


def _complete(package: Package, root: Path) -> bool:
    """Whether something of all that the package holds is there (documentation can be left out when installing)."""
    return all(next(file_names(root / folder, suffix), None) for folder, suffix in package.holds)


def file_names(folder: Path, suffix: str = "") -> Iterator[str]:
    """The files and links below a folder whose names end so, named from the folder on.

    Names, not paths: of ten thousand files, making the paths takes longer than finding them.
    """
    start = len(str(folder)) + 1
    for place, _, names in os.walk(folder):
        within = place[start:].replace(os.sep, "/")
        for name in names:
            if name.endswith(suffix):
                yield f"{within}/{name}" if within else name


def _quoted(name: str) -> str:
    return quote(name, safe="+~")
