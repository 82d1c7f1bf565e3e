"""A finished run, read from its files alone: no model is loaded, and nothing is trained or scored."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL.Image import Image as Picture

from vestige.config import RunConfig, load_config
from vestige.data import Source
from vestige.data.media import UnreadableMedia, decode_picture
from vestige.data.plant import Planted
from vestige.data.subset import Subset
from vestige.designs import Design
from vestige.errors import VestigeError
from vestige.files import read_json, read_table
from vestige.material import open_data
from vestige.progress import say
from vestige.samples import Modality

PictureOf = Callable[[str], Picture | None]


@dataclass(frozen=True)
class FinishedRun:
    """What a finished run says of itself.

    Attributes:
        directory: where it lies.
        config: what it was made with.
        scores: the table of scores, with the columns that `vestige score RUN` added since.
        summary: `vestige.summary.summarise`, and what the run added to it.
    """

    directory: Path
    config: RunConfig
    scores: pa.Table
    summary: Mapping[str, Any]

    def samples(self) -> Source:
        """The samples as they were trained on: those of the design, faults and all, not decoded.

        Raises:
            VestigeError: the data are not where they were.
        """
        source = open_data(self.config.data)
        copies, exchanged = (self.directory / name for name in ("copies.parquet", "planted.parquet"))
        if copies.exists():
            source = Planted.load(copies).apply(source)
        design = Design.load(self.directory / "membership.parquet")
        return Planted.load(exchanged).apply(Subset(source, design.keys))

    def opened(self) -> Source | None:
        """The samples, or None where the data are gone, which is said: a report without pictures is worth having."""
        try:
            return self.samples()
        except (VestigeError, OSError) as error:
            say(f"no pictures are shown, the samples of {self.directory} cannot be opened: {error}")
            return None

    def pictures(self) -> PictureOf:
        """A function from a key to its picture; None where it has none, or the data are gone."""
        source = self.opened()
        return (lambda key: None) if source is None else pictures(source)


def read_run(directory: Path) -> FinishedRun:
    """Read a finished run.

    Raises:
        VestigeError: no run lies there, it is not finished, or its summary is damaged.
    """
    if not directory.is_dir():
        raise VestigeError(f"{directory}: no such folder: name the folder of a run")
    config = directory / "config.yaml"
    if not config.exists():
        raise VestigeError(f"{directory}: no run lies there (no config.yaml)")
    scores, summary = directory / "scores.parquet", directory / "summary.json"
    if not scores.exists() or not summary.exists():
        raise VestigeError(f"{directory}: the run is not finished: vestige run {config} goes on")
    try:
        told = read_json(summary)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise VestigeError(f"{summary}: damaged ({error}): remove it; vestige run {config} makes it anew") from error
    return FinishedRun(directory, load_config(config), read_table(scores), told)


def pictures(source: Source) -> PictureOf:
    """A function from a key of this source to its picture; None where it has none that can be read."""

    def picture(key: str) -> Picture | None:
        sample = next(iter(source.samples([key])))
        if Modality.IMAGE not in sample.media:
            return None
        try:
            return decode_picture(sample.media[Modality.IMAGE])
        except UnreadableMedia:
            return None

    return picture
