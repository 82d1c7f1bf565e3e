"""A finished run, opened to be scored, evaluated or trained further."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vestige.config import RunConfig, load_config
from vestige.data.decoded import DecodedSource
from vestige.designs import Design
from vestige.errors import VestigeError
from vestige.material import Material, open_data, prepare
from vestige.models import CanvasEncoder
from vestige.models.blueprint import blueprint_of, load_encoder


@dataclass(frozen=True)
class OpenRun:
    """A finished run, opened to be scored further.

    Attributes:
        config: its configuration.
        design: who saw what.
        encoders: its models by name.
        material: what they were trained on, planted captions and all.
    """

    config: RunConfig
    design: Design
    encoders: Mapping[str, CanvasEncoder]
    material: Material

    @property
    def samples(self) -> DecodedSource:
        """The samples as they were trained on."""
        return self.material.samples


def open_run(directory: Path) -> OpenRun:
    """Open a run whose models are trained.

    Raises:
        VestigeError: no run lies there, or it is not finished.
    """
    if not (directory / "config.yaml").exists():
        raise VestigeError(f"{directory}: no run lies there (no config.yaml)")
    config = load_config(directory / "config.yaml")
    if not (directory / "scores.parquet").exists():
        raise VestigeError(f"{directory}: the run is not finished: vestige run {directory / 'config.yaml'} goes on")
    design = Design.load(directory / "membership.parquet")
    encoders = encoders_of(design, config, directory)
    modalities = next(iter(encoders.values())).modalities
    material = prepare(open_data(config.data), config, blueprint_of(config, lambda: modalities), directory)
    return OpenRun(config, design, encoders, material)


def encoders_of(design: Design, config: RunConfig, directory: Path) -> dict[str, CanvasEncoder]:
    """The trained models of a run by name."""
    device = config.embedding.device
    return {name: load_encoder(directory / "models" / name, device=device) for name in design.models}
