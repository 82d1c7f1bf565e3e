"""The training loop: the models of a block of a design, in step, on matched batches."""

import copy
import math
import resource
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from vestige.data.examples import Examples
from vestige.data.views import View
from vestige.errors import VestigeError
from vestige.progress import progress
from vestige.training import checkpoints
from vestige.training.batches import Batch, Share, batch_count, epoch_batches
from vestige.training.checkpoints import TrainingState
from vestige.training.config import TrainingConfig
from vestige.training.logs import Log
from vestige.training.objectives import Objective, logit_scales
from vestige.training.steering import Plan, Steering
from vestige.training.step import Gradients, Work
from vestige.training.team import Team

# Steps that the estimate of time is made of.
TRIAL_STEPS = 3
# Seconds after which what was trained is worth writing down; less is done again if the training is killed.
WORTH_KEEPING = 30.0
# A loss this many times the first one (or 1, if that is larger) is no training any more.
EXPLODED = 10


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
    team: Team | None = None,
    steering: Steering | None = None,
) -> None:
    """Train the models of a block in step, or go on from the newest checkpoint.

    Args:
        models: the models by name; trained in place.
        slots: the sample in every slot of every model, [M, S]; -1 for none.
        examples: the samples.
        objective: from a batch to a loss.
        config: how.
        seed: of batch order and views; all models of the block share it.
        checkpoint_directory: where the state is kept at the end of the first epoch, the last, and every epoch that ends
            more than `WORTH_KEEPING` seconds after the last one that was kept.
        log_directory: where TensorBoard's logs go, one folder a model.
        team: the processes that train together; this one alone when not given.
        steering: what happens around the epochs (mitigations, early stopping); nothing when not given.

    Raises:
        VestigeError: the loss is not finite, or has exploded (names the step, the samples and the last checkpoint).
    """
    team = team or Team()
    steering = steering or Steering(slots, examples, objective, config, team=team)
    gradients = _gradients(objective, config, team)
    states = {name: trainable(model, config, gradients.device) for name, model in models.items()}
    first, beside = checkpoints.restore(checkpoint_directory, states)
    steering.restore(beside)
    steps = batch_count(slots, config.batch_size)
    # Seeds of steps: batches of regrouped samples may make an epoch longer by one.
    most = steps + steering.regroups()
    last = first if steering.stopped else config.last_epoch
    largest: dict[str, float] = {}
    kept = -math.inf
    with ExitStack() as stack:
        logs = {
            name: stack.enter_context(Log(log_directory / name, first * steps, config.wandb))
            for name in (states if team.rank == 0 else ())
        }
        title = f"training {' and '.join(states)}"
        advance = stack.enter_context(progress(title, config.last_epoch * steps, done=first * steps))
        for epoch in range(first, last):
            losses: dict[str, list[float]] = {name: [] for name in states}
            plan = steering.plan()
            gradients = replace(gradients, objective=plan.objective)
            count = batch_count(plan.slots, config.batch_size, plan.apart)
            for number, batch in enumerate(_batches(plan, examples, config, seed, epoch, team)):
                # Where training is, in steps of a plain epoch.
                step = epoch * steps + number * steps / count
                for (name, state), share in zip(states.items(), batch.shares, strict=True):
                    start = time.perf_counter()
                    # What is drawn while computing is drawn alike for all models of the block, and again on resuming.
                    work = _work(batch, share, (seed * config.epochs + epoch) * most + number)
                    loss = gradients(state.model, work)
                    largest.setdefault(name, EXPLODED * max(loss, 1.0))
                    if not math.isfinite(loss) or loss > largest[name]:
                        seen = [examples.keys[int(position)] for position in share.rows.positions.tolist()]
                        at = epoch * steps + number
                        raise VestigeError(_diverged(name, loss, epoch, at, seen, config, checkpoint_directory))
                    _update(state, learning_rate(config, step, steps), config.clip_norm)
                    plan.objective.after_step(state.model, (step + steps / count) / (config.epochs * steps))
                    losses[name].append(loss)
                    steering.noted(name, time.perf_counter() - start)
                advance(number < steps)
            step = (epoch + 1) * steps - 1
            figures = steering.after_epoch(epoch + 1, models, gradients.device)
            for name, log in logs.items():
                own = _figures(states[name].model, losses[name], learning_rate(config, step, steps))
                log.write(own | figures[name], step)
            over = steering.stopped or epoch + 1 == config.last_epoch
            if over or team.agree(time.monotonic() - kept > WORTH_KEEPING)[0]:
                team.first(partial(checkpoints.save, checkpoint_directory, epoch + 1, states, steering.state()))
                kept = time.monotonic()
            if over:
                break


