"""The linear probe of CLIPMem (Wang et al., ICLR 2025, Table 2): LARS, learning rate 1.6 at batch 4,096, 45 epochs.

    eta(t) = eta_0 t / T_warm up to T_warm steps (5 epochs), then eta_0 (1 + cos(pi (t - T_warm) / (T - T_warm))) / 2

What the table leaves open is taken from SimSiam (Chen & He, CVPR 2021), whose linear probe has this rate at this batch:
momentum 0.9, no weight decay, weights drawn with deviation 0.01, trust coefficient 0.001, and the rate in proportion to
the batch. MAE (He et al., CVPR 2022) puts a batch normalisation without affine parameters before the layer, with which
the scale of the features does not matter: it is there by default, and can be left out.

Shapes: N samples, d dimensions, C classes.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vestige.metrics import checks


@dataclass(frozen=True)
class LarsConfig:
    """The schedule of the probe; the defaults are the paper's."""

    learning_rate: float = 1.6
    """At a batch of 4,096; at others in proportion."""
    batch_size: int = 4096
    """Samples of a step; all of them where there are fewer."""
    epochs: int = 45
    """Passes over the training part."""
    warmup_epochs: int = 5
    """Of these, passes during which the rate rises."""
    batch_norm: bool = True
    """Normalise every batch before the linear layer (MAE)."""


def lars_probe(
    train: Tensor, labels: Tensor, test: Tensor, classes: int, *, config: LarsConfig | None = None, seed: int = 0
) -> Tensor:
    """Train the probe on frozen features and score others, float32 [T, C].

    Args:
        train: features [N, d], N >= 2.
        labels: long [N].
        test: features [T, d].
        classes: C, at least 2.
        config: the schedule.
        seed: of the weights and of the batches.

    Raises:
        ValueError: wrong shape or dtype, NaN, labels outside [0, C).
    """
    # timm is OpenCLIP's dependency; importing it takes a second.
    from timm.optim.lars import Lars

    config = config or LarsConfig()
    checks.numbers("train", train, "[N, d]", (None, None))
    n, d = train.shape
    checks.count("train: number of samples", n, least=2)
    checks.integers("labels", labels, "[N]", (n,), low=0, high=classes)
    checks.numbers("test", test, "[T, d]", (None, d))
    generator = torch.Generator().manual_seed(seed)
    # Its weights are drawn below, from the seed alone.
    linear = nn.Linear(d, classes, device="meta").to_empty(device="cpu")
    with torch.no_grad():
        linear.weight.copy_(torch.randn(classes, d, generator=generator) * 0.01)
        linear.bias.zero_()
    norm = nn.BatchNorm1d(d, affine=False) if config.batch_norm else nn.Identity()
    probe = nn.Sequential(norm, linear).to(train.device).train()
    size = min(config.batch_size, n)
    # Only the weights adapt to their norm, as in SimSiam's and MAE's code: a bias begins at 0, and would stay there.
    groups = [
        {"params": [linear.weight], "momentum": 0.9, "always_adapt": True},
        {"params": [linear.bias], "momentum": 0.9, "always_adapt": False},
    ]
    optimizer = Lars(groups, lr=0.0)
    steps = n // size
    for epoch in range(config.epochs):
        order = torch.randperm(n, generator=generator).to(train.device)
        for step in range(steps):
            rows = order[step * size : (step + 1) * size]
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(epoch + step / steps, config) * size / 4096
            optimizer.zero_grad()
            nn.functional.cross_entropy(probe(train[rows].float()), labels[rows]).backward()
            optimizer.step()
    probe.eval()
    with torch.no_grad():
        return torch.cat([probe(block.float()) for block in test.split(65536)])


def learning_rate(epoch: float, config: LarsConfig) -> float:
    """Eta at a moment of training, in epochs, at a batch of 4,096."""
    if epoch < config.warmup_epochs:
        return config.learning_rate * epoch / config.warmup_epochs
    done = (epoch - config.warmup_epochs) / max(config.epochs - config.warmup_epochs, 1e-9)
    return config.learning_rate * (1 + math.cos(math.pi * min(done, 1.0))) / 2
