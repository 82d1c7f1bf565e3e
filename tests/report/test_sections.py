"""Further sections of a report: nothing without data, the numbers of the files with them, and text that stays text."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from report.cases import Page, values
from report.conftest import EVIL
from vestige.files import read_json, read_table, write_table
from vestige.report.sections import sections_of
from vestige.report.sections.curve import utility_when_removed
from vestige.report.sections.dejavu import retrieved_pictures
from vestige.report.sections.epochs import memorization_by_epoch, training_loss
from vestige.report.sections.units import units_by_layer


def test_a_folder_without_data_has_none(tmp_path: Path) -> None:
    assert sections_of(tmp_path) == []


def test_curve_over_seeds(tmp_path: Path) -> None:
    rows = [
        {
            "ranking": ranking,
            "removed": removed,
            "seed": seed,
            "measure": "T@1",
            "value": value,
            "low": None,
            "high": None,
        }
        for ranking in ("memorization", "random")
        for removed in (0, 20)
        for seed, value in enumerate((0.5, 0.6, 0.4 + removed / 100))
    ]
    # A mean over the seeds is no seed of its own.
    rows.append(rows[0] | {"seed": None, "value": 0.9, "low": 0.8, "high": 1.0})
    rows.append(rows[0] | {"measure": "probe", "low": 0.45, "high": 0.55})
    schema = pa.schema({"low": pa.float64(), "high": pa.float64()})
    table = pa.Table.from_pylist(rows)
    for name in schema.names:
        table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.float64()))
    write_table(tmp_path / "curve.parquet", table)
    first, second = utility_when_removed(tmp_path)
    point = next(row for row in values(first) if (row["ranking"], row["removed"]) == ("random", 20))
    seen = [0.5, 0.6, 0.6]
    low, high = stats.t.interval(0.95, 2, np.mean(seen), stats.sem(seen))
    assert (point["value"], point["low"], point["high"]) == pytest.approx((np.mean(seen), low, high))
    of_first = next(row for row in values(first) if (row["ranking"], row["removed"]) == ("memorization", 0))
    assert of_first["value"] == pytest.approx(np.mean([0.5, 0.6, 0.4]))
    assert "3 seeds" in first.note
    assert len(values(first)) == 4
    (alone,) = values(second)
    assert (alone["low"], alone["high"]) == (0.45, 0.55)
    assert "one seed" in second.note


def test_epochs(tmp_path: Path) -> None:
    table = {
        "epoch": [1, 2, 1, 2],
        "role": ["candidate", "candidate", "external", "external"],
        "metric": ["clipmem"] * 4,
        "mean": [0.1, 0.2, 0.0, None],
        "low": [0.05, 0.15, -0.01, None],
        "high": [0.15, 0.25, 0.01, None],
    }
    write_table(tmp_path / "epochs.parquet", pa.table(table))
    (section,) = memorization_by_epoch(tmp_path)
    assert [(row["role"], row["epoch"], row["mean"]) for row in values(section)] == [
        ("candidate", 1, 0.1),
        ("candidate", 2, 0.2),
        ("external", 1, 0.0),
    ]


def test_retrieval_over_the_epochs_is_no_memorization(tmp_path: Path) -> None:
    """A chart for each rate, a line for each model: not a chart of memorization for every model and rate."""
    metrics = [f"{model} {rate}" for rate in ("T@1", "I@1") for model in ("g", "f")]
    numbers = {"mean": [0.1, 0.2, 0.3, 0.4], "low": [0.0] * 4, "high": [0.5] * 4}
    rows = {"epoch": [1] * 4, "role": ["heldout"] * 4, "metric": metrics, **numbers}
    write_table(tmp_path / "epochs.parquet", pa.table(rows))
    first, second = memorization_by_epoch(tmp_path)
    assert (first.title, second.title) == ("Retrieval over the epochs: T@1", "Retrieval over the epochs: I@1")
    assert [(row["model"], row["mean"]) for row in values(first)] == [("f", 0.2), ("g", 0.1)]
    assert [(row["model"], row["mean"]) for row in values(second)] == [("f", 0.4), ("g", 0.3)]


def test_training_loss_is_what_was_logged(made_runs: Path) -> None:
    (section,) = training_loss(made_runs / "a")
    rows = values(section)
    assert {row["model"] for row in rows} == {"f", "g"}
    assert [row["step"] for row in rows if row["model"] == "f"] == [2, 5, 8, 11]
    losses = [row["loss"] for row in rows if row["model"] == "f"]
    # Contrastive among 16: about log 16 at first, and less after.
    assert 1.5 < losses[0] < 4
    assert losses[-1] < losses[0]


def test_units(made_runs: Path) -> None:
    (section,) = units_by_layer(made_runs / "a")
    units = [
        row for row in read_table(made_runs / "a" / "scores.units.parquet").to_pylist() if row["unitmem"] is not None
    ]
    layers = list(dict.fromkeys(row["layer"] for row in units))
    assert len(values(section)) == 2 * len(layers)
    for at, layer in enumerate(layers):
        own = [row["unitmem"] for row in units if row["model"] == "f" and row["layer"] == layer]
        point = [row for row in values(section) if row["model"] == "f"][at]
        assert (point["low"], point["median"], point["high"]) == pytest.approx(np.quantile(own, (0.25, 0.5, 0.75)))
    page = Page(f"<div>{section.html}</div>")
    best = max((row for row in units if row["model"] == "f" and 0 <= row["unitmem"] <= 1), key=lambda r: r["unitmem"])
    top = page.texts("tr", inside=None)
    assert any(f"{best['unitmem']:.3f}" in row and "· " in row for row in top)
    shares = [text for text in page.texts("td") if text.endswith("%")]
    assert shares
    assert "<img src=https" not in str(section.html)


def test_dejavu_shows_what_was_retrieved(made_runs: Path) -> None:
    """The stored pictures are those of the test's own algorithm; a hostile caption is text."""
    run = made_runs / "a"
    stored = read_table(run / "scores.retrieved.parquet").to_pylist()
    scores = {row["key"]: row for row in read_table(run / "scores.parquet").to_pylist()}
    own = [row for row in stored if row["rank"] == 0]
    gaps = [scores[row["key"]]["dejavu_recall"] for row in own]
    positive = sorted(
        (
            row["dejavu_recall"]
            for row in scores.values()
            if row["role"] == "candidate" and row["dejavu_recall"] is not None and row["dejavu_recall"] > 0
        ),
        reverse=True,
    )
    assert gaps == positive[:12]
    for sample in own:
        recall = {}
        for model in ("f", "g"):
            found = [row for row in stored if row["key"] == sample["key"] and row["model"] == model]
            assert [row["rank"] for row in found] == [1, 2, 3, 4]
            assert [row["distance"] for row in found] == sorted(row["distance"] for row in found)
            recall[model] = found[0]["recall"]
        assert recall["f"] - recall["g"] == pytest.approx(scores[sample["key"]]["dejavu_recall"])
    assert {"population", "samples"} <= set(read_json(run / "scores.dejavu.json"))
    sections = retrieved_pictures(run)
    assert len(sections) == bool(own)
    for section in sections:
        page = Page(f"<div>{section.html}</div>")
        assert len(page.find("img")) == 9 * len(own)
        assert "<img src=https" not in str(section.html)
        assert page.find("mark")


def test_a_hostile_caption_is_text(runs: Path) -> None:
    path = runs / "a" / "scores.retrieved.parquet"
    table = read_table(path)
    if not len(table):
        pytest.skip("no candidate with a gap in this run")
    for name in ("caption", "objects"):
        value = [EVIL] * len(table) if name == "caption" else [[EVIL]] * len(table)
        table = table.set_column(table.column_names.index(name), name, pa.array(value, table.schema.field(name).type))
    write_table(path, table)
    (section,) = retrieved_pictures(runs / "a")
    assert "<img src=https" not in str(section.html)
    assert EVIL in Page(f"<div>{section.html}</div>").texts("bdi")
