"""Where embeddings lie, and how they are read: by shard, by row, joined, or from memory."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, overload

import pyarrow as pa
import torch
from safetensors import safe_open
from torch import Tensor

from vestige.errors import VestigeError
from vestige.files import read_json, read_table
from vestige.metrics import UnitMemory
from vestige.samples import Modality

LOGITS = "logits"
"""The tensor with what a classifier says of the un-augmented samples."""


class Embeddings(Protocol):
    """Embeddings of samples under one model, in shards."""

    def shard_keys(self) -> Sequence[Sequence[str]]:
        """Keys of the rows of every shard."""
        ...

    def shard(self, number: int) -> dict[str, Tensor]:
        """The tensors of one shard; see the module for their names."""
        ...


class ShardKeys(Sequence[list[str]]):
    """Keys of the rows of every shard, made when they are asked for: as Python's text they take five times the space.

    Args:
        shards: how many there are.
        keys: those of one shard.
    """

    def __init__(self, shards: int, keys: Callable[[int], list[str]]) -> None:
        self._shards, self._keys = shards, keys

    def __len__(self) -> int:
        return self._shards

    @overload
    def __getitem__(self, number: int) -> list[str]: ...

    @overload
    def __getitem__(self, number: slice) -> list[list[str]]: ...

    def __getitem__(self, number: int | slice) -> list[str] | list[list[str]]:
        chosen = range(self._shards)[number]
        return self._keys(chosen) if isinstance(chosen, int) else [self._keys(shard) for shard in chosen]


class EmbeddingStore:
    """The embeddings of one model: shards of safetensors with the keys of their rows beside them.

    Args:
        directory: where the shards lie: `00000.safetensors` and `00000.parquet`, ..., and `about.json`.

    Attributes:
        directory: the same.
        about: what was embedded, and how.
        skipped: (key, reason) of the samples that could not be embedded.

    Raises:
        VestigeError: no finished store lies there.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        if not (directory / "about.json").is_file():
            raise VestigeError(f"{directory}: no embeddings there (no about.json)")
        self.about = read_json(directory / "about.json")
        tables = [read_table(path) for path in sorted(directory.glob("*.parquet"))]
        if len(tables) != self.about["shards"]:
            raise VestigeError(
                f"{directory}: {len(tables)} of {self.about['shards']} shards are there: embed again to finish"
            )
        self._keys: list[pa.ChunkedArray] = []
        self.skipped: list[tuple[str, str]] = []
        for table in tables:
            failed = table.filter(table["reason"].is_valid())
            self._keys.append(table.filter(table["reason"].is_null())["key"])
            self.skipped += zip(failed["key"].to_pylist(), failed["reason"].to_pylist(), strict=True)

    @property
    def modalities(self) -> tuple[Modality, ...]:
        return tuple(Modality(name) for name in self.about["modalities"])

    def shard_keys(self) -> Sequence[list[str]]:
        return ShardKeys(len(self._keys), lambda number: self._keys[number].to_pylist())

    def shard(self, number: int) -> dict[str, Tensor]:
        return _tensors(self.directory / f"{number:05d}.safetensors")

    def units(self) -> dict[str, UnitMemory]:
        """UnitMem's state over all samples that were watched, by layer; sample i is row i of the source."""
        merged: dict[str, UnitMemory] = {}
        for path in sorted(self.directory.glob("*.units.safetensors")):
            for layer, state in _unpack_units(_tensors(path)).items():
                if layer in merged:
                    merged[layer].merge(state)
                else:
                    merged[layer] = state
        return merged


class JoinedEmbeddings:
    """Embeddings of one model from several places, one after the other, the keys of each led by a prefix."""

    def __init__(self, *parts: tuple[Embeddings, str]) -> None:
        self._places = [(part, prefix, number) for part, prefix in parts for number in range(len(part.shard_keys()))]

    def shard_keys(self) -> Sequence[list[str]]:
        return ShardKeys(len(self._places), self._keys)

    def _keys(self, number: int) -> list[str]:
        part, prefix, own = self._places[number]
        return [prefix + key for key in part.shard_keys()[own]]

    def shard(self, number: int) -> dict[str, Tensor]:
        part, _, own = self._places[number]
        return part.shard(own)


class TensorEmbeddings:
    """Embeddings that lie in memory, as one shard.

    Args:
        keys: key of every row.
        tensors: as the module names them, at least [n, d] for every modality.

    Raises:
        VestigeError: a tensor without a row for every key.
    """

    def __init__(self, keys: Sequence[str], tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            if len(tensor) != len(keys):
                raise VestigeError(f"embeddings {name!r}: {len(tensor)} rows for {len(keys)} keys")
        self._keys, self._tensors = list(keys), dict(tensors)

    def shard_keys(self) -> Sequence[list[str]]:
        return [self._keys]

    def shard(self, number: int) -> dict[str, Tensor]:
        return self._tensors


def all_keys(embeddings: Embeddings) -> list[str]:
    """Keys of all rows, in order."""
    return [key for keys in embeddings.shard_keys() for key in keys]


def chosen_rows(embeddings: Embeddings, positions: Sequence[int]) -> dict[str, Tensor]:
    """The tensors of chosen rows, in the order asked for; each shard is read once."""
    wanted = torch.as_tensor(positions, dtype=torch.long)
    start, parts, places = 0, [], []
    for number, keys in enumerate(embeddings.shard_keys()):
        inside = torch.nonzero((wanted >= start) & (wanted < start + len(keys))).flatten()
        if len(inside):
            tensors = embeddings.shard(number)
            parts.append({name: tensor[wanted[inside] - start] for name, tensor in tensors.items()})
            places.append(inside)
        start += len(keys)
    if not parts:
        return {}
    order = torch.cat(places).argsort()
    return {name: torch.cat([part[name] for part in parts])[order] for name in parts[0]}


def pack_units(units: Mapping[str, UnitMemory]) -> dict[str, Tensor]:
    """UnitMem's state by layer, as the tensors of a file."""
    packed: dict[str, Tensor] = {}
    for layer, state in units.items():
        packed |= {f"{layer}/{name}": getattr(state, name) for name in ("max", "argmax", "sum", "negative")}
        packed[f"{layer}/n"] = torch.tensor(state.n)
    return packed


def _unpack_units(tensors: Mapping[str, Tensor]) -> dict[str, UnitMemory]:
    units: dict[str, UnitMemory] = {}
    for layer in dict.fromkeys(name.rpartition("/")[0] for name in tensors):
        state = units[layer] = UnitMemory(len(tensors[f"{layer}/max"]))
        state.max, state.argmax = tensors[f"{layer}/max"], tensors[f"{layer}/argmax"]
        state.sum, state.negative = tensors[f"{layer}/sum"], tensors[f"{layer}/negative"]
        state.n = int(tensors[f"{layer}/n"])
    return units


def _tensors(path: Path) -> dict[str, Tensor]:
    with safe_open(path, framework="pt") as tensors:
        return {name: tensors.get_tensor(name) for name in tensors.keys()}
