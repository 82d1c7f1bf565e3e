"""Folders of models as Hugging Face libraries write them: read from disk, without running what lies in them."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vestige.errors import VestigeError
from vestige.files import digest
from vestige.shortage import shortage

SAFE = {"local_files_only": True, "trust_remote_code": False, "use_safetensors": True}
"""Arguments of `from_pretrained` for models: nothing fetched, no code of the folder, no pickle."""


def model_folder(path: Path, what: str, marker: str) -> Path:
    """The folder, if it is one of a model.

    Args:
        path: the folder.
        what: setting that names it, for messages.
        marker: file that such a folder has (config.json).

    Raises:
        VestigeError: it is none, its weights are not safetensors, or it comes with code of its own.
    """
    if not path.is_dir():
        state = "is no folder" if path.exists() else "there is no such folder"
        raise VestigeError(f"{what}: {path}: {state}: name a model's folder on disk ({marker}, *.safetensors)")
    if not (path / marker).is_file():
        raise VestigeError(f"{what}: {path}: has no {marker}: name a model's folder on disk")
    if not any(path.rglob("*.safetensors")):
        raise VestigeError(f"{what}: {path}: has no *.safetensors: convert the weights, other formats could run code")
    if any(path.rglob("*.py")):
        raise VestigeError(f"{what}: {path}: comes with code of its own, which is not run: use another model")
    return path


def fingerprint(path: Path) -> str:
    """A short name for the contents of a model's file, or of the weights and settings of a folder."""
    files = [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.suffix in {".safetensors", ".json"})
    contents: list[str] = []
    for file in files:
        with file.open("rb") as handle:
            contents += [file.name, hashlib.file_digest(handle, "blake2b").hexdigest()]
    return digest(*contents)


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Turns whatever a library raises over a folder it cannot read into one line."""
    try:
        yield
    except VestigeError:
        raise
    # Libraries raise whatever they stumble on: missing files, names of classes, shapes of tensors.
    except Exception as error:
        if shortage(error):
            raise
        line = " ".join(str(error).split())
        raise VestigeError(f"{what}: {path}: cannot be read: {type(error).__name__}: {line[:300]}") from error
