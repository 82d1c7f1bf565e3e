"""The training loop: the models of a block of a design, in step, on matched batches."""

import copy
import math
import resource
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from vestige.data.examples import Examples
from vestige.data.views import CAPTION_POLICIES, View
from vestige.errors import VestigeError
from vestige.progress import progress
from vestige.training import checkpoints
from vestige.training.batches import Batch, batch_count, epoch_batches
from vestige.training.checkpoints import TrainingState
from vestige.training.objectives import Objective

# CLIP keeps its temperature above 1/100 (Radford et al., 2021, section 2.5).
LARGEST_LOGIT_SCALE = math.log(100)
# Steps that the estimate of time is made of.
TRIAL_STEPS = 3


@dataclass(frozen=True)
class TrainingConfig:
    """How the models are trained."""

    epochs: int = 20
    """Epochs; in each, a model sees every one of its samples once."""
    batch_size: int = 128
    """Largest number of samples in a batch."""
    learning_rate: float = 1e-3
    """Peak of the learning rate, after linear warm-up and before cosine decay to zero."""
    warmup_epochs: float | None = None
    """Epochs of warm-up; a fifth of the epochs, at most 2, when not given."""
    weight_decay: float = 0.1
    """AdamW's weight decay, on matrices alone (not on gains, biases and the temperature), as OpenCLIP has it."""
    beta1: float = 0.9
    """AdamW's first moment decay."""
    beta2: float = 0.98
    """AdamW's second moment decay."""
    epsilon: float = 1e-6
    """AdamW's epsilon."""
    captions: str = "first"
    """Which caption an epoch shows: first, random, balanced."""
    device: str = "cpu"
    """Where the models are trained (cpu, cuda, mps)."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate", "epsilon"):
            if getattr(self, name) <= 0:
                raise VestigeError(f"training.{name} must be greater than 0, not {getattr(self, name)}")
        if self.captions not in CAPTION_POLICIES:
            raise VestigeError(f"training.captions: one of {', '.join(CAPTION_POLICIES)}, not {self.captions!r}")
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


@dataclass(frozen=True)
class Estimate:
    """What a training will take: seconds, and bytes of memory at the peak."""

    seconds: float
    memory: int


def train_block(
    models: Mapping[str, nn.Module],
    slots: NDArray[np.int64],
    examples: Examples,
    objective: Objective,
    config: TrainingConfig,
    *,
    seed: int,
    checkpoint_directory: Path,
    log_directory: Path,
) -> None:
    """Train the models of a block in step, or go on from the newest checkpoint.

    Args:
        models: the models by name; trained in place.
        slots: the sample in every slot of every model, [M, S]; -1 for none.
        examples: the samples.
        objective: from a batch to a loss.
        config: how.
        seed: of batch order and views; all models of the block share it.
        checkpoint_directory: where the state after every epoch is kept.
        log_directory: where TensorBoard's logs go, one folder a model.

    Raises:
        VestigeError: the loss is not finite (names the step, the samples and the last checkpoint).
    """
    states = {name: _state(model, config) for name, model in models.items()}
    first = checkpoints.restore(checkpoint_directory, states)
    steps = batch_count(slots, config.batch_size)
    total = config.epochs * steps
    with ExitStack() as stack:
        logs = {name: stack.enter_context(_log(log_directory / name, first * steps)) for name in states}
        advance = stack.enter_context(progress(f"training {' and '.join(states)}", total, done=first * steps))
        for epoch in range(first, config.epochs):
            losses: dict[str, list[float]] = {name: [] for name in states}
            batches = epoch_batches(slots, examples, View(seed, epoch), config.batch_size)
            for step, batch in enumerate(batches, start=epoch * steps):
                rate = learning_rate(config, step, steps)
                for (name, state), rows in zip(states.items(), batch.members, strict=True):
                    # Dropout, where a model has it, is drawn alike for all models of the block, and again on resuming.
                    torch.manual_seed(seed * total + step)
                    loss = _step(state, batch, rows, objective, rate, config.device)
                    if not math.isfinite(loss):
                        seen = [examples.keys[position] for position in map(int, batch.positions[rows.numpy()])]
                        raise VestigeError(_diverged(name, loss, epoch, step, seen, config))
                    losses[name].append(loss)
                advance()
            step = (epoch + 1) * steps - 1
            for name, log in logs.items():
                _write_log(log, states[name].model, losses[name], learning_rate(config, step, steps), step)
            checkpoints.save(checkpoint_directory, epoch + 1, states)


def learning_rate(config: TrainingConfig, step: int, steps_per_epoch: int) -> float:
    """Linear warm-up to the peak, then a half cosine to zero at the last step."""
    warmup = config.warmup * steps_per_epoch
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    rest = max(config.epochs * steps_per_epoch - warmup, 1)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / rest))


def estimate(
    model: nn.Module,
    models: int,
    slots: NDArray[np.int64],
    examples: Examples,
    objective: Objective,
    config: TrainingConfig,
) -> Estimate:
    """What training `models` models like this one will take, from a few steps of a copy on real batches."""
    state = _state(copy.deepcopy(model), config)
    batches = epoch_batches(slots[:1], examples, View(0, 0), config.batch_size)
    times = []
    for _, batch in zip(range(TRIAL_STEPS + 1), batches, strict=False):
        start = time.perf_counter()
        _step(state, batch, batch.members[0], objective, 0.0, config.device)
        times.append(time.perf_counter() - start)
    # The first step allocates; it is not like the others.
    step = float(np.median(times[1:] or times))
    parameters = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    # Each further model holds weights, gradients and two moments.
    memory = peak_memory() + (models - 1) * 4 * parameters
    return Estimate(step * models * config.epochs * batch_count(slots, config.batch_size), memory)


def peak_memory() -> int:
    """The most memory this process has held, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _state(model: nn.Module, config: TrainingConfig) -> TrainingState:
    model.to(config.device).train()
    decayed = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    others = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(
        groups, lr=config.learning_rate, betas=(config.beta1, config.beta2), eps=config.epsilon, fused=True
    )
    return TrainingState(model, optimiser)


