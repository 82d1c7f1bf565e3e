"""What a run trains on: its samples read through, divided among its models, and planted with faults."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vestige import designs
from vestige.config import DataConfig, PlantConfig, RunConfig, size_of
from vestige.data import Source, open_source
from vestige.data.canvases import Redirected, canvas_of
from vestige.data.catalogue import Catalogue, kept_bytes, open_canvases, read_catalogue
from vestige.data.decoded import DecodedSource
from vestige.data.examples import Examples
from vestige.data.labels import LabelKind, Labels, numbered
from vestige.data.plant import Planted, copy_samples, exchange_captions, exchange_media, flip_labels
from vestige.data.plant.record import MEDIA, Kind, together
from vestige.data.prepared import prepared_source
from vestige.data.subset import Subset
from vestige.designs import Design, Role
from vestige.errors import VestigeError
from vestige.files import remove, replacing
from vestige.models.trainable import Trainable
from vestige.progress import say
from vestige.samples import Modality, Sample

# Samples that are looked at to see which modalities a source has.
PEEK = 256


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


def open_data(config: DataConfig) -> Source:
    """The source of a configuration, with the captions and objects that its files add.

    Raises:
        VestigeError: an unknown source, or files that are not there or do not fit it.
    """
    return prepared_source(
        open_source(config.source, **config.options),
        objects=None if config.objects is None else Path(config.objects),
        objects_threshold=config.objects_threshold,
        synonyms=None if config.synonyms is None else Path(config.synonyms),
        extra_captions=[Path(path) for path in config.extra_captions],
    )


def common_modalities(source: Source) -> tuple[Modality, ...]:
    """The modalities that at least half of the samples have, judged by samples spread over the source."""
    keys = source.keys()
    places: list[int] = np.unique(np.linspace(0, len(keys) - 1, min(PEEK, len(keys))).astype(int)).tolist()
    chosen = [keys[place] for place in places]
    has = Counter(
        modality
        for sample in source.samples(chosen)
        for modality in (*sample.media, *([Modality.TEXT] if any(c.strip() for c in sample.captions) else []))
    )
    return tuple(modality for modality in Modality if 2 * has[modality] >= len(chosen))


def prepare(source: Source, config: RunConfig, blueprint: Trainable, directory: Path) -> Material:
    """Read, divide and plant, or take up what was done of that in the directory of the run.

    Raises:
        VestigeError: samples that cannot be used, sizes that do not fit, or faults that cannot be planted.
    """
    copies = _copies(source, config, directory / "copies.parquet")
    source = copies.apply(source)
    catalogue = _catalogue(source, config, blueprint, directory)
    # Alignments between modalities are taken against held-out samples.
    heldout = len(blueprint.modalities) > 1
    design = _design(catalogue, config, directory / "membership.parquet", heldout=heldout)
    if config.design.name == "file":
        catalogue = catalogue.of(design.keys)
    if heldout:
        _check_heldout(catalogue, design, blueprint.modalities)
    exchanged = _exchanged(catalogue, design, copies, config, blueprint, directory / "planted.parquet")
    captions = [exchanged.captions.get(key, own) for key, own in zip(catalogue.keys, catalogue.captions, strict=True)]
    examples = _examples(source, catalogue, exchanged, captions, config, blueprint, directory)
    samples = DecodedSource(exchanged.apply(Subset(source, design.keys)), examples)
    labels = None if blueprint.labels is None else _labels(catalogue, exchanged, blueprint.labels)
    return Material(catalogue, design, together([copies, exchanged]), captions, labels, samples)


def _labels(catalogue: Catalogue, exchanged: Planted, kind: LabelKind) -> Labels:
    flipped = {fault.key: fault.planted for fault in exchanged.faults if fault.kind == Kind.LABEL}
    return numbered([flipped.get(key, own) for key, own in zip(catalogue.keys, catalogue.labels, strict=True)], kind)


def _catalogue(source: Source, config: RunConfig, blueprint: Trainable, directory: Path) -> Catalogue:
    kinds = {modality: canvas_of(read) for modality, read in blueprint.inputs.items()}
    keep = kept_bytes(source, kinds) <= config.data.cache_gigabytes * 1e9
    text = Modality.TEXT in blueprint.modalities
    fresh = not (directory / "samples").exists()
    catalogue = read_catalogue(source, directory / "samples", kinds, text=text, keep=keep, labels=blueprint.labels)
    if fresh or not (directory / "skipped.csv").exists():
        _list_skipped(catalogue, directory / "skipped.csv")
    bad, total = len(catalogue.skipped), len(source)
    if not total:
        raise VestigeError(f"{config.data.source}: there are no samples")
    if bad > config.data.max_unreadable * total or bad == total:
        key, reason = catalogue.skipped[0]
        # Read again next time: the user is asked to mend the files.
        remove(directory / "samples")
        raise VestigeError(
            f"{bad} of {total} samples cannot be read, more than data.max_unreadable ="
            f" {config.data.max_unreadable:g} allows; the first is {key!r}: {reason}. All are in"
            f" {directory / 'skipped.csv'}: mend them"
            + (", or look whether the columns or the folder are the right ones" if bad == total else ", or allow more")
        )
    if not len(catalogue):
        remove(directory / "samples")
        raise VestigeError(_unusable(blueprint))
    for modality in blueprint.modalities:
        if not _having(catalogue, modality).any():
            remove(directory / "samples")
            raise VestigeError(f"no sample has {modality}: leave it out of --modalities")
    if catalogue.left_out:
        say(
            f"{len(catalogue.left_out)} records of the data make no sample, the first: {catalogue.left_out[0][0]}:"
            f" {catalogue.left_out[0][1]}; all are in {directory / 'skipped.csv'}"
        )
    if bad:
        say(f"{bad} of {total} samples cannot be read and are left out: {directory / 'skipped.csv'}")
    if catalogue.lacking:
        say(
            f"{len(catalogue.lacking)} of {total} samples {_lacking(blueprint)} and are left out:"
            f" {directory / 'skipped.csv'}"
        )
    return catalogue


def _list_skipped(catalogue: Catalogue, path: Path) -> None:
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(("key", "reason"))
        table.writerows((*catalogue.left_out, *catalogue.skipped, *catalogue.lacking))


def _lacking(blueprint: Trainable) -> str:
    if len(blueprint.modalities) > 1:
        return f"have fewer than two of {', '.join(blueprint.modalities)}"
    return f"have no {_embedded(blueprint)}" + (f" or no {blueprint.labels}" if blueprint.labels else "")


def _unusable(blueprint: Trainable) -> str:
    if len(blueprint.modalities) > 1:
        names = ", ".join(blueprint.modalities)
        return f"no sample has two of {names}: name the modalities that your data have with --modalities"
    if blueprint.labels is None:
        return f"no sample has {_embedded(blueprint)}: name other samples with --data"
    where = (
        "data.objects names a file of them"
        if blueprint.labels == "objects"
        else "imagefolder: reads them of folders; where samples have objects: --supervised.labels objects"
    )
    return f"no sample has both {_embedded(blueprint)} and {blueprint.labels}: name samples with labels ({where})"


def _embedded(blueprint: Trainable) -> str:
    return " and ".join(blueprint.modalities)


def _having(catalogue: Catalogue, modality: Modality) -> NDArray[np.bool_]:
    """Which samples have the modality, bool [N]."""
    if modality == Modality.TEXT:
        return np.array([bool(texts) for texts in catalogue.captions], np.bool_)
    return catalogue.sizes[modality][:, 0] > 0


def _check_heldout(catalogue: Catalogue, design: Design, modalities: Sequence[Modality]) -> None:
    """Refuse before training what cannot be scored after it: alignments are taken against the held-out samples."""
    external = np.asarray(design.member.sum(axis=0) == 0)
    # Without external samples, what a model did not see is held out from it (`vestige.unseen`).
    sets = external[None] if external.any() else ~design.member
    for modality in modalities:
        if not (_having(catalogue, modality) & sets).any(axis=1).all():
            raise VestigeError(
                f"no held-out sample has {modality}: raise design.external, or leave {modality} out of --modalities"
            )


def _design(catalogue: Catalogue, config: RunConfig, path: Path, *, heldout: bool) -> Design:
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


def _taken_over(config: RunConfig, path: Path) -> None:
    """Take over the faults that lie beside the file of the design."""
    given = None if config.design.file is None else Path(config.design.file).with_name(path.name)
    if given is not None and given.exists() and not path.exists():
        Planted.load(given).save(path)


def _copies(source: Source, config: RunConfig, path: Path) -> Planted:
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


def _exchanged(
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
