"""A fixed temperature (Jayaraman et al., 2024, section 5: logit scales of 25, 100 and 200 instead of a learned one)."""

import math

import torch
from torch import nn

from vestige.training.objectives import logit_scales


@torch.no_grad()
def fix_temperature(model: nn.Module, scale: float) -> None:
    """Give a model a logit scale (inverse temperature) that training does not change, of every pair of modalities.

    The parameters that hold its logarithm are set and need no gradient any more: leave them out of the optimizer, or
    call this before it is built. CLIP's largest scale of 100 binds learned scales alone.

    Args:
        model: with parameters named `logit_scale...`, as OpenCLIP's models and `Towers` have.
        scale: what similarities are multiplied with.

    Raises:
        ValueError: the model has no such parameter, or the scale is not a number above 0.
    """
    if not 0 < scale < math.inf:
        raise ValueError(f"scale: a number greater than 0, not {scale}")
    found = logit_scales(model)
    if not found:
        raise ValueError("model: has no parameter logit_scale")
    for parameter in found.values():
        parameter.fill_(math.log(scale))
        parameter.requires_grad_(False)
