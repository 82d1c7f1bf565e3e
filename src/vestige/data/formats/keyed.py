"""Keys of many rows in twelve bytes each: their hashes in order, and the row of each."""

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from vestige.data.formats.rows import RowFile

LOOKED_UP_AT_ONCE = 1024


def key_hash(text: str) -> int:
    """64 bits that differ for different texts but for one in 10^19; salted by the process, so nobody can aim."""
    return hash(text)


class HashIndex:
    """Rows by the hash of their key. The index serves the process it was made in: hashes are salted.

    Args:
        hashes: `key_hash` of the key of every row, int64 [R].
    """

    def __init__(self, hashes: NDArray[np.int64]) -> None:
        # Stable: rows of one key stay in their order.
        self._order = np.argsort(hashes, kind="stable").astype(np.uint32)
        self._hashes = hashes[self._order]

    def __reduce__(self) -> str:
        raise TypeError("an index of keys cannot go to another process: open the source there")

    def repeats(self) -> Iterator[list[int]]:
        """Rows whose hash occurs more than once, together, each in their order."""
        same = self._hashes[1:] == self._hashes[:-1]
        yield from self._runs(same)

    def disagreeing(self, values: NDArray[np.int64]) -> Iterator[list[int]]:
        """Of the rows whose hash occurs more than once, those that do not all have the same value, together."""
        sorted_values = values[self._order]
        same = self._hashes[1:] == self._hashes[:-1]
        if np.any(same & (sorted_values[1:] != sorted_values[:-1])):
            for rows in self._runs(same):
                if len(set(values[rows].tolist())) > 1:
                    yield rows

    def _runs(self, same: NDArray[np.bool_]) -> Iterator[list[int]]:
        edges = np.flatnonzero(np.diff(same.astype(np.int8), prepend=0, append=0))
        for low, high in edges.reshape(-1, 2):
            yield self._order[low : high + 1].tolist()

    def firsts(self) -> NDArray[np.uint32]:
        """The first row of each hash, in the order of the rows."""
        new = np.ones(len(self._hashes), dtype=bool)
        new[1:] = self._hashes[1:] != self._hashes[:-1]
        return np.sort(self._order[new])

    def candidates(self, keys: Sequence[str]) -> Iterator[tuple[str, list[int]]]:
        """Each key with the rows that may have it: whoever reads them compares the key."""
        for begin in range(0, len(keys), LOOKED_UP_AT_ONCE):
            wanted = keys[begin : begin + LOOKED_UP_AT_ONCE]
            hashes = np.fromiter(map(key_hash, wanted), np.int64, len(wanted))
            lows = np.searchsorted(self._hashes, hashes, "left").tolist()
            highs = np.searchsorted(self._hashes, hashes, "right").tolist()
            for key, low, high in zip(wanted, lows, highs, strict=True):
                yield key, self._order[low:high].tolist()


class RowKeys(Sequence[str]):
    """The keys of rows that stay on disk, read when asked for.

    Args:
        file: the table.
        starts: where the row of each key starts, ascending, int64 [N].
        column: the column of the key.
    """

    def __init__(self, file: RowFile, starts: NDArray[np.int64], column: int) -> None:
        self._file, self._starts, self._column = file, starts, column

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        with self._file.reading() as row:
            if isinstance(index, slice):
                return tuple(row(start)[self._column] for start in self._starts[index].tolist())
            return row(int(self._starts[index]))[self._column]

    def __iter__(self) -> Iterator[str]:
        for block in self._file.blocks():
            if not block.starts.size:
                continue
            low, high = np.searchsorted(self._starts, (block.starts[0], block.end))
            rows = np.searchsorted(block.starts, self._starts[low:high])
            keys = block.column(self._column)
            yield from (keys[row] for row in rows.tolist())
