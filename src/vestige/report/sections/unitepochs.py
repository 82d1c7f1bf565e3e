"""How single units came to memorize over the epochs of a training, layer by layer."""

from collections.abc import Mapping
from pathlib import Path

import altair as alt
import numpy as np
import pyarrow as pa

from vestige.files import read_table
from vestige.report.charts import COLOURS, lines
from vestige.report.markup import table
from vestige.report.section import Section
from vestige.report.sections.units import LAYERS, LONGEST_LAYER, quartiles, told_apart, top_shares
from vestige.report.text import brief, number, percent
from vestige.units import of_model

UNITS = "epochs/[0-9]*/units.parquet"
COLUMNS = ["model", "layer", "unitmem"]


def units_by_epoch(directory: Path) -> list[Section]:
    """A line an epoch over the layers of the first model, and where its top units lay after each."""
    files = sorted(directory.glob(UNITS))
    if len(files) < 2:
        return []
    units = {f"after {int(file.parent.name)}": read_table(file, COLUMNS) for file in _thinned(files)}
    model = next(iter(units.values()))["model"][0].as_py()
    own = {epoch: of_model(found, model) for epoch, found in units.items()}
    points = [{"epoch": epoch, **point} for epoch, found in own.items() for point in quartiles(found)]
    if not points:
        return []
    short = told_apart(list(dict.fromkeys(point["layer"] for point in points)))
    return [
        Section(
            title="UnitMem over the epochs",
            note=(
                f"UnitMem of the units of {model} after epochs that were kept: the median over the living units of a"
                " layer, and the middle half. Samples are those the model saw."
            ),
            specification=lines(
                [point | {"layer": short[point["layer"]]} for point in points],
                across=alt.X("layer:O", sort=list(short.values()), axis=LAYERS),
                up=alt.Y("median:Q", axis=alt.Axis(title="UnitMem (median, middle half)")),
                series="epoch",
                legend="epoch",
            ),
            html=_medians(own) + _tops(own),
        )
    ]


def _thinned(files: list[Path]) -> list[Path]:
    """At most as many as there are colours, evenly spaced, the first and the last always."""
    places = np.linspace(0, len(files) - 1, min(len(files), len(COLOURS))).round().astype(int)
    return [files[place] for place in places.tolist()]


def _medians(own: Mapping[str, pa.Table]):
    found = {epoch: {point["layer"]: number(point["median"]) for point in quartiles(of)} for epoch, of in own.items()}
    return _by_layer("Median UnitMem of every layer", found)


def _tops(own: Mapping[str, pa.Table]):
    found = {epoch: {layer: percent(top) for layer, (top, _) in top_shares(of).items()} for epoch, of in own.items()}
    return _by_layer("Where the tenth of the units with the highest UnitMem lay", found)


def _by_layer(title: str, found: Mapping[str, Mapping[str, str]]):
    """A row a layer, a column an epoch."""
    layers = dict.fromkeys(layer for of in found.values() for layer in of)
    rows = [(brief(layer, LONGEST_LAYER), *(of.get(layer, "") for of in found.values())) for layer in layers]
    return table(title, ("layer", *found), rows)
