"""What the name of a checkpoint stands for on disk: a path, a tag of OpenCLIP's published weights, a name on the Hub.

    with.pt, DIR, local-dir:DIR    themselves
    pretrained:TAG                 weights of OpenCLIP's table (`open_clip.list_pretrained()`), of a named architecture
    hf-hub:OWNER/NAME              a model of the Hugging Face Hub

The last two are looked up where OpenCLIP and the Hub's own client leave what they fetched; nothing is fetched here.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import open_clip
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

from vestige.errors import VestigeError

# Names that OpenCLIP looks for beside its configuration, the safe format first.
WEIGHTS_FILES = (
    *("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors"),
    *("open_clip_pytorch_model.bin", "pytorch_model.bin"),
)
# Preprocessing as OpenCLIP's table of published weights states it.
STATED = ("mean", "std", "interpolation", "resize_mode", "size", "mode", "fill_color")


@dataclass(frozen=True)
class Located:
    """Where a checkpoint lies.

    Attributes:
        path: its file or folder.
        preprocessing: what is known of it, in OpenCLIP's words, beyond what lies there.
    """

    path: Path
    preprocessing: Mapping[str, Any] = field(default_factory=dict)


def located(checkpoint: Path | str, model: str | None) -> Located:
    """Where a checkpoint of this name lies.

    Args:
        checkpoint: see the top of this file.
        model: the architecture, which a tag needs.

    Raises:
        VestigeError: no such tag, weights of another architecture, or they are not on disk (says what is missing).
    """
    kind, separator, name = str(checkpoint).partition(":")
    if separator and kind == "local-dir":
        return Located(Path(name))
    if separator and kind == "hf-hub":
        return Located(hub_folder(name, "open_clip_config.json", "config.json"))
    if separator and kind == "pretrained":
        return _published(name, model)
    return Located(Path(checkpoint))


def hub_folder(name: str, *files: str) -> Path:
    """The folder in the Hub's cache where a model of this name was put, known by one of these files.

    Raises:
        VestigeError: it is not there.
    """
    found = _cached(name, files)
    if found is None:
        raise VestigeError(
            f"{name}: no {' or '.join(files)} of it in the Hugging Face cache, and Vestige downloads nothing: fetch it"
            f" with `hf download {name}`, or name a folder"
        )
    return found.parent


def _published(tag: str, model: str | None) -> Located:
    if model is None:
        raise VestigeError(f"pretrained:{tag}: name its architecture too (for example --model ViT-B-32)")
    name = model.replace("/", "-")
    tags = open_clip.list_pretrained_tags_by_model(name)
    about = open_clip.get_pretrained_cfg(name, tag)
    if not about:
        near = difflib.get_close_matches(tag, tags, n=3)
        has = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(tags) or 'none'}"
        raise VestigeError(f"pretrained:{tag}: OpenCLIP has no such weights of {model}; {has}")
    quick = bool((open_clip.get_model_config(name) or {}).get("quick_gelu", False))
    if quick != bool(about.get("quick_gelu", False)):
        other = name.removesuffix("-quickgelu") if quick else f"{name}-quickgelu"
        raise VestigeError(
            f"pretrained:{tag}: was trained with {'GELU' if quick else 'QuickGELU'}, and {model} has the other: name"
            f" --model {other}"
        )
    stated = {setting: about[setting] for setting in STATED if setting in about}
    if about.get("hf_hub"):
        owner, _, file = about["hf_hub"].rpartition("/")
        files = (file.rpartition(".")[0] + ".safetensors", file) if file else WEIGHTS_FILES
        path, where = _cached(owner, files), f"`hf download {owner}`"
    else:
        path = Path.home() / ".cache" / "clip" / about["url"].rpartition("/")[2]
        where = f"{about['url']} to {path}"
    if path is None or not path.is_file():
        raise VestigeError(
            f"pretrained:{tag}: the weights are not on disk, and Vestige downloads nothing: fetch {where}, or name a"
            " file"
        )
    return Located(path, stated)


def _cached(name: str, files: Sequence[str]) -> Path | None:
    for file in files:
        try:
            found = try_to_load_from_cache(name, file)
        except HFValidationError as error:
            raise VestigeError(f"{name!r} is no name on the Hugging Face Hub: {str(error).splitlines()[0]}") from error
        if isinstance(found, str):
            return Path(found)
    return None
