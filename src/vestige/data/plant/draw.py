"""Faults of several kinds at once, on different samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vestige.data.plant.copies import copy_samples
from vestige.data.plant.exchange import exchange_captions, exchange_media
from vestige.data.plant.labels import flip_labels
from vestige.data.plant.record import Planted, together
from vestige.errors import VestigeError
from vestige.samples import Modality, Sample


@dataclass(frozen=True)
class FaultCounts:
    """How many faults of each kind: shares of the candidates below 1, or numbers."""

    captions: float = 0.0
    """Candidates given one another's captions."""
    labels: float = 0.0
    """Candidates given the label of another class."""
    image: float = 0.0
    """Candidates given one another's picture."""
    audio: float = 0.0
    """Candidates given one another's sound."""
    video: float = 0.0
    """Candidates given one another's film."""
    copies: float = 0.0
    """Candidates that are there twice, byte for byte."""
    near_copies: float = 0.0
    """Candidates that are there twice, the second time cropped, shifted or compressed anew."""
    copy_group: Literal["own", "original"] = "own"
    """Group of a copy: one of its own (nobody noticed), or that of the original."""


def draw_faults(samples: Sequence[Sample], counts: FaultCounts, *, seed: int) -> Planted:
    """Plant faults of several kinds; no sample has two, and what is copied has none.

    Args:
        samples: the candidates.
        counts: how many of each kind.
        seed: of the draws.

    Raises:
        VestigeError: too many, or too few samples that could have the fault.
    """
    rest = list(samples)
    parts: list[Planted] = []

    def number(name: str) -> int:
        value = float(getattr(counts, name))
        if not value >= 0:
            raise VestigeError(f"plant.{name} is a share or a number, not {value:g}")
        return round(value * len(samples)) if value < 1 else round(value)

    def take(part: Planted) -> None:
        used = {fault.key for fault in part.faults} | {fault.donor for fault in part.faults}
        rest[:] = [sample for sample in rest if sample.key not in used]
        parts.append(part)

    keys, groups = [sample.key for sample in rest], [sample.group for sample in rest]
    captions = [sample.captions for sample in rest]
    take(exchange_captions(keys, groups, captions, count=number("captions"), seed=seed))
    for modality in (Modality.IMAGE, Modality.AUDIO, Modality.VIDEO):
        take(exchange_media(rest, modality, count=number(modality), seed=seed))
    take(flip_labels([s.key for s in rest], [s.label for s in rest], count=number("labels"), seed=seed))
    every = [sample.key for sample in samples]
    for name, near in (("copies", False), ("near_copies", True)):
        able = [sample for sample in rest if not near or Modality.IMAGE in sample.media]
        take(
            copy_samples(
                [sample.key for sample in able],
                [sample.group for sample in able],
                count=number(name),
                seed=seed,
                near=near,
                group=counts.copy_group,
                taken=every,
            )
        )
    return together(parts)
