"""The models of a design, trained as one job: block by block, the models of a block in step."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.filesize import decimal
from torch import nn

from vestige.config import RunConfig
from vestige.data.inputs import PictureInput
from vestige.data.labels import Labels
from vestige.errors import VestigeError
from vestige.files import remove
from vestige.material import Material
from vestige.models import openclip
from vestige.models.blip import BlipBlueprint
from vestige.models.blueprint import Blueprint
from vestige.models.dino import DinoBlueprint
from vestige.models.supervised import SupervisedBlueprint
from vestige.models.trainable import Trainable
from vestige.progress import say
from vestige.samples import Modality
from vestige.training.batches import batch_count
from vestige.training.blip import ContrastAndMatch
from vestige.training.dino import SelfDistillation
from vestige.training.loop import Estimate, duration, estimate, train_block
from vestige.training.mitigations.masking import TextMask
from vestige.training.mitigations.notes import FILE as MITIGATIONS
from vestige.training.objectives import Captioning, Contrastive, Objective, PairwiseContrastive, Sigmoid
from vestige.training.start import Start
from vestige.training.steering import Place, Steering
from vestige.training.supervised import Classification
from vestige.training.team import Team

EPOCHS = "epochs"
"""Folder of a run with the models as they were after some epochs."""


def train_design(
    material: Material,
    config: RunConfig,
    blueprint: Trainable,
    directory: Path,
    team: Team | None = None,
    *,
    heldout: Sequence[str] | None = None,
) -> None:
    """Train the models of a design, or what is left of them, into `models/<name>/` of a run's directory.

    Args:
        material: what they are trained on.
        config: of the run.
        blueprint: what is built.
        directory: of the run.
        team: the processes that train together; this one alone when not given.
        heldout: keys that mitigations and early stopping may compare with; the external samples when not given.

    Raises:
        VestigeError: a batch larger than the data, weights to start from that do not fit, or a training that diverged.
    """
    team = team or Team()
    design, examples, blueprint = material.design, material.examples, blueprint.for_labels(material.labels)
    folders = {name: directory / "models" / name for name in design.models}
    if all(folder.exists() for folder in folders.values()):
        remove(directory / "checkpoints")
        return
    start = Start(blueprint, config)
    first = start.build(config.seed, design.models[0])
    if blueprint.tokenizer is not None:
        _warn_of_long_captions(material.captions, blueprint.tokenizer, blueprint.description)
    slots, objective = design.slots(), objective_of(blueprint, material.labels)
    if slots.shape[1] < config.training.batch_size:
        raise VestigeError(
            f"training.batch_size is {config.training.batch_size} and a model sees {slots.shape[1]} samples: lower it"
        )
    cost = estimate(first, len(design.models), slots, examples, objective, config.training)
    batches = batch_count(slots, config.training.batch_size)
    trained = "1 model" if len(design.models) == 1 else f"{len(design.models)} models"
    say(
        f"training {trained} x {config.training.last_epoch} epochs x {batches} batches:"
        f" about {duration(cost.seconds)}, {decimal(cost.memory)} of memory"
    )
    known = set(material.external() if heldout is None else heldout)
    held = np.array([place for place, key in enumerate(examples.keys) if key in known], np.int64)
    share = config.mitigations.text_mask
    mask = TextMask.of(blueprint.tokenizer, share) if share and blueprint.tokenizer is not None else None
    for block in sorted(set(design.blocks)):
        rows = [model for model, own in enumerate(design.blocks) if own == block]
        names = [design.models[row] for row in rows]
        if all(folders[name].exists() for name in names):
            continue
        models = {name: start.build(config.seed + block, name) for name in names}
        checkpoints = directory / "checkpoints" / f"block-{block}"
        steering = Steering(
            slots[rows],
            examples,
            objective,
            config.training,
            mitigations=config.mitigations,
            heldout=held,
            mask=mask,
            place=Place(directory / MITIGATIONS, block, partial(_keep_epoch, models, blueprint, directory)),
            team=team,
        )
        train_block(
            models,
            slots[rows],
            examples,
            objective,
            config.training,
            seed=config.seed + block,
            checkpoint_directory=checkpoints,
            log_directory=directory / "tensorboard",
            team=team,
            steering=steering,
        )
        team.first(partial(_keep, models, blueprint, folders, checkpoints))
    team.first(partial(remove, directory / "checkpoints"))


def cost_of(material: Material, config: RunConfig, blueprint: Trainable) -> Estimate:
    """What training the models of a design takes, from a few steps of one."""
    design, blueprint = material.design, blueprint.for_labels(material.labels)
    model, objective = blueprint.build(config.seed), objective_of(blueprint, material.labels)
    return estimate(model, len(design.models), design.slots(), material.examples, objective, config.training)


def objective_of(blueprint: Trainable, labels: Labels | None = None) -> Objective:
    """What models of this blueprint are trained to do, to samples with these labels."""
    match blueprint:
        case Blueprint():
            return _contrast(blueprint)
        case DinoBlueprint(config=config):
            read = blueprint.inputs[Modality.IMAGE]
            assert isinstance(read, PictureInput)
            return SelfDistillation(config, read.size, blueprint.local_size)
        case BlipBlueprint():
            return ContrastAndMatch()
        case SupervisedBlueprint():
            assert labels is not None
            return Classification(labels)
    raise TypeError(f"no objective for {type(blueprint).__name__}")


def _contrast(blueprint: Blueprint) -> Objective:
    if not blueprint.plain:
        return PairwiseContrastive()
    if "multimodal_cfg" in blueprint.description:
        return Captioning()
    # OpenCLIP's descriptions say so: models with a bias to their logits are trained with SigLIP's loss.
    return Sigmoid() if blueprint.description.get("init_logit_bias") is not None else Contrastive()


def epoch_folder(directory: Path, epoch: int, name: str) -> Path:
    """Where a run keeps a model as it was after an epoch."""
    return directory / EPOCHS / f"{epoch:05d}" / name


def _keep_epoch(models: Mapping[str, nn.Module], blueprint: Trainable, directory: Path, epoch: int) -> None:
    for name, model in models.items():
        blueprint.save(model, epoch_folder(directory, epoch, name))


def _keep(
    models: Mapping[str, nn.Module], blueprint: Trainable, folders: Mapping[str, Path], checkpoints: Path
) -> None:
    for name, model in models.items():
        blueprint.save(model, folders[name])
    remove(checkpoints)


def _warn_of_long_captions(
    captions: Sequence[Sequence[str]], tokenize: openclip.Tokenizer, description: Mapping[str, Any]
) -> None:
    context = description["text_cfg"].get("context_length", 77)
    cut = openclip.count_cut([text for texts in captions for text in texts], tokenize, context)
    if cut:
        total = sum(map(len, captions))
        say(f"{cut} of {total} captions are longer than the {context} tokens the model reads: the rest is cut off")
