"""UnitMem of the models that a training kept on the way, from the command line to the report."""

import numpy as np
import pytest

from report.cases import Page, values
from vestige import cli
from vestige.config import DataConfig, DesignConfig, RunConfig
from vestige.files import read_table
from vestige.report.sections import sections_of
from vestige.report.sections.unitepochs import units_by_epoch
from vestige.runs import execute
from vestige.training.config import TrainingConfig


@pytest.fixture
def kept(make_folder, small_model, tmp_path):
    """A run that kept the epochs 1 and 3 of 3."""
    training = TrainingConfig(epochs=3, batch_size=16, warmup_epochs=0, keep_epochs=(1,))
    config = RunConfig(
        data=DataConfig(source=f"folder:{make_folder(60)}"),
        design=DesignConfig(candidates=8, external=12),
        model=str(small_model),
        training=training,
    )
    execute(config, tmp_path / "run")
    return tmp_path / "run"


def test_units_of_kept_epochs(kept, tmp_path):
    """The last epoch is the finished model; another is another; a table elsewhere leaves the run alone."""
    assert units_by_epoch(kept) == []
    assert cli.main(["score", str(kept), "--metric", "unitmem", "--out", str(tmp_path / "own.parquet")]) == 0
    assert not list(kept.glob("epochs/*/units.parquet"))
    assert cli.main(["score", str(kept), "--metric", "unitmem"]) == 0
    finished = read_table(kept / "scores.units.parquet")
    first, last = (read_table(kept / "epochs" / name / "units.parquet") for name in ("00001", "00003"))
    assert last.equals(finished)
    assert first.column_names == finished.column_names
    assert first["layer"].equals(finished["layer"])
    assert not first["unitmem"].equals(finished["unitmem"])
    assert sorted(path.name for path in (kept / "epochs/00001").iterdir()) == [
        *("f", "figures.parquet", "g", "units.parquet")
    ]
    (section,) = units_by_epoch(kept)
    assert section.title in {own.title for own in sections_of(kept)}
    points = values(section)
    layers = list(dict.fromkeys(finished["layer"].to_pylist()))
    assert [point["epoch"] for point in points] == ["after 1"] * len(layers) + ["after 3"] * len(layers)
    for found, epoch in ((first, "after 1"), (last, "after 3")):
        own = [row for row in found.to_pylist() if row["model"] == "f" and row["unitmem"] is not None]
        for layer, point in zip(layers, (p for p in points if p["epoch"] == epoch), strict=True):
            expected = np.quantile([row["unitmem"] for row in own if row["layer"] == layer], (0.25, 0.5, 0.75))
            assert (point["low"], point["median"], point["high"]) == pytest.approx(tuple(expected))
    shares = [text for text in Page(f"<div>{section.html}</div>").texts("td") if text.endswith("%")]
    assert len(shares) == 2 * len(layers)
