"""A source with faults, and one without them again."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from vestige.data import Source
from vestige.data.adapted import skipped_by
from vestige.data.plant.alteration import Alteration, altered
from vestige.errors import VestigeError
from vestige.samples import Media, Modality, Sample


class WithFaults:
    """A source, some of whose samples have other captions, labels or media, and some of which are there twice.

    Args:
        source: the samples.
        captions, labels: by key, in place of a sample's own.
        media: (modality, key of the sample that lends it) by key.
        copies: (key of the original, group, how its picture is altered) by key.
    """

    def __init__(
        self,
        source: Source,
        *,
        captions: Mapping[str, tuple[str, ...]],
        labels: Mapping[str, str],
        media: Mapping[str, tuple[str, str]],
        copies: Mapping[str, tuple[str, str, Alteration | None]],
    ) -> None:
        self._source, self._captions, self._labels, self._media = source, captions, labels, media
        known = set(source.keys()) if copies else set()
        self._copies = {key: copy for key, copy in copies.items() if copy[0] in known}
        taken = next((key for key in self._copies if key in known), None)
        if taken is not None:
            raise VestigeError(f"plant: the data have the key {taken!r}, which a planted copy has too: rename it")

    def __len__(self) -> int:
        return len(self._source) + len(self._copies)

    def keys(self) -> Sequence[str]:
        return (*self._source.keys(), *self._copies) if self._copies else self._source.keys()

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        originals = [self._copies[key][0] if key in self._copies else key for key in keys]
        for key, sample in zip(keys, self._source.samples(originals), strict=True):
            yield self._copied(key, sample) if key in self._copies else self._changed(sample)

    def skipped(self) -> Sequence[tuple[str, str]]:
        return skipped_by(self._source)

    def _copied(self, key: str, sample: Sample) -> Sample:
        _, group, alteration = self._copies[key]
        media = dict(sample.media)
        if alteration is not None and Modality.IMAGE in media:
            media[Modality.IMAGE] = altered(media[Modality.IMAGE], alteration)
        return replace(sample, key=key, group=group, media=media)

    def _changed(self, sample: Sample) -> Sample:
        key = sample.key
        if key in self._captions:
            return replace(sample, captions=self._captions[key], generated=_without_captions(sample))
        if key in self._labels:
            return replace(sample, label=self._labels[key])
        return replace(sample, media=_lent(self._source, self._media, sample)) if key in self._media else sample


class Reverted:
    """A source with faults, as it was before.

    Args:
        source: the samples with faults.
        captions, labels: by key, those a sample had.
        media: (modality, key of the sample that has it now) by key.
        copies: keys of the copies.
    """

    def __init__(
        self,
        source: Source,
        *,
        captions: Mapping[str, tuple[str, ...]],
        labels: Mapping[str, str],
        media: Mapping[str, tuple[str, str]],
        copies: Collection[str],
    ) -> None:
        self._source, self._captions, self._labels, self._media = source, captions, labels, media
        self._keys = tuple(key for key in source.keys() if key not in copies)

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> Sequence[str]:
        return self._keys

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        for sample in self._source.samples(keys):
            yield replace(
                sample,
                captions=self._captions.get(sample.key, sample.captions),
                label=self._labels.get(sample.key, sample.label),
                media=_lent(self._source, self._media, sample) if sample.key in self._media else sample.media,
            )

    def skipped(self) -> Sequence[tuple[str, str]]:
        return skipped_by(self._source)


def _lent(source: Source, media: Mapping[str, tuple[str, str]], sample: Sample) -> dict[Modality, Media]:
    modality, lender = media[sample.key]
    other = next(iter(source.samples([lender])))
    own = {kind: medium for kind, medium in sample.media.items() if kind != modality}
    lent = {kind: medium for kind, medium in other.media.items() if kind == modality}
    return own | lent


def _without_captions(sample: Sample) -> dict[str, str]:
    """What is said of a sample's own captions is not said of another's."""
    return {part: by for part, by in sample.generated.items() if not part.startswith("caption ")}
