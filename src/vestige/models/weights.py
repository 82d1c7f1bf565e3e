"""Weights of models: read without running anything, brought under the names of today, put into a model, hashed."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import cast

import open_clip
import torch
from open_clip.convert import convert_state_dict
from open_clip.model import convert_to_custom_text_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vestige.errors import VestigeError

# What wrappers of modules lead their tensors' names with: for several devices, and compiled.
WRAPPERS = ("module.", "_orig_mod.")
# Numbers from 0 on that transformers once saved with its text models.
OLD_POSITIONS = "text.transformer.embeddings.position_ids"
# How many tensors are named when a checkpoint does not fit; more would bury the message.
SHOWN = 3


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name. Nothing is unpickled but tensors.

    Raises:
        VestigeError: no such file, or not one of tensors.
    """
    if not path.is_file():
        raise VestigeError(f"checkpoint {path}: no such file")
    try:
        if path.suffix == ".safetensors":
            weights = load_file(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise VestigeError(
            f"checkpoint {path}: holds objects other than tensors, which are not loaded from a file that could run"
            " code: save its state_dict alone"
        ) from error
    # Damaged files end in whatever the archive reader stumbles on.
    except (OSError, RuntimeError, ValueError, EOFError, LookupError, TypeError, SafetensorError) as error:
        raise VestigeError(f"checkpoint {path}: not readable as tensors: {first_line(error)}") from error
    if isinstance(weights, dict) and isinstance(weights.get("state_dict"), dict):
        weights = weights["state_dict"]
    if not isinstance(weights, dict) or not weights or not all(isinstance(t, Tensor) for t in weights.values()):
        raise VestigeError(f"checkpoint {path}: holds no tensors by name")
    while wrapper := next((own for own in WRAPPERS if all(name.startswith(own) for name in weights)), None):
        weights = {name.removeprefix(wrapper): tensor for name, tensor in weights.items()}
    return weights


def as_built(model: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the names and shapes that OpenCLIP has for them now; what takes no part in embedding may lack."""
    own = model.state_dict()
    weights = convert_state_dict(cast(open_clip.CLIP, model), weights)
    if "positional_embedding" in weights and "positional_embedding" not in own:
        weights = convert_to_custom_text_state_dict(weights)
    if OLD_POSITIONS not in own:
        weights.pop(OLD_POSITIONS, None)
    # A single number is written as [] by some versions and as [1] by others.
    for name in ("logit_scale", "logit_bias"):
        if name in weights and name in own and weights[name].numel() == own[name].numel():
            weights[name] = weights[name].reshape(own[name].shape)
    # OpenCLIP's trainer gives any architecture a bias with --siglip, and none to SigLIP's without it.
    if "logit_bias" in weights and "logit_bias" not in own:
        del weights["logit_bias"]
    elif "logit_bias" in own and "logit_bias" not in weights:
        weights["logit_bias"] = torch.zeros_like(own["logit_bias"])
    return weights


def fill(model: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Put a checkpoint's weights into a model.

    Raises:
        VestigeError: weights of another architecture (names the first tensors that do not fit).
    """
    own = model.state_dict()
    wrong = [
        f"{name}: the model has {list(own[name].shape)}, the checkpoint {list(tensor.shape)}"
        for name, tensor in weights.items()
        if name in own and tensor.shape != own[name].shape
    ]
    wrong += [f"{name}: missing in the checkpoint" for name in own if name not in weights]
    wrong += [f"{name}: not in the model" for name in weights if name not in own]
    if wrong:
        more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise VestigeError(
            f"checkpoint {path} is of another architecture ({'; '.join(wrong[:SHOWN])}{more}): name the model it is of"
        )
    model.load_state_dict(dict(weights))


def weights_digest(model: nn.Module) -> str:
    """Changes with any weight of the model."""
    weights = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(model.state_dict().items()):
        weights.update(name.encode())
        weights.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return weights.hexdigest()


def first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
