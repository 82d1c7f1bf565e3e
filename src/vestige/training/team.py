"""The processes that train together: one device each, one batch over all of them.

The devices and the collectives are Lightning Fabric's. Gradients are averaged here and not by a wrapper around the
model: a batch may go through a model in chunks, and its loss is computed apart from that, over the features of all
processes.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vestige.errors import VestigeError
from vestige.progress import console

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class Team:
    """Processes that train one model on one batch; alone, without `fabric`.

    Attributes:
        fabric: Lightning Fabric, launched; None for a process alone.
    """

    fabric: "Fabric | None" = None

    @property
    def size(self) -> int:
        return 1 if self.fabric is None else self.fabric.world_size

    @property
    def rank(self) -> int:
        return 0 if self.fabric is None else self.fabric.global_rank

    def device(self, name: str) -> str:
        """The device of this process: the one of that name, or this process's own of that kind."""
        return name if self.fabric is None else str(self.fabric.device)

    def gather(self, own: Tensor, counts: list[int]) -> Tensor:
        """The rows of all processes, in the order of their ranks; `counts` says how many each has."""
        if self.fabric is None:
            return own
        padded = own.new_zeros(max(counts), *own.shape[1:])
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in counts]
        torch.distributed.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    def agree(self, own: Any) -> list[Any]:
        """A small object of every process."""
        if self.fabric is None:
            return [own]
        found: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(found, own)
        return found

    def average_gradients(self, model: nn.Module) -> None:
        """Replace every gradient by its mean over the processes; a parameter that none of them used keeps none."""
        if self.fabric is None:
            return
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        used: Any = self.fabric.all_reduce(
            torch.tensor([float(p.grad is not None) for p in parameters], device=self.fabric.device), reduce_op="sum"
        )
        sharing = [parameter for parameter, count in zip(parameters, used.tolist(), strict=True) if count]
        flat = torch.cat([(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in sharing])
        mean: Any = self.fabric.all_reduce(flat, reduce_op="mean")
        for parameter, part in zip(sharing, mean.split([p.numel() for p in sharing]), strict=True):
            parameter.grad = part.view_as(parameter)

    def first(self, work: Callable[[], object]) -> None:
        """Do work in the first process alone; the others wait until it is done."""
        if self.rank == 0:
            work()
        if self.fabric is not None:
            self.fabric.barrier()


def launched(device: str) -> Team:
    """The team that torchrun started this process for; a process alone when it was not started so.

    Raises:
        VestigeError: Lightning Fabric is not installed.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Team()
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise VestigeError(
            "training in several processes needs Lightning Fabric: pip install 'vestige[distributed]'"
        ) from error
    local = int(os.environ.get("LOCAL_WORLD_SIZE", str(world)))
    fabric = Fabric(accelerator=device, devices=local, num_nodes=world // local, strategy="ddp")
    fabric.launch()
    # The first process speaks for all.
    console.quiet = fabric.global_rank > 0
    return Team(fabric)
