"""A source whose media have been decoded already: what a run trained on, on its way into the models again."""

from collections.abc import Iterator, Sequence

from vestige.data import Source
from vestige.data.examples import Examples
from vestige.samples import Sample


class DecodedSource:
    """A source, and its samples as examples.

    Args:
        source: the samples.
        examples: the same samples by key, or more.
    """

    def __init__(self, source: Source, examples: Examples) -> None:
        self._source, self.examples = source, examples
        self._row = {key: row for row, key in enumerate(examples.keys)}

    def __len__(self) -> int:
        return len(self._source)

    def keys(self) -> Sequence[str]:
        return self._source.keys()

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        return self._source.samples(keys)

    def positions(self, keys: Sequence[str]) -> list[int]:
        """The examples of these keys."""
        return [self._row[key] for key in keys]
