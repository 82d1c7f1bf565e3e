"""Which layers memorize in single units, and which samples those units answer to (UnitMem, Wang et al., 2024)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vestige.files import read_table
from vestige.report.charts import lines
from vestige.report.markup import table, texts
from vestige.report.section import Section
from vestige.report.text import brief, cut, number, percent
from vestige.units import layer_means, of_model

UNITS, SCORES = "scores.units.parquet", "scores.parquet"
COLUMNS = ["model", "layer", "unit", "unitmem", "largest", "rest", "key", "negative", "dead"]
SHOWN = 10
LONGEST_CAPTION = 120
LONGEST_KEY = 60
LONGEST_LAYER = 44
LAYERS = alt.Axis(title="layer", labelAngle=-40, labelLimit=150)


def units_by_layer(directory: Path) -> list[Section]:
    """The distribution of UnitMem in every layer, and the units at the top, of `vestige score RUN --metric unitmem`."""
    if not (directory / UNITS).exists():
        return []
    units = read_table(directory / UNITS, COLUMNS)
    models = list(dict.fromkeys(units["model"].to_pylist()))
    own = {model: of_model(units, model) for model in models}
    captions = _captions(directory)
    points = [{"model": model, **point} for model in models for point in quartiles(own[model])]
    if not points:
        return []
    short = told_apart(list(dict.fromkeys(point["layer"] for point in points)))
    points = [point | {"layer": short[point["layer"]]} for point in points]
    return [
        Section(
            title="UnitMem by layer",
            note=(
                "UnitMem of a unit is (a - b) / (a + b): a is its activation on the sample it answers to most, b its"
                " mean over the others; 1 is a unit of one sample alone. The line is the median over the living units"
                " of a layer, the band holds the middle half. Units with negative activations may leave [0, 1]; the"
                " table says how many do. Samples are those the model saw."
            ),
            specification=lines(
                points,
                across=alt.X("layer:O", sort=list(short.values()), axis=LAYERS),
                up=alt.Y("median:Q", axis=alt.Axis(title="UnitMem (median, middle half)")),
                series="model",
                legend="model",
            ),
            html=_layers(own) + _tops(own, captions),
        )
    ]


def told_apart(layers: Sequence[str]) -> dict[str, str]:
    """The names of layers without the parts that all of them have; whole where that would make two alike."""
    parts = [layer.split(".") for layer in layers]
    common = set(parts[0]).intersection(*parts)
    short = [".".join(part for part in own if part not in common) for own in parts]
    return dict(zip(layers, short if all(short) and len(set(short)) == len(layers) else layers, strict=True))


def quartiles(units: pa.Table) -> list[dict[str, Any]]:
    """Median and quartiles (`median`, `low`, `high`) of UnitMem in every `layer` with a living unit."""
    layers = np.array(units["layer"].to_pylist(), dtype=object)
    score = units["unitmem"].cast(pa.float64()).to_numpy(zero_copy_only=False)
    rows = []
    for layer in dict.fromkeys(layers.tolist()):
        alive = score[(layers == layer) & np.isfinite(score)]
        if len(alive):
            low, median, high = np.quantile(alive, (0.25, 0.5, 0.75)).tolist()
            rows.append({"layer": layer, "median": median, "low": low, "high": high})
    return rows


def _layers(own: dict[str, pa.Table]):
    rows = [
        (
            brief(f"{found['layer']}", LONGEST_LAYER),
            model,
            number(None if found["mean"] is None else float(str(found["mean"]))),
            f"{found['units']:,}",
            f"{found['outside']:,}",
            f"{found['dead']:,}",
        )
        for model, units in own.items()
        for found in layer_means(units)
    ]
    header = ("layer", "model", "mean UnitMem", "living units", "outside [0, 1]", "dead")
    return table("UnitMem of every layer and model", header, rows)


def _tops(own: dict[str, pa.Table], captions: dict[str, str]):
    """The units with the highest UnitMem of each model, and the samples they answer to."""
    rows = [
        (
            f"{brief(str(unit['layer']), LONGEST_LAYER)} · {unit['unit']}",
            model,
            number(unit["unitmem"]),
            number(unit["largest"]),
            number(unit["rest"]),
            texts(_sample(unit["key"], captions)),
        )
        for model, units in own.items()
        for unit in _highest(units)
    ]
    header = ("layer · unit", "model", "UnitMem", "on its sample", "mean of the others", "its sample")
    where = table("The units with the highest UnitMem", header, rows)
    return _share(own) + where


def _sample(key: str, captions: dict[str, str]) -> tuple[str, str]:
    return cut(captions.get(key) or "no caption", LONGEST_CAPTION), brief(key, LONGEST_KEY)


def _share(own: dict[str, pa.Table]):
    """Where the top tenth of the units of each model lies."""
    rows = [
        (brief(layer, LONGEST_LAYER), model, percent(top), percent(alive))
        for model, units in own.items()
        for layer, (top, alive) in top_shares(units).items()
    ]
    header = ("layer", "model", "of the top tenth", "of all living units")
    return table("Where the tenth of the units with the highest UnitMem lies", header, rows)


def top_shares(units: pa.Table) -> dict[str, tuple[float, float]]:
    """By layer, its share of the tenth of the living units with the highest UnitMem, and of all living units."""
    score = units["unitmem"].cast(pa.float64()).to_numpy(zero_copy_only=False)
    layers = np.array(units["layer"].to_pylist(), dtype=object)
    alive = np.isfinite(score)
    top = alive & (score >= np.quantile(score[alive], 0.9)) if alive.any() else alive
    found = {}
    for layer in dict.fromkeys(layers.tolist()):
        here = layers == layer
        found[layer] = _share_of(top, here), _share_of(alive, here)
    return found


def _share_of(chosen: NDArray[np.bool_], here: NDArray[np.bool_]) -> float:
    return float((chosen & here).sum() / max(chosen.sum(), 1))


def _highest(units: pa.Table) -> Sequence[dict[str, Any]]:
    # Negative activations can give any number; what lies in [0, 1] is what the measure means.
    score = units["unitmem"].cast(pa.float64()).to_numpy(zero_copy_only=False)
    inside = np.flatnonzero((score >= 0) & (score <= 1))
    order = inside[np.argsort(-score[inside], kind="stable")]
    return units.take(pa.array(order[:SHOWN])).to_pylist()


def _captions(directory: Path) -> dict[str, str]:
    path = directory / SCORES
    if not path.exists():
        return {}
    scores = read_table(path, ["key", "caption"])
    return dict(zip(scores["key"].to_pylist(), scores["caption"].to_pylist(), strict=True))
