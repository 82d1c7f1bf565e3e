"""How models are evaluated."""

from dataclasses import dataclass, field
from typing import Literal

from vestige.errors import VestigeError
from vestige.utility.lars import LarsConfig

TASKS = ("probe", "zero-shot", "retrieval")
LAYERS = ("projector", "backbone")

Layer = Literal["projector", "backbone"]


@dataclass(frozen=True)
class UtilityConfig:
    """How models are evaluated."""

    k: tuple[int, ...] = (1, 5, 10)
    """Retrieval: rates of queries with a correct target among the k nearest."""
    captions: Literal["first", "all"] = "first"
    """Retrieval: the first caption of every sample, or all: any of them is correct for its sample."""
    one_per_group: bool = False
    """Retrieval: among the first sample of every group that has what is searched, instead of all."""
    probe: Literal["exact", "lars"] = "exact"
    """exact: logistic regression by L-BFGS, its penalty chosen on a part of the training part; lars: the schedule of
    CLIPMem."""
    layers: tuple[Layer, ...] = ("projector",)
    """Probe: the embedding (projector), and the features before the projection (backbone)."""
    seeds: int = 1
    """Probe: how often it is trained, with other draws."""
    test_share: float = 0.2
    """Probe: share of the groups to test on, where a source has no test part of its own."""
    lars: LarsConfig = field(default_factory=LarsConfig)
    seed: int = 0
    """Of the division into training and test part, and of the first probe."""

    def __post_init__(self) -> None:
        if not self.k or min(self.k) < 1:
            raise VestigeError(f"k: expected whole numbers from 1, found {', '.join(map(str, self.k)) or 'none'}")
        if not self.layers:
            raise VestigeError(f"layers: name one of {', '.join(LAYERS)}")
        if self.seeds < 1:
            raise VestigeError(f"seeds: expected at least 1, found {self.seeds}")
        if not 0 < self.test_share < 1:
            raise VestigeError(f"test_share: expected a share between 0 and 1, found {self.test_share}")
        if self.lars.batch_size < 2 or self.lars.epochs < 1 or self.lars.warmup_epochs < 0:
            raise VestigeError("lars: expected a batch of 2 or more, an epoch or more, and no negative warm-up")
