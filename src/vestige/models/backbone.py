"""What a vision tower gives before its projection into the shared space: the backbone features of the Déjà Vu paper."""

from collections.abc import Callable

from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from vestige.errors import VestigeError


def before_projection(visual: nn.Module, run: Callable[[], Tensor]) -> Tensor:
    """Features [B, b] that the projection is applied to: the pooled tokens of a transformer (768 of a ViT-B), the input
    of a timm model's head, the last map of a ResNet averaged over space.

    Args:
        visual: OpenCLIP's vision tower.
        run: passes a batch through it.

    Raises:
        VestigeError: the tower has no projection that is known.
    """
    if isinstance(visual, VisionTransformer):
        projection, visual.proj = visual.proj, None
        try:
            return run()
        finally:
            visual.proj = projection
    if isinstance(visual, TimmModel):
        for name in ("proj", "mlp"):
            if name in visual.head._modules:
                return _input_of(visual.head._modules[name], run)
    if isinstance(visual, ModifiedResNet):
        return _input_of(visual.attnpool, run).flatten(2).mean(2)
    raise VestigeError(
        f"{type(visual).__name__}: Vestige does not know the layer before the projection of this tower: probe the"
        " embedding with --layers projector"
    )


def _input_of(module: nn.Module | None, run: Callable[[], Tensor]) -> Tensor:
    assert module is not None
    seen: list[Tensor] = []
    hook = module.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    try:
        run()
    finally:
        hook.remove()
    return seen[0]
