"""What a run trains on: its samples read through, divided among its models, and planted with faults."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vestige.config import RunConfig
from vestige.data import Source
from vestige.data.canvases import Redirected, canvas_of
from vestige.data.catalogue import Catalogue, open_canvases
from vestige.data.decoded import DecodedSource
from vestige.data.examples import Examples
from vestige.data.labels import LabelKind, Labels, numbered
from vestige.data.plant import Planted
from vestige.data.plant.record import MEDIA, Kind, together
from vestige.data.subset import Subset
from vestige.designs import Design, Role
from vestige.errors import VestigeError
from vestige.material.division import check_heldout, design_of
from vestige.material.faults import copied_samples, exchanged_samples
from vestige.material.reading import common_modalities, open_data, usable_samples
from vestige.models.trainable import Trainable

__all__ = ["Material", "common_modalities", "open_data", "prepare"]


@dataclass(frozen=True)
class Material:
    """What a run trains on.

    Attributes:
        catalogue: the usable samples, as they were before captions and media were exchanged.
        design: which model sees which.
        planted: the faults.
        captions: the captions every sample is trained on.
        labels: the labels every sample is trained on; None for models that learn none.
        samples: the samples as they are trained on, faults and all, decoded.
    """

    catalogue: Catalogue
    design: Design
    planted: Planted
    captions: Sequence[Sequence[str]]
    labels: Labels | None
    samples: DecodedSource

    @property
    def examples(self) -> Examples:
        return self.samples.examples

    def told(self) -> dict[str, str]:
        """By key, what a model is told of a sample in words: its labels, or its first caption."""
        if self.labels is None:
            words = [next(iter(texts), "") for texts in self.captions]
        else:
            words = [", ".join(names) for names in self.labels.names()]
        return dict(zip(self.catalogue.keys, words, strict=True))

    def external(self) -> list[str]:
        """Keys of the samples that no model sees."""
        roles = zip(self.design.keys, self.design.roles(), strict=True)
        return [key for key, role in roles if role == Role.EXTERNAL]


def prepare(source: Source, config: RunConfig, blueprint: Trainable, directory: Path) -> Material:
    """Read, divide and plant, or take up what was done of that in the directory of the run.

    Raises:
        VestigeError: samples that cannot be used, sizes that do not fit, or faults that cannot be planted.
    """
    copies = copied_samples(source, config, directory / "copies.parquet")
    source = copies.apply(source)
    catalogue = usable_samples(source, config, blueprint, directory)
    # Alignments between modalities are taken against held-out samples.
    heldout = len(blueprint.modalities) > 1
    design = design_of(catalogue, config, directory / "membership.parquet", heldout=heldout)
    if config.design.name == "file":
        catalogue = catalogue.of(design.keys)
    if heldout:
        check_heldout(catalogue, design, blueprint.modalities)
    exchanged = exchanged_samples(catalogue, design, copies, config, blueprint, directory / "planted.parquet")
    captions = [exchanged.captions.get(key, own) for key, own in zip(catalogue.keys, catalogue.captions, strict=True)]
    examples = _examples(source, catalogue, exchanged, captions, config, blueprint, directory)
    samples = DecodedSource(exchanged.apply(Subset(source, design.keys)), examples)
    labels = None if blueprint.labels is None else _labels(catalogue, exchanged, blueprint.labels)
    return Material(catalogue, design, together([copies, exchanged]), captions, labels, samples)


def _labels(catalogue: Catalogue, exchanged: Planted, kind: LabelKind) -> Labels:
    flipped = {fault.key: fault.planted for fault in exchanged.faults if fault.kind == Kind.LABEL}
    return numbered([flipped.get(key, own) for key, own in zip(catalogue.keys, catalogue.labels, strict=True)], kind)


def _examples(
    source: Source,
    catalogue: Catalogue,
    exchanged: Planted,
    captions: Sequence[Sequence[str]],
    config: RunConfig,
    blueprint: Trainable,
    directory: Path,
) -> Examples:
    kinds = {modality: canvas_of(read) for modality, read in blueprint.inputs.items()}
    canvases = open_canvases(source, catalogue, directory / "samples", kinds)
    sizes = dict(catalogue.sizes)
    row = {key: place for place, key in enumerate(catalogue.keys)}
    for modality in kinds:
        origin = np.arange(len(catalogue))
        for fault in exchanged.faults:
            if fault.kind in MEDIA and fault.kind == str(modality) and fault.donor is not None and fault.key in row:
                if fault.donor not in row:
                    raise VestigeError(
                        f"design.file: {fault.donor!r} lends its {modality} to {fault.key!r} and is not in the file:"
                        " leave out both, or neither"
                    )
                origin[row[fault.key]] = row[fault.donor]
        canvases[modality] = Redirected(canvases[modality], origin)
        sizes[modality] = sizes[modality][origin]
    return Examples(
        catalogue.keys,
        blueprint.inputs,
        canvases,
        sizes,
        captions,
        blueprint.tokenizer,
        policy=config.training.captions,
        augmentation=config.augmentation,
    )
