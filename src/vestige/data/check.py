"""What is in a source, counted before anything is trained on it.

One pass over all samples counts modalities, captions, groups, labels and objects in memory that hardly grows. The
media of all of them, or of some that are spread evenly, are decoded on the way: what cannot be, what sizes there are,
which are identical byte for byte, and how fast it goes.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from os import cpu_count

import numpy as np
from numpy.typing import NDArray

from vestige.data import Source
from vestige.data.adapted import skipped_by
from vestige.data.lookedat import LookedAt, LookedAtMedia
from vestige.data.tallies import GroupCounts, GroupTally, Names, Reasons, Spread, Tally, reasons, spread
from vestige.data.vocabulary import Vocabulary
from vestige.errors import VestigeError
from vestige.progress import progress
from vestige.samples import Modality, Sample

FEW = 10_000
"""Samples whose media are decoded when nothing else is asked for."""
KEPT_CAPTIONS = 20_000
"""Samples whose captions are kept, to be measured by whoever has a tokenizer."""


@dataclass(frozen=True)
class Captions:
    """Captions of all samples.

    Attributes:
        total: captions that are not empty.
        empty: captions that are.
        without: samples without any.
        per_sample: captions that are not empty, of samples that have some.
        characters: length of captions.
        repeated: of the captions kept, those that stand with several samples, and with how many.
        kept: captions of some samples, or of all where these are few.
    """

    total: int
    empty: int
    without: int
    per_sample: Spread | None
    characters: Spread | None
    repeated: tuple[tuple[str, int], ...]
    kept: tuple[str, ...]


@dataclass(frozen=True)
class Check:
    """What is in a source.

    Attributes:
        samples: how many.
        modalities: samples that have each.
        combinations: samples that have exactly these.
        groups: as the source states them; `largest_group` is the name of the largest that has several samples.
        labels, objects: names as the source gives them; `normalised` are the objects' after normalisation.
        skipped: records that the source left out.
        looked_at: what decoding gave.
        reading_seconds: what the pass took without decoding.
    """

    samples: int
    modalities: dict[str, int]
    combinations: tuple[tuple[tuple[str, ...], int], ...]
    groups: GroupCounts
    largest_group: str | None
    captions: Captions
    labels: Names
    objects: Names
    normalised: Names
    skipped: Reasons
    looked_at: LookedAt
    reading_seconds: float

    @property
    def pass_seconds(self) -> float | None:
        """What reading and decoding all samples takes at this rate."""
        if not self.looked_at.samples:
            return None
        return self.reading_seconds + self.looked_at.seconds * self.samples / self.looked_at.samples


def check(source: Source, *, sample: int | None = None) -> Check:
    """Read a source through.

    Args:
        source: the samples.
        sample: of how many samples the media are decoded; `FEW`, or all, when left out.

    Raises:
        VestigeError: the source has no samples, or refuses to go on.
    """
    number = len(source)
    if not number:
        raise VestigeError("the source has no samples")
    if sample is not None and sample < 0:
        raise VestigeError(f"--sample is a number of samples, not {sample}")
    chosen = set(spaced(number, FEW if sample is None else sample).tolist())
    counts = _Counts(set(spaced(number, KEPT_CAPTIONS).tolist()))
    keys = source.keys()
    start = time.perf_counter()
    with ThreadPoolExecutor(cpu_count()) as pool, progress("checking", number) as advance:
        media = LookedAtMedia(pool)
        for place, found in enumerate(source.samples(keys)):
            counts.add(place, found)
            if place in chosen:
                media.add(found)
            if place % 256 == 255:
                advance(256)
        advance(number % 256)
        looked_at = media.finish()
    seconds = time.perf_counter() - start - looked_at.seconds
    return counts.sum_up(source, keys, looked_at, seconds)


def spaced(number: int, most: int) -> NDArray[np.int64]:
    """At most so many places, spread evenly over 0 ... number - 1."""
    return np.unique(np.linspace(0, number - 1, min(number, most)).astype(np.int64))


class _Counts:
    """Everything that is counted of all samples."""

    def __init__(self, keeping: set[int]) -> None:
        self._keeping = keeping
        self._combinations: Counter[tuple[tuple[Modality, ...], bool]] = Counter()
        self._groups, self._labels, self._objects, self._normalised = GroupTally(), Tally(), Tally(), Tally()
        self._per_sample: Counter[float] = Counter()
        self._characters: Counter[float] = Counter()
        self._empty = 0
        self._kept: list[str] = []
        self._standing: Counter[str] = Counter()
        self._name: Callable[[str], str] = lru_cache(maxsize=100_000)(Vocabulary().name)

    def add(self, place: int, sample: Sample) -> None:
        # A few microseconds a sample are a minute of a table of ten million: what a sample lacks is not counted.
        captions = [caption for caption in sample.captions if caption.strip()]
        self._empty += len(sample.captions) - len(captions)
        self._combinations[tuple(sample.media), bool(captions)] += 1
        self._groups.add(sample.group)
        self._per_sample[len(captions)] += 1
        for caption in captions:
            self._characters[len(caption)] += 1
        if place in self._keeping:
            self._kept += captions
            self._standing.update(set(captions))
        if sample.label is not None:
            self._labels.add((sample.label,))
        if sample.objects:
            self._objects.add(sample.objects)
            self._normalised.add(dict.fromkeys(filter(None, map(self._name, sample.objects))))

    def sum_up(self, source: Source, keys: Sequence[str], looked_at: LookedAt, seconds: float) -> Check:
        groups, largest = self._groups.counts(), None
        if groups.example is not None:
            largest = next(iter(source.samples([keys[groups.example]]))).group
        without = self._per_sample.pop(0, 0)
        combinations: Counter[tuple[str, ...]] = Counter()
        for (media, text), times in self._combinations.items():
            has = {*media, *([Modality.TEXT] if text else [])}
            combinations[tuple(str(modality) for modality in Modality if modality in has)] += times
        captions = Captions(
            total=sum(int(captions) * samples for captions, samples in self._per_sample.items()),
            empty=self._empty,
            without=without,
            per_sample=spread(self._per_sample),
            characters=spread(self._characters),
            repeated=tuple((caption, times) for caption, times in self._standing.most_common(5) if times > 1),
            kept=tuple(self._kept),
        )
        return Check(
            samples=sum(combinations.values()),
            modalities={
                str(modality): sum(times for has, times in combinations.items() if modality in has)
                for modality in Modality
            },
            combinations=tuple(combinations.most_common()),
            groups=groups,
            largest_group=largest,
            captions=captions,
            labels=self._labels.names(),
            objects=self._objects.names(),
            normalised=self._normalised.names(),
            skipped=reasons(skipped_by(source)),
            looked_at=looked_at,
            reading_seconds=seconds,
        )
