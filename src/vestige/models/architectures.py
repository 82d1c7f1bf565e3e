"""OpenCLIP architectures by name: OpenCLIP's own, Vestige's small ones, or a JSON file."""

import difflib
import json
from importlib import resources
from pathlib import Path
from typing import Any

import open_clip

from vestige.errors import VestigeError

SIZES = ("nano", "tiny", "small")
"""Sizes that two CPU cores train in minutes."""

Architecture = dict[str, Any]


def architecture(name: str) -> Architecture:
    """OpenCLIP's description of a model: `embed_dim`, `vision_cfg`, `text_cfg`.

    Args:
        name: a name of Vestige's (`nano`, `tiny`, `small`) or OpenCLIP's (`ViT-B-32`), or a path to a JSON file.

    Raises:
        VestigeError: no such name or file, or a file that is not such a description.
    """
    if name in SIZES:
        text = resources.files("vestige.models").joinpath("sizes", f"{name}.json").read_text(encoding="utf-8")
        return json.loads(text)
    if name.endswith(".json"):
        return _from_file(Path(name))
    found = open_clip.get_model_config(name.replace("/", "-")) if ":" not in name else None
    if found is None:
        known = [*SIZES, *open_clip.list_models()]
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise VestigeError(
            f"unknown model {name!r}{hint} A name is {', '.join(SIZES)}, one of open_clip.list_models(), or a JSON file"
        )
    return found


def _from_file(path: Path) -> Architecture:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise VestigeError(f"model {path}: no such file") from error
    except (OSError, ValueError) as error:
        raise VestigeError(f"model {path}: not a JSON file that can be read: {error}") from error
    found = found.get("model_cfg", found) if isinstance(found, dict) else found
    missing = [
        key for key in ("embed_dim", "vision_cfg", "text_cfg") if not isinstance(found, dict) or key not in found
    ]
    if missing:
        raise VestigeError(f"model {path}: not an OpenCLIP model description: no {missing[0]!r}")
    return {**found, "text_cfg": _anchored(found["text_cfg"], path.parent)}


def _anchored(text: Any, folder: Path) -> Any:
    """Settings of the text tower whose folders are found from wherever one stands, if they lie beside the file."""
    if not isinstance(text, dict):
        return text
    beside = {
        name: str((folder / text[name]).resolve())
        for name in ("hf_tokenizer_name", "hf_model_name")
        if isinstance(text.get(name), str) and text[name] and (folder / text[name]).is_dir()
    }
    return {**text, **beside}
