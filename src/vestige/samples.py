"""A sample: one thing a model is trained on, with its media, captions and the facts known about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from PIL.Image import Image as Picture


class Modality(StrEnum):
    """A kind of signal an encoder can embed."""

    IMAGE = "image"
    TEXT = "text"
    AUDIO = "audio"
    VIDEO = "video"


Media = Path | bytes | Picture
"""A medium: a file, the bytes of one, or a picture already decoded. Text is not media: it lies in `Sample.captions`."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One training sample.

    Attributes:
        key: the publisher's identifier; unique within a source.
        group: samples of one group are always seen, or not seen, together (variants of one emoji, clips of one
            video, byte-identical pictures): membership is decided per group, or the "unseen" model has seen them.
        media: media by modality.
        captions: all captions, the first being the default one.
        label: class name, where the source has one.
        objects: names of the objects in the picture, where the source has them.
        generated: what of the sample was made by a machine, and by what: {"caption 2": "model NAME, ..."}; captions
            count from 1.
    """

    key: str
    group: str
    media: Mapping[Modality, Media] = field(default_factory=dict)
    captions: tuple[str, ...] = ()
    label: str | None = None
    objects: tuple[str, ...] = ()
    generated: Mapping[str, str] = field(default_factory=dict)
