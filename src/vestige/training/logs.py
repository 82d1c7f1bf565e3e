"""What a training says of itself: TensorBoard's files, and Weights & Biases where it is asked for."""

import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from vestige.errors import VestigeError


class Log:
    """The log of one model's training, as a context.

    Args:
        directory: of TensorBoard's files.
        step: the first step that will be logged.
        wandb: project of Weights & Biases, or None.
    """

    def __init__(self, directory: Path, step: int, wandb: str | None = None) -> None:
        # What a killed run logged after its last checkpoint is logged again: TensorBoard drops the first copy.
        self._writer = SummaryWriter(str(directory), purge_step=step)
        self._run: Any = None if wandb is None else _wandb_run(wandb, directory)

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()
        if self._run is not None:
            self._run.finish()

    def write(self, values: Mapping[str, float], step: int) -> None:
        """Numbers by name after a step."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()
        if self._run is not None:
            self._run.log(dict(values), step=step)


def _wandb_run(project: str, directory: Path) -> Any:
    try:
        # By name: what is not installed has no types.
        wandb: Any = import_module("wandb")
    except ImportError as error:
        raise VestigeError("training.wandb needs Weights & Biases: pip install 'vestige[wandb]'") from error
    directory.mkdir(parents=True, exist_ok=True)
    # Nothing is sent unless the environment says so (WANDB_MODE=online): the files can be sent later, `wandb sync`.

    return wandb.init(
        project=project,
        name=directory.name,
        dir=str(directory),
        mode="online" if os.environ.get("WANDB_MODE") == "online" else "offline",
    )
