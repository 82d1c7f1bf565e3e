"""`vestige demo`: two small models on emoji, and what one of them memorized."""

from collections.abc import Sequence
from pathlib import Path

from vestige.config import PlantConfig, RunConfig
from vestige.training.config import TrainingConfig
from vestige.verbs.configured import settings
from vestige.verbs.run import execute_and_show


def main(arguments: Sequence[str]) -> None:
    default = RunConfig(plant=PlantConfig(captions=0.1), training=TrainingConfig(epochs=10, learning_rate=2e-3))
    execute_and_show(settings("vestige demo", default, Path("runs/demo"), arguments))
