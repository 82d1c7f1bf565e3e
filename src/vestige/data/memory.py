"""Samples that somebody holds in memory, or makes on the way."""

from collections.abc import Iterable, Iterator, Sequence

from vestige.errors import VestigeError
from vestige.samples import Sample


class SampleList:
    """A list of samples as a source.

    Args:
        samples: the samples; media may be files, bytes or decoded pictures.

    Raises:
        VestigeError: two samples share a key.
    """

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples: dict[str, Sample] = {}
        for sample in samples:
            if self._samples.setdefault(sample.key, sample) is not sample:
                raise VestigeError(f"two samples share the key {sample.key!r}: make keys unique")

    def __len__(self) -> int:
        return len(self._samples)

    def keys(self) -> Sequence[str]:
        return tuple(self._samples)

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        return (self._samples[key] for key in keys)
