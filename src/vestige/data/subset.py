"""A part of a source."""

from collections.abc import Iterator, Sequence

from vestige.data import Source
from vestige.samples import Sample


class Subset:
    """The samples of a source with these keys, in this order."""

    def __init__(self, source: Source, keys: Sequence[str]) -> None:
        self._source, self._keys = source, tuple(keys)

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> Sequence[str]:
        return self._keys

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        return self._source.samples(keys)
