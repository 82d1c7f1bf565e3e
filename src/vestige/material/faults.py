"""The faults that a run plants: copies before its samples are divided, exchanges and flipped labels after."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from vestige.config import PlantConfig, RunConfig, size_of
from vestige.data import Source
from vestige.data.catalogue import Catalogue
from vestige.data.plant import Planted, copy_samples, exchange_captions, exchange_media, flip_labels
from vestige.data.plant.record import together
from vestige.designs import Design, Role
from vestige.errors import VestigeError
from vestige.models.trainable import Trainable
from vestige.samples import Modality, Sample


def copied_samples(source: Source, config: RunConfig, path: Path) -> Planted:
    """Samples that are there twice; drawn among all, before anything is divided."""
    _taken_over(config, path)
    if path.exists():
        return Planted.load(path)
    counts = {near: getattr(config.plant, name) for name, near in (("copies", False), ("near_copies", True))}
    if not any(counts.values()):
        return Planted()
    # Media are let go at once: those of all samples would not fit.
    known = [(s.key, s.group, Modality.IMAGE in s.media) for s in source.samples(source.keys())]
    keys, groups = [key for key, _, _ in known], [group for _, group, _ in known]
    parts: list[Planted] = []
    for near, count in counts.items():
        used = {fault.donor for part in parts for fault in part.faults}
        able = [row for row, (key, _, picture) in enumerate(known) if key not in used and (picture or not near)]
        parts.append(
            copy_samples(
                [keys[row] for row in able],
                [groups[row] for row in able],
                count=size_of(count, len(known)),
                seed=config.seed,
                near=near,
                group=config.plant.copy_group,
                taken=keys,
            )
        )
    planted = together(parts)
    planted.save(path)
    return planted


def exchanged_samples(
    catalogue: Catalogue,
    design: Design,
    copies: Planted,
    config: RunConfig,
    blueprint: Trainable,
    path: Path,
) -> Planted:
    """Exchange captions or media, or flip labels: among the candidates of `roles`, else among all but the external.

    Those designs score every sample that some model saw. No sample has two faults: copies, and what was copied, are
    left as they are.
    """
    _taken_over(config, path)
    if path.exists():
        return Planted.load(path)
    chosen = {Role.CANDIDATE} if design.name == "roles" else set(Role) - {Role.EXTERNAL}
    at = [sample for sample, role in enumerate(design.roles()) if role in chosen]
    for modality, value in _exchanges(config.plant).items():
        if value and modality not in blueprint.modalities:
            name = "captions" if modality == Modality.TEXT else modality
            raise VestigeError(
                f"plant.{name}: the models of this run do not read {modality}: name it in modalities, or plant none"
            )
    if config.plant.labels and blueprint.labels != "label":
        raise VestigeError(
            "plant.labels flips the one label that a sample has, and the models of this run learn none such: set"
            " paradigm to supervised with supervised.labels label, or plant none"
        )
    counts = {modality: size_of(value, len(at)) for modality, value in _exchanges(config.plant).items()}
    copied = {key for fault in copies.faults for key in (fault.key, fault.donor)}
    rest = [sample for sample in at if catalogue.keys[sample] not in copied]
    exchanged = _drawn(catalogue, rest, counts, config.seed)
    flips = size_of(config.plant.labels, len(at))
    planted = together([exchanged, _flipped(catalogue, rest, exchanged, flips, config.seed)])
    planted.save(path)
    return planted


def _flipped(catalogue: Catalogue, at: Sequence[int], exchanged: Planted, count: int, seed: int) -> Planted:
    if not count:
        return Planted()
    rest = [sample for sample in at if catalogue.keys[sample] not in exchanged.kinds]
    keys, labels = [catalogue.keys[sample] for sample in rest], [catalogue.labels[sample][0] for sample in rest]
    return flip_labels(keys, labels, count=count, seed=seed)


def _exchanges(plant: PlantConfig) -> dict[Modality, float]:
    """How much of each modality is exchanged."""
    media = {modality: getattr(plant, modality) for modality in Modality if modality != Modality.TEXT}
    return {Modality.TEXT: plant.captions} | media


def _drawn(catalogue: Catalogue, at: Sequence[int], counts: Mapping[Modality, int], seed: int) -> Planted:
    texts = [sample for sample in at if catalogue.captions[sample]]
    parts = [
        exchange_captions(
            [catalogue.keys[sample] for sample in texts],
            [catalogue.groups[sample] for sample in texts],
            [catalogue.captions[sample] for sample in texts],
            count=counts[Modality.TEXT],
            seed=seed,
        )
    ]
    for modality in (Modality.IMAGE, Modality.AUDIO, Modality.VIDEO):
        used = {fault.key for part in parts for fault in part.faults}
        rest = [sample for sample in at if catalogue.keys[sample] not in used]
        # What tells media apart stands for them: none is read again.
        stand_ins = [
            Sample(catalogue.keys[sample], catalogue.groups[sample], {modality: content.encode()})
            for sample in rest
            if (content := catalogue.contents.get(modality, {}).get(sample)) is not None
        ]
        parts.append(exchange_media(stand_ins, modality, count=counts[modality], seed=seed))
    return together(parts)


def _taken_over(config: RunConfig, path: Path) -> None:
    """Take over the faults that lie beside the file of the design."""
    given = None if config.design.file is None else Path(config.design.file).with_name(path.name)
    if given is not None and given.exists() and not path.exists():
        Planted.load(given).save(path)
