"""Mitigation after training: remove samples and fine-tune on the rest (Wang et al., "MultiMem", ECCV 2026).

The paper removes the N most memorized samples of a trained model and trains it on for some epochs on what is left,
against removing as many at random, those of lowest CLIP similarity, and those of highest pairwise scores. Which samples
those are is said by whoever ranks them; here they are left out and the models of a run trained on, each from its own
weights.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from vestige.config import RunConfig, anchored, load_config
from vestige.designs import Design
from vestige.errors import VestigeError
from vestige.files import write_json, write_text
from vestige.material import Material, open_data, prepare
from vestige.models.architectures import architecture
from vestige.models.blueprint import Blueprint, load_encoder
from vestige.training.config import TrainingConfig
from vestige.training.job import train_design
from vestige.training.mitigations.config import MitigationConfig

REMOVED = "removed.txt"


def fine_tune(
    run: Path,
    out: Path,
    *,
    remove: Collection[str],
    training: TrainingConfig,
    mitigations: MitigationConfig | None = None,
) -> dict[str, Path]:
    """Train the models of a run on, from their weights, without some of their samples.

    `out` gets `models/<name>/`, `membership.parquet` as it was (the models have seen what is removed, so it stays what
    it was to them), `removed.txt` with a key a line, and `fine-tuning.json`. Killed, it goes on to the same bits.

    Args:
        run: a finished run.
        out: a new or empty folder, or that of this very fine-tuning.
        remove: keys of training samples. What shares their group goes with them, or a copy would stay.
        training: how to train on; `init_from` is the run.
        mitigations: none when not given.

    Returns:
        The folder of every model.

    Raises:
        VestigeError: no run there, keys that it did not train on, or a folder of another fine-tuning.
    """
    material, config, blueprint = trained_on(run)
    design, left = material.design, without(material.design, remove)
    changed = (design.member != left.member).any(axis=0)
    gone = [key for key, removed in zip(design.keys, changed, strict=True) if removed]
    training = replace(training, init_from=str(run))
    config = anchored(replace(config, training=training, mitigations=mitigations or MitigationConfig()))
    _claim(out, gone, design, {"run": str(run), "removed": len(gone)})
    train_design(replace(material, design=left), config, blueprint, out, heldout=material.external())
    return {name: out / "models" / name for name in design.models}


def without(design: Design, remove: Collection[str]) -> Design:
    """The design without the groups of some samples: no model sees them.

    Raises:
        VestigeError: keys that no model sees, or nothing left.
    """
    position = {key: place for place, key in enumerate(design.keys)}
    strange = [key for key in remove if key not in position or not design.member[:, position[key]].any()]
    if strange:
        raise VestigeError(f"to be removed: {strange[0]!r} is no training sample of this run")
    groups = {design.groups[position[key]] for key in remove}
    stays = np.array([group not in groups for group in design.groups], np.bool_)
    member = design.member & stays
    if not member.any(axis=1).all():
        raise VestigeError(f"to be removed: {len(remove)} samples leave a model without any: remove fewer")
    return replace(design, member=member)


def trained_on(run: Path) -> tuple[Material, RunConfig, Blueprint]:
    """What a run trained on, its configuration, and what it built.

    Raises:
        VestigeError: no run there, or one that has not trained its models.
    """
    if not (run / "config.yaml").exists():
        raise VestigeError(f"{run}: no run lies there (no config.yaml)")
    config = load_config(run / "config.yaml")
    if not (run / "membership.parquet").exists() or not (run / "models").is_dir():
        raise VestigeError(f"{run}: the run is not trained: vestige run {run / 'config.yaml'} goes on")
    if config.paradigm != "contrastive":
        raise VestigeError(
            f"{run}: fine-tuning is for contrastive models, and paradigm is {config.paradigm}: train anew"
        )
    design = Design.load(run / "membership.parquet")
    modalities = load_encoder(run / "models" / design.models[0]).modalities
    blueprint = Blueprint(architecture(config.model), modalities)
    return prepare(open_data(config.data), config, blueprint, run), config, blueprint


def _claim(out: Path, gone: Collection[str], design: Design, about: Mapping[str, object]) -> None:
    """The folder is this fine-tuning's."""
    listed, path = "".join(f"{key}\n" for key in gone), out / REMOVED
    if path.exists():
        if path.read_text(encoding="utf-8") != listed:
            raise VestigeError(
                f"{out} holds a fine-tuning without other samples: name a new folder, or remove this one"
            )
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise VestigeError(f"{out} is not empty and holds no fine-tuning: name a new folder")
    out.mkdir(parents=True, exist_ok=True)
    design.save(out / "membership.parquet")
    write_json(out / "fine-tuning.json", dict(about))
    write_text(path, listed)
