"""Which model of a run sees which samples: the design that is asked for, filled with the samples there are."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vestige import designs
from vestige.config import RunConfig, size_of
from vestige.data.catalogue import Catalogue
from vestige.designs import Design
from vestige.errors import VestigeError
from vestige.material.reading import having
from vestige.progress import say
from vestige.samples import Modality


def design_of(catalogue: Catalogue, config: RunConfig, path: Path, *, heldout: bool) -> Design:
    """The design of a run, drawn once and kept.

    Args:
        catalogue: the usable samples.
        config: of the run.
        path: where the design is kept.
        heldout: whether the models are compared on samples that they did not see.

    Raises:
        VestigeError: sizes or a file that do not fit the samples, or no samples held out where some are needed.
    """
    if path.exists():
        return Design.load(path)
    design = _filled(catalogue, config)
    if heldout and design.member.any(axis=0).all():
        if design.member.all(axis=0).any():
            raise VestigeError(
                "the design keeps no external samples, and the alignment needs a held-out set: set design.external"
            )
        say(
            "no external samples: what a model did not see is its held-out set, every sample can get a score, and there"
            " are no p-values"
        )
    design.save(path)
    return design


def check_heldout(catalogue: Catalogue, design: Design, modalities: Sequence[Modality]) -> None:
    """Refuse before training what cannot be scored after it: alignments are taken against the held-out samples."""
    external = np.asarray(design.member.sum(axis=0) == 0)
    # Without external samples, what a model did not see is held out from it (`vestige.unseen`).
    sets = external[None] if external.any() else ~design.member
    for modality in modalities:
        if not (having(catalogue, modality) & sets).any(axis=1).all():
            raise VestigeError(
                f"no held-out sample has {modality}: raise design.external, or leave {modality} out of --modalities"
            )


def _filled(catalogue: Catalogue, config: RunConfig) -> Design:
    """The design, with sets as large as asked for; a share is a wish, and becomes the next smaller size that fits."""
    most = max(Counter(catalogue.groups).values())
    for less in range(most):
        try:
            return _drawn_design(catalogue, config, less)
        except designs.UnfillableSize:
            if less == most - 1:
                raise
    raise AssertionError("a group has a sample")


def _design_of_file(catalogue: Catalogue, name: str | None) -> Design:
    """The design that a file holds, if its samples are among those of the data.

    Raises:
        VestigeError: no such file, not the membership of a design, or one of other samples.
    """
    if name is None or not Path(name).is_file():
        raise VestigeError(
            f"design.file: {'none is named' if name is None else f'no file {name}'}: name a membership.parquet"
        )
    design, there = Design.load(Path(name)), set(catalogue.keys)
    absent = [key for key in design.keys if key not in there]
    if absent:
        raise VestigeError(
            f"{name}: {len(absent)} of its {len(design.keys)} samples are not in the data, the first is {absent[0]!r}:"
            " is it of these data?"
        )
    return design


def _drawn_design(catalogue: Catalogue, config: RunConfig, less: int) -> Design:
    keys, groups, setting, n = catalogue.keys, catalogue.groups, config.design, len(catalogue)

    def size(value: float) -> int:
        return max(size_of(value, n) - less, 1) if 0 < value < 1 else size_of(value, n)

    external, seed = size(setting.external), config.seed
    match setting.name:
        case "roles":
            return designs.roles(keys, groups, candidates=size(setting.candidates), external=external, seed=seed)
        case "halves":
            return designs.halves(keys, groups, pairs=setting.pairs, external=external, seed=seed)
        case "subsets":
            return designs.subsets(
                keys, groups, models=setting.models, share=setting.share, external=external, seed=seed
            )
        case "file":
            return _design_of_file(catalogue, setting.file)
        case "disjoint":
            return designs.disjoint(keys, groups, size=size(setting.candidates), seed=seed)
