"""What a configuration asks for: what is built and what it is scored by, refused here if it cannot be."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vestige.alignments import metrics_named
from vestige.classification import LABELMEM
from vestige.config import RunConfig, anchored
from vestige.data import Source
from vestige.errors import VestigeError
from vestige.material import Material, common_modalities, open_data
from vestige.models.blueprint import blueprint_of
from vestige.models.trainable import Trainable
from vestige.samples import Modality
from vestige.training.mitigations.config import MitigationConfig


@dataclass(frozen=True)
class Plan:
    """What a run does.

    Attributes:
        config: its configuration, in full: paths are absolute, and what follows from other settings is set.
        blueprint: what is built.
        metrics: what it is scored by; the first is the one the report is about.
    """

    config: RunConfig
    blueprint: Trainable
    metrics: tuple[str, ...]


def planned(config: RunConfig) -> Plan:
    """The plan of a configuration, before its samples are read.

    Raises:
        VestigeError: settings that do not go together, or samples of too few modalities.
    """
    config = anchored(config)
    if config.training.init_from is not None and not Path(config.training.init_from).exists():
        raise VestigeError(f"training.init_from {config.training.init_from}: no such run or checkpoint")
    if config.paradigm != "contrastive" and config.training.init_from is not None:
        # The other paradigms keep their encoder alone, or under names that a fresh model does not have.
        raise VestigeError(
            f"training.init_from is for contrastive models, and paradigm is {config.paradigm}: train anew without it"
        )
    if config.paradigm != "contrastive" and config.mitigations != MitigationConfig():
        raise VestigeError(f"mitigations are for contrastive models, and paradigm is {config.paradigm}: leave them out")
    contrasted = [name for name in config.metrics if name != LABELMEM]
    if contrasted:
        metrics_named(contrasted)
    blueprint = blueprint_of(config, lambda: _found(open_data(config.data), config))
    metrics = config.metrics or blueprint.metrics[:1]
    _check_fit(metrics, blueprint, config)
    return Plan(_with_views(config, metrics), blueprint, tuple(metrics))


def check_material(plan: Plan, material: Material) -> None:
    """Refuse before training a metric that could not be computed after it.

    Raises:
        VestigeError: a metric needs views or modalities that the samples do not have.
    """
    if "sslmem" in plan.metrics and not plan.config.embedding.views and plan.config.embedding.captions != "pool":
        raise VestigeError("sslmem compares views, and none are embedded: set embedding.views to 2 or more")
    if "clipmem" in plan.metrics:
        present = material.examples.present
        for modality in (Modality.IMAGE, Modality.TEXT):
            if modality not in present:
                raise VestigeError(
                    f"clipmem compares pictures and texts, and the models embed no {modality}: use multimem"
                )
            if lacking := int((~present[modality]).sum()):
                raise VestigeError(
                    f"clipmem needs a picture and a text of every sample, and {lacking} of {len(present[modality])}"
                    f" lack their {modality}: use multimem, whose column multimem_image_text is the same for those that"
                    " have both"
                )


def _check_fit(metrics: Sequence[str], blueprint: Trainable, config: RunConfig) -> None:
    """Refuse metrics that no models of this paradigm can be scored by."""
    for name in metrics:
        if name not in blueprint.metrics:
            raise VestigeError(
                f"metrics: {name} cannot be computed of {config.paradigm} models, which embed"
                f" {' and '.join(blueprint.modalities)}: use {' or '.join(blueprint.metrics)}"
            )


def _with_views(config: RunConfig, metrics: Sequence[str]) -> RunConfig:
    """The configuration with the two views that sslmem compares at least, where it was not asked for by name."""
    if config.metrics or "sslmem" not in metrics or config.embedding.views:
        return config
    return replace(config, embedding=replace(config.embedding, views=2))


def _found(source: Source, config: RunConfig) -> tuple[Modality, ...]:
    """The modalities of the samples; with fewer than two, what the user can do about it."""
    found = common_modalities(source)
    if len(found) < 2:
        lack = "captions" if Modality.TEXT not in found else "pictures, sounds or films of a known ending"
        raise VestigeError(
            f"{config.data.source}: a contrastive model needs two modalities, found {', '.join(found) or 'none'}:"
            f" most of the samples lack {lack}"
        )
    return found
