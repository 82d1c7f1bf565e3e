"""Training states by epoch, as safetensors and JSON: what is needed to go on, bit for bit."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vestige.files import read_json, remove, replacing, write_json

MOMENTS = ("exp_avg", "exp_avg_sq", "step")


@dataclass(frozen=True)
class TrainingState:
    """A model in training and its optimizer."""

    model: nn.Module
    optimizer: torch.optim.Optimizer


def save(directory: Path, epoch: int, states: Mapping[str, TrainingState], beside: Mapping[str, Any]) -> None:
    """Keep the states after `epoch` finished epochs; the last kept ones go when the new ones are in place.

    Args:
        directory: of the checkpoints.
        epoch: how many are finished.
        states: by model.
        beside: what else the training needs to go on, as JSON.
    """
    with replacing(directory / f"epoch-{epoch:05d}") as temporary:
        temporary.mkdir(parents=True)
        for name, state in states.items():
            save_file(_tensors(state), temporary / f"{name}.safetensors")
        write_json(temporary / "state.json", {"epoch": epoch, "models": list(states), "beside": dict(beside)})
    for other in _kept(directory):
        if other.name != f"epoch-{epoch:05d}":
            remove(other)


def restore(directory: Path, states: Mapping[str, TrainingState]) -> tuple[int, Mapping[str, Any]]:
    """Put the newest kept states into the models and optimizers.

    Returns:
        The number of finished epochs, 0 when none is kept; and what was kept beside the states.
    """
    kept = _kept(directory)
    if not kept:
        return 0, {}
    for name, state in states.items():
        _fill(state, load_file(kept[-1] / f"{name}.safetensors"))
    about = read_json(kept[-1] / "state.json")
    return int(about["epoch"]), about.get("beside", {})


def newest(directory: Path) -> int:
    """After how many epochs the newest kept states are; 0 when none is kept."""
    kept = _kept(directory)
    return int(read_json(kept[-1] / "state.json")["epoch"]) if kept else 0


def _kept(directory: Path) -> list[Path]:
    return sorted(directory.glob("epoch-*"))


def _tensors(state: TrainingState) -> dict[str, Tensor]:
    tensors = {f"model/{name}": tensor.contiguous() for name, tensor in state.model.state_dict().items()}
    for name, parameter in state.model.named_parameters():
        for moment, tensor in state.optimizer.state.get(parameter, {}).items():
            tensors[f"{moment}/{name}"] = tensor
    return tensors


def _fill(state: TrainingState, tensors: Mapping[str, Tensor]) -> None:
    weights = {name.removeprefix("model/"): t for name, t in tensors.items() if name.startswith("model/")}
    state.model.load_state_dict(weights)
    for name, parameter in state.model.named_parameters():
        kept = {moment: tensors[f"{moment}/{name}"] for moment in MOMENTS if f"{moment}/{name}" in tensors}
        # A parameter that no gradient has reached yet has no moments.
        if kept:
            state.optimizer.state[parameter] = kept