def learning_rate(config: TrainingConfig, step: float, steps_per_epoch: int) -> float:
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
    gradients = _gradients(objective, config, Team())
    state = trainable(copy.deepcopy(model), config, gradients.device)
    batches = _batches(Plan(objective, slots[:1]), examples, config, 0, 0, Team())
    times = []
    for _, batch in zip(range(TRIAL_STEPS + 1), batches, strict=False):
        start = time.perf_counter()
        gradients(state.model, _work(batch, batch.shares[0], 0))
        _update(state, 0.0, config.clip_norm)
        times.append(time.perf_counter() - start)
    # The first step allocates; it is not like the others.
    step = float(np.median(times[1:] or times))
    parameters = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    # Each further model holds weights, gradients and two moments.
    memory = peak_memory() + (models - 1) * 4 * parameters
    return Estimate(step * models * config.last_epoch * batch_count(slots, config.batch_size), memory)


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, as one says it."""
    minutes, hours = seconds / 60, seconds / 3600
    if hours >= 2:
        return f"{hours:.1f} h"
    return f"{minutes:.1f} min" if minutes >= 2 else f"{np.ceil(seconds):.0f} s"


def peak_memory() -> int:
    """The most memory this process has held, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _gradients(objective: Objective, config: TrainingConfig, team: Team) -> Gradients:
    bfloat16 = config.precision == "bfloat16"
    return Gradients(objective, team.device(config.device), team, bfloat16, config.chunk_size)


def trainable(model: nn.Module, config: TrainingConfig, device: str) -> TrainingState:
    """A model on its device, in training mode, with its optimizer.

    Raises:
        VestigeError: a model that normalises over its batch, in chunks.
    """
    model.to(device).train()
    if config.chunk_size is not None:
        normed = [name for name, part in model.named_modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
        if normed:
            raise VestigeError(
                f"training.chunk_size: {normed[0]} normalises over the batch, which chunks part: leave it out"
            )
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decayed = [parameter for parameter in trained if parameter.ndim >= 2]
    others = [parameter for parameter in trained if parameter.ndim < 2]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    optimizer = kind(
        groups, lr=config.learning_rate, betas=(config.beta1, config.beta2), eps=config.epsilon, fused=True
    )
    return TrainingState(model, optimizer)


def _batches(
    plan: Plan, examples: Examples, config: TrainingConfig, seed: int, epoch: int, team: Team
) -> Iterator[Batch]:
    return epoch_batches(
        plan.slots,
        examples,
        View(seed, epoch),
        config.batch_size,
        plan.objective,
        apart=plan.apart,
        rank=team.rank,
        processes=team.size,
        turns=config.device == "cpu",
    )


def _work(batch: Batch, share: Share, seed: int) -> Work:
    return Work([view.rows(share.drawn) for view in batch.views], share.rows, share.counts, seed)


def _update(state: TrainingState, rate: float, clip_norm: float | None) -> None:
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    if clip_norm is not None:
        nn.utils.clip_grad_norm_(state.model.parameters(), clip_norm)
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)


def _figures(model: nn.Module, losses: Sequence[float], rate: float) -> dict[str, float]:
    scales = {name: scale.exp().item() for name, scale in logit_scales(model).items()}
    return {"loss": float(np.mean(losses)), "learning_rate": rate, **scales}


def _diverged(
    name: str, loss: float, epoch: int, step: int, keys: Sequence[str], config: TrainingConfig, kept: Path
) -> str:
    last = checkpoints.newest(kept)
    state = f"the state after epoch {last} is kept in {kept}" if last else "no epoch was finished"
    shown = ", ".join(keys[:3])
    return (
        f"training of {name} diverged: loss {loss} at step {step} (epoch {epoch + 1}) on {len(keys)} samples"
        f" ({shown}, ...); {state}: lower training.learning_rate (now {config.learning_rate:g}) and start a new run"
    )