def _step(state: TrainingState, batch: Batch, rows: Tensor, objective: Objective, rate: float, device: str) -> float:
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    loss = objective(state.model, batch.drawn.rows(rows), device)
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    value = loss.item()
    if math.isfinite(value):
        state.optimiser.step()
        with torch.no_grad():
            for scale in logit_scales(state.model).values():
                scale.clamp_(0, LARGEST_LOGIT_SCALE)
    return value


def logit_scales(model: nn.Module) -> dict[str, Tensor]:
    """The logarithms of the inverse temperatures by name: one of every CLIP, one a pair of modalities of `Towers`."""
    return {name: own for name, own in model.named_parameters() if name.startswith("logit_scale")}


def _log(directory: Path, step: int) -> SummaryWriter:
    # What a killed run logged after its last checkpoint is logged again: TensorBoard drops the first copy.
    return SummaryWriter(str(directory), purge_step=step)


def _write_log(log: SummaryWriter, model: nn.Module, losses: list[float], rate: float, step: int) -> None:
    log.add_scalar("loss", float(np.mean(losses)), step)
    log.add_scalar("learning_rate", rate, step)
    for name, scale in logit_scales(model).items():
        log.add_scalar(name, scale.exp().item(), step)
    log.flush()


def _diverged(name: str, loss: float, epoch: int, step: int, keys: list[str], config: TrainingConfig) -> str:
    kept = f"the state after epoch {epoch} is kept" if epoch else "no epoch was finished"
    shown = ", ".join(keys[:3])
    return (
        f"training of {name} diverged: loss {loss} at step {step} (epoch {epoch + 1}) on {len(keys)} samples"
        f" ({shown}, ...); {kept}: lower training.learning_rate (now {config.learning_rate:g}) and start a new run"
    )
