"""Watching the units of a model: channels after each non-linearity, averaged over tokens or space."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import torch
from open_clip.transformer import QuickGELU
from torch import Tensor, nn

NON_LINEARITIES = (nn.GELU, QuickGELU, nn.ReLU, nn.SiLU)
# Where transformers has classes of its own for them; named, so that the library need not be there.
THEIRS = "transformers.activations"


@contextmanager
def watched_units(model: nn.Module, seen: dict[str, Tensor]) -> Iterator[None]:
    """While the block runs, every forward pass leaves in `seen`, by layer, the activations [B, U] of its units.

    A layer is named after its non-linearity's place in the model; one that is passed several times in a forward pass
    gets a number after the first.
    """
    with ExitStack() as hooks:
        for name, module in model.named_modules():
            if isinstance(module, NON_LINEARITIES) or type(module).__module__ == THEIRS:

                def keep(_module: nn.Module, _inputs: object, output: Tensor, name: str = name) -> None:
                    passes = sum(key.partition("#")[0] == name for key in seen)
                    seen[f"{name}#{passes}" if passes else name] = _averaged(output)

                hooks.callback(module.register_forward_hook(keep).remove)
        yield


def one_row_each(seen: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
    """The activations with a row a sample: the mean over the frames of its film.

    Layers that saw only some of the samples, as those for long sounds alone, have no row for each and are left out.
    """
    return {
        layer: own if len(own) == count else own.unflatten(0, (count, -1)).mean(1)
        for layer, own in seen.items()
        if len(own) % count == 0
    }


def _averaged(output: Tensor) -> Tensor:
    """[B, U]: tokens [B, L, U] are averaged over L, maps [B, U, H, W] over H and W."""
    averaged = output.mean(1) if output.ndim == 3 else output.flatten(2).mean(2) if output.ndim > 3 else output
    return averaged.detach().to("cpu", torch.float32)
