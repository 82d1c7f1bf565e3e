"""The usable samples of a source: read through once, those that are not usable listed, bad data refused."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vestige.config import DataConfig, RunConfig
from vestige.data import Source, open_source
from vestige.data.canvases import canvas_of
from vestige.data.catalogue import Catalogue, kept_bytes, read_catalogue
from vestige.data.prepared import prepared_source
from vestige.errors import VestigeError
from vestige.files import remove, replacing
from vestige.models.trainable import Trainable
from vestige.progress import say
from vestige.samples import Modality

# Samples that are looked at to see which modalities a source has.
PEEK = 256


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


def usable_samples(source: Source, config: RunConfig, blueprint: Trainable, directory: Path) -> Catalogue:
    """What a run can use of a source, read into its directory; what it cannot is listed in `skipped.csv`.

    Raises:
        VestigeError: no usable samples, more unreadable ones than are allowed, or a modality that none has.
    """
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
        if not having(catalogue, modality).any():
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


def having(catalogue: Catalogue, modality: Modality) -> NDArray[np.bool_]:
    """Which samples have the modality, bool [N]."""
    if modality == Modality.TEXT:
        return np.array([bool(texts) for texts in catalogue.captions], np.bool_)
    return catalogue.sizes[modality][:, 0] > 0
