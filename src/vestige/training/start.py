"""What a training starts from: fresh weights, or those of an earlier one (fine-tuning)."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from vestige.config import RunConfig
from vestige.errors import VestigeError
from vestige.models.openclip_names import WEIGHTS_FILES
from vestige.models.trainable import Trainable
from vestige.models.weights import fill, read_weights
from vestige.training.mitigations.temperature import fix_temperature


@dataclass(frozen=True)
class Start:
    """The models of a run before their first step.

    Attributes:
        blueprint: what is built.
        config: of the run.
    """

    blueprint: Trainable
    config: RunConfig

    def build(self, seed: int, name: str) -> nn.Module:
        """A model of that name, from its seed or from `training.init_from`.

        Raises:
            VestigeError: no weights there, or weights of another architecture.
        """
        model = self.blueprint.build(seed)
        if self.config.training.init_from is not None:
            path = weights_file(Path(self.config.training.init_from), name)
            fill(model, read_weights(path), path)
        if self.config.mitigations.logit_scale is not None:
            fix_temperature(model, self.config.mitigations.logit_scale)
        return model


def weights_file(init_from: Path, name: str) -> Path:
    """Where the weights lie that the model of that name starts from.

    Args:
        init_from: a run; or a checkpoint, a folder or a file, that serves all models.
        name: of the model.

    Raises:
        VestigeError: nothing there, or a run without a model of that name.
    """
    if not init_from.exists():
        raise VestigeError(f"training.init_from {init_from}: no such run or checkpoint")
    folder = init_from
    if (init_from / "config.yaml").exists():
        folder = init_from / "models" / name
        if not folder.is_dir():
            there = sorted(own.name for own in (init_from / "models").glob("*") if not own.name.startswith("."))
            raise VestigeError(
                f"training.init_from {init_from}: the run has no model {name} (it has {', '.join(there) or 'none'}):"
                " name one checkpoint for all models, or a run of the same design"
            )
    if folder.is_file():
        return folder
    found = next((folder / own for own in WEIGHTS_FILES if (folder / own).is_file()), None)
    if found is None:
        raise VestigeError(f"training.init_from {folder}: no weights there (looked for {', '.join(WEIGHTS_FILES)})")
    return found
