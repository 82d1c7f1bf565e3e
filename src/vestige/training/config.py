"""How the models of a design are trained: the settings."""

from dataclasses import dataclass
from typing import Literal

from vestige.data.views import CAPTION_POLICIES
from vestige.errors import VestigeError


@dataclass(frozen=True)
class TrainingConfig:
    """How the models are trained."""

    epochs: int = 20
    """Epochs; in each, a model sees every one of its samples once."""
    batch_size: int = 128
    """Largest number of samples in a batch, over all processes."""
    chunk_size: int | None = None
    """Samples that go through a model at once; smaller than the batch, it saves memory and costs a second forward pass
    (gradient caching), with the same gradients and negatives. The whole batch when not given."""
    optimizer: Literal["adamw", "adam"] = "adamw"
    """adamw: decay apart from the gradient; adam: as an L2 penalty in it."""
    learning_rate: float = 1e-3
    """Peak of the learning rate, after linear warm-up and before cosine decay to zero."""
    warmup_epochs: float | None = None
    """Epochs of warm-up; a fifth of the epochs, at most 2, when not given."""
    weight_decay: float = 0.1
    """Weight decay, on matrices alone (not on gains, biases and the temperature), as OpenCLIP has it."""
    beta1: float = 0.9
    """Decay of the optimizer's first moment."""
    beta2: float = 0.98
    """Decay of the optimizer's second moment."""
    epsilon: float = 1e-6
    """The optimizer's epsilon."""
    clip_norm: float | None = None
    """Largest norm of the gradient over all parameters; larger ones are scaled down to it."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the forward and backward pass; weights, losses and the optimizer's moments stay in float32."""
    captions: str = "first"
    """Which caption an epoch shows: first, random, balanced."""
    device: str = "cpu"
    """Where the models are trained (cpu, cuda, mps)."""
    wandb: str | None = None
    """Project of Weights & Biases that is told what TensorBoard is told; none when not given."""
    init_from: str | None = None
    """Weights to start from instead of fresh ones (fine-tuning): a run whose models have the same names, or one
    checkpoint for all models."""
    keep_epochs: tuple[int, ...] = ()
    """Epochs after which the models are kept (epochs/00005/f, ...) and scored (epochs.parquet)."""
    keep_every: int | None = None
    """The same after every so many epochs."""
    stop_epoch: int | None = None
    """Stop after this epoch; the learning rate still goes the way of all epochs."""
    patience: int | None = None
    """Stop when the held-out samples have not done better for this many epochs, on the mean of the models that are
    trained in step."""
    patience_on: Literal["loss", "retrieval"] = "loss"
    """What doing better means: a lower loss, or a higher retrieval rate (T@1 and I@1)."""

    def __post_init__(self) -> None:
        above_zero = (
            *("epochs", "batch_size", "learning_rate", "epsilon", "chunk_size", "clip_norm"),
            *("keep_every", "stop_epoch", "patience"),
        )
        for name in above_zero:
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise VestigeError(f"training.{name} must be greater than 0, not {value}")
        if self.captions not in CAPTION_POLICIES:
            raise VestigeError(f"training.captions: one of {', '.join(CAPTION_POLICIES)}, not {self.captions!r}")
        if self.stop_epoch is not None and self.stop_epoch > self.epochs:
            raise VestigeError(
                f"training.stop_epoch is {self.stop_epoch}, after the last of {self.epochs} epochs: lower it, or raise"
                " training.epochs"
            )
        wrong = [epoch for epoch in self.keep_epochs if not 1 <= epoch <= self.last_epoch]
        if wrong:
            raise VestigeError(
                f"training.keep_epochs: epochs are numbered from 1 to {self.last_epoch}, found {wrong[0]}"
            )
        if self.batch_size < 2:
            raise VestigeError("training.batch_size must be at least 2: a contrast needs two pairs")
        if not 0 <= self.warmup <= self.epochs:
            raise VestigeError(
                f"training.warmup_epochs must lie between 0 and training.epochs = {self.epochs},"
                f" not {self.warmup_epochs}: lower it, or train longer"
            )

    @property
    def warmup(self) -> float:
        """Epochs of warm-up."""
        return min(2, self.epochs / 5) if self.warmup_epochs is None else self.warmup_epochs

    @property
    def last_epoch(self) -> int:
        """The epoch that the training ends with, if nothing ends it before."""
        return self.stop_epoch or self.epochs

    def kept(self) -> list[int]:
        """The epochs after which the models are kept."""
        every = range(self.keep_every, self.last_epoch + 1, self.keep_every) if self.keep_every else ()
        kept = {*self.keep_epochs, *every}
        # The last one is what the others are compared with.
        return sorted(kept | {self.last_epoch}) if kept else []
