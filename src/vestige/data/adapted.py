"""A source seen through a function of its samples."""

from collections.abc import Callable, Iterator, Sequence

from vestige.data import Skipping, Source
from vestige.samples import Sample


class Adapted:
    """A source each of whose samples passes through a function; keys, order and media files stay.

    Args:
        source: where the samples come from.
        change: a sample to the sample in its place, with the same key.
    """

    def __init__(self, source: Source, change: Callable[[Sample], Sample]) -> None:
        self._source, self._change = source, change

    def __len__(self) -> int:
        return len(self._source)

    def keys(self) -> Sequence[str]:
        return self._source.keys()

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        return map(self._change, self._source.samples(keys))

    def skipped(self) -> Sequence[tuple[str, str]]:
        return skipped_by(self._source)


def skipped_by(source: Source) -> Sequence[tuple[str, str]]:
    """What a source says it left out; one that says nothing left out nothing."""
    return source.skipped() if isinstance(source, Skipping) else ()
