"""UnitMem of a model's layers as a table, and what it says of each sample."""

from collections import Counter
from collections.abc import Mapping, Sequence

import pyarrow as pa
import torch

from vestige.metrics import UnitMemory


def unit_table(layers: Mapping[str, UnitMemory], keys: Sequence[str]) -> pa.Table:
    """A row a unit.

    Args:
        layers: UnitMem's state by layer (`EmbeddingStore.units`).
        keys: key of every sample by its row in the source that was embedded.

    Returns:
        `layer`, `unit`, `unitmem` (missing for dead units), `largest` (its largest activation), `rest` (the mean over
        the other samples), `key` (the sample of the largest), `negative` (share of activations below 0; where any,
        `unitmem` may leave [0, 1]), `dead`.
    """
    tables = []
    for layer, state in layers.items():
        found = state.compute()
        units = len(found.score)
        tables.append(
            pa.table(
                {
                    "layer": [layer] * units,
                    "unit": list(range(units)),
                    "unitmem": pa.array(found.score.numpy(), from_pandas=True),
                    "largest": state.max.numpy(),
                    "rest": ((state.sum - state.max) / max(state.n - 1, 1)).numpy(),
                    "key": [keys[row] for row in found.argmax.tolist()],
                    "negative": (found.negative / state.n).numpy(),
                    "dead": found.dead.numpy(),
                }
            )
        )
    return pa.concat_tables(tables)


def by_model(tables: Mapping[str, pa.Table]) -> pa.Table:
    """The `unit_table` of several models as one, with the column `model`."""
    named = [table.append_column("model", pa.array([name] * len(table))) for name, table in tables.items()]
    return pa.concat_tables(named)


def of_model(units: pa.Table, model: str) -> pa.Table:
    """The rows of one model of `by_model`."""
    return units.filter(pa.array([name == model for name in units["model"].to_pylist()]))


def layer_means(table: pa.Table) -> list[dict[str, object]]:
    """Mean UnitMem of every layer over its living units (the paper's per-layer curves), in the order of the table.

    Returns:
        For each layer `layer`, `units` (living), `dead`, `outside` (living units whose UnitMem left [0, 1], which
        negative activations can bring about), `mean` (None where all are dead).
    """
    layers = dict.fromkeys(table["layer"].to_pylist())
    scores = {layer: [] for layer in layers}
    dead = Counter(
        layer for layer, gone in zip(table["layer"].to_pylist(), table["dead"].to_pylist(), strict=True) if gone
    )
    for layer, score in zip(table["layer"].to_pylist(), table["unitmem"].to_pylist(), strict=True):
        if score is not None:
            scores[layer].append(score)
    return [
        {
            "layer": layer,
            "units": len(scores[layer]),
            "dead": dead[layer],
            "outside": sum(not 0 <= score <= 1 for score in scores[layer]),
            "mean": float(torch.tensor(scores[layer], dtype=torch.float64).mean()) if scores[layer] else None,
        }
        for layer in layers
    ]


def units_of_samples(table: pa.Table, keys: Sequence[str]) -> list[int]:
    """For every key, how many living units answer to that sample most."""
    alive = Counter(
        key for key, dead in zip(table["key"].to_pylist(), table["dead"].to_pylist(), strict=True) if not dead
    )
    return [alive[key] for key in keys]
