"""The folder of a run: whose it is, and what it was made with."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from vestige.config import RunConfig, differences, load_config, to_yaml
from vestige.errors import VestigeError
from vestige.files import remove, write_json, write_text

ENVIRONMENT = "environment.json"
# What a run makes before it trains: quickly made again.
BEFORE_TRAINING = (
    *("config.yaml", ENVIRONMENT, "samples", "skipped.csv"),
    *("copies.parquet", "membership.parquet", "planted.parquet"),
)
# What the bits of a run may depend on; Numba, which sums in another order, may be missing.
PACKAGES = ("torch", "torchvision", "open_clip_torch", "numpy", "numba", "llvmlite", "pillow", "pyarrow", "safetensors")


@contextmanager
def claimed(directory: Path, config: RunConfig) -> Iterator[None]:
    """While the block runs, the folder is this run's, and no other process works in it.

    Raises:
        VestigeError: the folder holds another run or something else, or another process works there.
    """
    path = directory / "config.yaml"
    if directory.exists() and not directory.is_dir():
        raise VestigeError(f"{directory} is a file: name a folder with --out")
    if directory.is_dir() and not path.exists() and any(not own.name.startswith(".") for own in directory.iterdir()):
        raise VestigeError(f"{directory} is not empty and holds no run: name a new folder with --out")
    directory.mkdir(parents=True, exist_ok=True)
    lock = FileLock(directory / ".lock", timeout=0)
    try:
        with lock:
            if path.exists():
                _same_run(directory, load_config(path), config)
            if not path.exists():
                write_text(path, to_yaml(config))
            if not (directory / ENVIRONMENT).exists():
                write_json(directory / ENVIRONMENT, environment())
            yield
    except Timeout as error:
        raise VestigeError(f"{directory}: another process works on this run: wait for it, or stop it") from error


def _same_run(directory: Path, there: RunConfig, here: RunConfig) -> None:
    """Refuse a folder of another run, unless that run has trained nothing: it was begun with settings since mended."""
    differ = differences(there, here)
    if not differ:
        return
    if (directory / "models").exists() or (directory / "checkpoints").exists():
        more = f" and {len(differ) - 3} more" if len(differ) > 3 else ""
        raise VestigeError(
            f"{directory} holds another run ({'; '.join(differ[:3])}{more}): name a new folder with --out, or remove"
            " this one"
        )
    for name in BEFORE_TRAINING:
        remove(directory / name)


def environment() -> dict[str, Any]:
    """Versions and machine: what can change the last bits of a result."""
    return {
        "vestige": metadata.version("vestige"),
        "python": platform.python_version(),
        "packages": _versions(),
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
