"""Keys of millions of samples, and where each stands, in arrays."""

from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

CHUNK = 65_536


class KeyIndex(Sequence[str]):
    """A sequence of strings that finds the position of each: about 24 bytes a string beside the string itself.

    A dictionary of Python's strings takes some 200.

    Args:
        keys: the strings, in arrays of Arrow's large strings; where one is repeated, its first position is found.
    """

    def __init__(self, keys: Iterable[pa.Array]) -> None:
        self._keys: pa.Array = pa.concat_arrays([pa.array([], pa.large_string()), *keys])
        hashes = np.fromiter(map(hash, self), np.int64, len(self))
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]

    def __len__(self) -> int:
        return len(self._keys)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return tuple(self[position] for position in range(*index.indices(len(self))))
        return self._keys[index].as_py()

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), CHUNK):
            yield from self._keys.slice(start, CHUNK).to_pylist()

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._position(key, int(np.searchsorted(self._hashes, hash(key)))) is not None

    def positions(self, keys: Sequence[str]) -> Iterator[int]:
        """Where these keys stand, in the order asked for.

        Raises:
            KeyError: there is no such key.
        """
        for start in range(0, len(keys), CHUNK):
            part = keys[start : start + CHUNK]
            places = np.searchsorted(self._hashes, np.fromiter(map(hash, part), np.int64, len(part)))
            for key, place in zip(part, places.tolist(), strict=True):
                position = self._position(key, place)
                if position is None:
                    raise KeyError(key)
                yield position

    def repeated(self) -> NDArray[np.int64]:
        """Positions of the keys that stand elsewhere too, ascending."""
        same = np.flatnonzero(self._hashes[1:] == self._hashes[:-1])
        suspects = np.unique(self._order[np.concatenate([same, same + 1])])
        texts = [self[int(position)] for position in suspects]
        seen: dict[str, int] = {}
        for text in texts:
            seen[text] = seen.get(text, 0) + 1
        return np.array([at for at, text in zip(suspects, texts, strict=True) if seen[text] > 1], np.int64)

    def _position(self, key: str, place: int) -> int | None:
        wanted = hash(key)
        while place < len(self._hashes) and self._hashes[place] == wanted:
            if self[int(self._order[place])] == key:
                return int(self._order[place])
            place += 1
        return None
