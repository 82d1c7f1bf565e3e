"""Planted faults: wrong captions put where we know them, to calibrate what finds them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from vestige.data import Source
from vestige.errors import VestigeError
from vestige.files import read_table, write_table
from vestige.samples import Sample


@dataclass(frozen=True)
class ExchangedCaptions:
    """Which samples were given whose captions.

    Attributes:
        donor: key of the sample whose captions a sample was given, by key.
        captions: the captions a sample has now, by key.
        original: the captions it had.
    """

    donor: Mapping[str, str]
    captions: Mapping[str, tuple[str, ...]]
    original: Mapping[str, tuple[str, ...]]

    def apply(self, source: Source) -> "Replanted":
        """The source with these captions in place of its own."""
        return Replanted(source, self.captions)

    def save(self, path: Path) -> None:
        """Write `key, donor, captions, original` as Parquet."""
        write_table(
            path,
            pa.table(
                {
                    "key": pa.array(self.donor, pa.string()),
                    "donor": pa.array(self.donor.values(), pa.string()),
                    "captions": pa.array([list(self.captions[key]) for key in self.donor], pa.list_(pa.string())),
                    "original": pa.array([list(self.original[key]) for key in self.donor], pa.list_(pa.string())),
                }
            ),
        )

    @classmethod
    def load(cls, path: Path) -> "ExchangedCaptions":
        columns = read_table(path).to_pydict()
        keys = columns["key"]
        return cls(
            donor=dict(zip(keys, columns["donor"], strict=True)),
            captions={key: tuple(texts) for key, texts in zip(keys, columns["captions"], strict=True)},
            original={key: tuple(texts) for key, texts in zip(keys, columns["original"], strict=True)},
        )


class Replanted:
    """A source, some of whose samples have other captions."""

    def __init__(self, source: Source, captions: Mapping[str, tuple[str, ...]]) -> None:
        self._source, self._captions = source, captions

    def __len__(self) -> int:
        return len(self._source)

    def keys(self) -> Sequence[str]:
        return self._source.keys()

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        for sample in self._source.samples(keys):
            yield replace(sample, captions=self._captions.get(sample.key, sample.captions))


def exchange_captions(
    keys: Sequence[str],
    groups: Sequence[str],
    captions: Sequence[tuple[str, ...]],
    *,
    count: int,
    seed: int,
) -> ExchangedCaptions:
    """Choose samples at random and give each the captions of another of them, of another group and other words.

    Args:
        keys, groups, captions: the samples to choose from (in a `roles` design: the candidates).
        count: how many samples get wrong captions; 0 for none, else at least 2.
        seed: of the draw.

    Raises:
        VestigeError: more asked for than there are, or too few different captions to exchange.
    """
    if count == 0:
        return ExchangedCaptions({}, {}, {})
    if not 2 <= count <= len(keys):
        raise VestigeError(
            f"plant.captions: {count} of {len(keys)} candidates cannot exchange captions: ask for 0, or for 2 to"
            f" {len(keys)}"
        )
    draw = np.random.Generator(np.random.Philox(seed))
    chosen: list[int] = draw.permutation(len(keys))[:count].tolist()

    def wrong(sample: int, donor: int) -> bool:
        return groups[sample] != groups[donor] and not set(captions[sample]) & set(captions[donor])

    # Everyone takes the caption of the next; a pair that would not be wrong is swapped with the first that mends both.
    donors = chosen[1:] + chosen[:1]
    for place, sample in enumerate(chosen):
        if wrong(sample, donors[place]):
            continue
        swap = next(
            (o for o, other in enumerate(chosen) if wrong(sample, donors[o]) and wrong(other, donors[place])), None
        )
        if swap is None:
            raise VestigeError(
                f"plant.captions: {count} captions cannot be exchanged so that all are wrong: too many of the chosen"
                " samples share a group or a caption; plant fewer"
            )
        donors[place], donors[swap] = donors[swap], donors[place]
    return ExchangedCaptions(
        donor={keys[sample]: keys[donor] for sample, donor in zip(chosen, donors, strict=True)},
        captions={keys[sample]: captions[donor] for sample, donor in zip(chosen, donors, strict=True)},
        original={keys[sample]: captions[sample] for sample in chosen},
    )
