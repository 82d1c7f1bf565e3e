"""What is known of the samples of a source without decoding them: labels, groups, captions, media."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor

from vestige.data import Source
from vestige.data.media import UnreadableMedia, content_of
from vestige.progress import progress
from vestige.samples import Modality, Sample

# Progress is told this often.
STEP = 1000


@dataclass(frozen=True)
class Facts:
    """The samples of a source, N of them, in its order.

    Attributes:
        keys, groups: key and group of every sample.
        labels: its class; None where it has none.
        objects: names of what it shows.
        captions: its captions, without empty ones.
        modalities: what it has: media, and text where it has a caption.
        contents: hashes of its media, where they were asked for.
    """

    keys: tuple[str, ...]
    groups: tuple[str, ...]
    labels: tuple[str | None, ...]
    objects: tuple[tuple[str, ...], ...]
    captions: tuple[tuple[str, ...], ...]
    modalities: tuple[frozenset[Modality], ...]
    contents: tuple[frozenset[str], ...]

    def __len__(self) -> int:
        return len(self.keys)

    def at(self, rows: Sequence[int]) -> "Facts":
        """Those of some samples."""
        return Facts(
            keys=tuple(self.keys[row] for row in rows),
            groups=tuple(self.groups[row] for row in rows),
            labels=tuple(self.labels[row] for row in rows),
            objects=tuple(self.objects[row] for row in rows),
            captions=tuple(self.captions[row] for row in rows),
            modalities=tuple(self.modalities[row] for row in rows),
            contents=tuple(self.contents[row] for row in rows),
        )

    def group_codes(self) -> Tensor:
        """The group of every sample as a number, long [N]."""
        number = {group: place for place, group in enumerate(dict.fromkeys(self.groups))}
        return torch.tensor([number[group] for group in self.groups], dtype=torch.long)


def facts_of(source: Source, *, contents: bool = False, label: str = "reading labels") -> Facts:
    """Read a source through; with `contents`, the bytes of its media too."""
    rows: list[tuple] = []
    with progress(label, len(source)) as advance:
        for number, sample in enumerate(source.samples(source.keys()), 1):
            rows.append(_facts(sample, contents))
            if number % STEP == 0:
                advance(STEP)
        advance(len(rows) % STEP)
    return Facts(*zip(*rows, strict=True)) if rows else Facts((), (), (), (), (), (), ())


def _facts(sample: Sample, contents: bool) -> tuple:
    captions = tuple(caption for caption in sample.captions if caption.strip())
    has = frozenset(sample.media) | ({Modality.TEXT} if captions else set())
    label = sample.label if sample.label and sample.label.strip() else None
    hashes = frozenset(_contents(sample)) if contents else frozenset()
    return sample.key, sample.group, label, sample.objects, captions, has, hashes


def _contents(sample: Sample) -> Iterator[str]:
    for medium in sample.media.values():
        # One that cannot be read is left out when it is decoded; the sample's others are still known by their bytes.
        with suppress(UnreadableMedia):
            yield content_of(medium)
