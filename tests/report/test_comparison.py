"""Two runs compared: the numbers against their definition, sample by sample."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from vestige.comparison import compare
from vestige.config import load_config, to_yaml
from vestige.errors import VestigeError
from vestige.files import read_table, write_table
from vestige.finished import read_run
from vestige.usefulness import usefulness


def by_key(run: Path) -> dict[str, dict]:
    return {row["key"]: row for row in read_table(run / "scores.parquet").to_pylist()}


def memorization(row: dict) -> float:
    """Seen minus unseen of one sample, from the alignments themselves; NaN where none or all saw it."""
    return np.nan if row["align_in"] is None or row["align_out"] is None else row["align_in"] - row["align_out"]


def test_sample_by_sample(runs: Path) -> None:
    found = compare(read_run(runs / "a"), read_run(runs / "b"))
    a, b = by_key(runs / "a"), by_key(runs / "b")
    expected = {key for key in a if np.isfinite(memorization(a[key])) and np.isfinite(memorization(b[key]))}
    assert set(found.both.keys) == expected
    assert len(expected) == 32
    for place, key in enumerate(found.both.keys):
        # The run was scored anew since: the score and its alignments agree to rounding.
        assert found.both.a[place] == pytest.approx(memorization(a[key]), abs=1e-5)
        assert found.both.b[place] == pytest.approx(memorization(b[key]), abs=1e-5)
        assert found.both.role_a[place] == a[key]["role"]
        assert a[key]["key"] == read_table(runs / "b" / "scores.parquet")["key"][int(found.both.row_b[place])].as_py()
    assert found.agreement is not None
    assert found.agreement.rho == pytest.approx(float(stats.spearmanr(found.both.a, found.both.b).statistic))
    assert found.change is not None
    assert found.change.mean == pytest.approx(float(np.mean(found.both.b - found.both.a)))
    candidates = [key for key in a if a[key]["role"] == "candidate"]
    change = found.changes["candidate"]
    assert change is not None
    assert change.n == 16
    assert change.mean == pytest.approx(np.mean([b[key]["clipmem"] - a[key]["clipmem"] for key in candidates]))
    mean_of_a, mean_of_b = found.roles["candidate"]
    assert mean_of_a is not None
    assert mean_of_b is not None
    assert mean_of_a["mean"] == pytest.approx(np.mean([a[key]["clipmem"] for key in candidates]))
    assert mean_of_b["mean"] == pytest.approx(np.mean([b[key]["clipmem"] for key in candidates]))


def test_ends_of_the_changes(runs: Path) -> None:
    both = compare(read_run(runs / "a"), read_run(runs / "b")).both
    rose, fell = both.moved(5)
    change = both.b - both.a
    assert [change[place] for place in rose] == sorted(change[change > 0], reverse=True)[:5]
    assert [change[place] for place in fell] == sorted(change[change < 0])[:5]


def test_what_is_not_in_both_is_counted(runs: Path) -> None:
    """Rows are joined by key, in whatever order, and a sample may be a candidate here and independent there."""
    table = read_table(runs / "b" / "scores.parquet")
    rows = table.to_pylist()
    whole = compare(read_run(runs / "a"), read_run(runs / "b"))
    turned = next(row for row in rows if row["role"] == "candidate")
    turned |= {"role": "independent", "clipmem": -turned["clipmem"], "caption": "another"}
    gone = [row["key"] for row in rows[:3]]
    kept = [row for row in rows[::-1] if row["key"] not in gone] + [rows[0] | {"key": "only here"}]
    write_table(runs / "b" / "scores.parquet", pa.Table.from_pylist(kept, schema=table.schema))
    found = compare(read_run(runs / "a"), read_run(runs / "b"))
    assert (found.common, found.only_a, found.only_b, found.captions) == (77, 3, 1, 1)
    of = dict(zip(whole.both.keys, whole.both.b, strict=True))
    assert dict(zip(found.both.keys, found.both.b, strict=True)) == pytest.approx(
        {key: value for key, value in of.items() if key not in gone}
    )
    place = list(found.both.keys).index(turned["key"])
    assert (found.both.role_a[place], found.both.role_b[place]) == ("candidate", "independent")


def test_settings_and_utility(runs: Path) -> None:
    found = compare(read_run(runs / "a"), read_run(runs / "b"))
    assert found.settings == [("training.weight_decay", 0.1, 3.0)]
    evaluation = {
        "model": ["f", "f"],
        "task": ["probe", "zero-shot"],
        "data": ["flowers", "flowers"],
        "measure": ["accuracy", "accuracy"],
        "value": [0.5, None],
        "low": [0.4, None],
        "high": [0.6, None],
        "n": [100, 100],
        "chance": [0.1, None],
        "seeds": [1, 1],
    }
    write_table(runs / "a" / "evaluation.parquet", pa.table(evaluation))
    found = compare(read_run(runs / "a"), read_run(runs / "b"))
    only = [one for one, other in found.useful if other is None]
    assert [(one.task, one.value, one.low, one.high) for one in only if one] == [("probe", 0.5, 0.4, 0.6)]
    retrieval = read_run(runs / "b").summary["retrieval"]["models"]
    values = {(figure.model, figure.measure): figure.value for _, figure in found.useful if figure}
    assert values == {(model, rate): value for model, rates in retrieval.items() for rate, value in rates.items()}
    assert len(usefulness(read_run(runs / "a"))) == len(values) + 1


def test_what_cannot_be_compared(runs: Path) -> None:
    table = read_table(runs / "b" / "scores.parquet")
    keys = pa.array([f"other {key}" for key in table["key"].to_pylist()])
    write_table(runs / "b" / "scores.parquet", table.set_column(0, "key", keys))
    with pytest.raises(VestigeError, match="have no sample in common"):
        compare(read_run(runs / "a"), read_run(runs / "b"))
    a, b = read_run(runs / "a"), read_run(runs / "b")
    other = dataclasses.replace(
        b,
        summary=dict(b.summary) | {"metric": "multimem"},
        scores=b.scores.rename_columns(["multimem" if name == "clipmem" else name for name in b.scores.column_names]),
    )
    with pytest.raises(VestigeError, match=r"has clipmem and .* multimem: score one with the metric of the other"):
        compare(a, other)


def test_runs_that_are_none_or_not_finished(runs: Path, tmp_path: Path) -> None:
    for spoil, said in (
        (lambda: (runs / "a" / "summary.json").write_text("{"), "damaged"),
        (lambda: (runs / "a" / "scores.parquet").unlink(), "is not finished"),
        (lambda: (runs / "a" / "config.yaml").unlink(), "no run lies there"),
    ):
        spoil()
        with pytest.raises(VestigeError, match=said):
            read_run(runs / "a")
    with pytest.raises(VestigeError, match="no such folder"):
        read_run(tmp_path / "nowhere")


def test_differences_are_those_of_the_configurations(runs: Path) -> None:
    """A seed that differs is a setting like any other."""
    config = load_config(runs / "b" / "config.yaml")
    (runs / "b" / "config.yaml").write_text(to_yaml(dataclasses.replace(config, seed=7)))
    found = compare(read_run(runs / "a"), read_run(runs / "b"))
    assert ("seed", 0, 7) in found.settings
