"""What a notebook shows; no notebook runs here, and none is needed."""

from pathlib import Path

import pyarrow as pa
import pytest

import vestige
from report.cases import Page, table
from report.conftest import EVIL
from vestige.errors import VestigeError
from vestige.finished import read_run
from vestige.report.text import number


def test_samples_with_their_pictures(made_runs: Path) -> None:
    run = read_run(made_runs / "a")
    display = vestige.show(run.scores, run.samples(), count=5)
    page = Page(f"<div>{display._repr_html_()}</div>")
    rows = [row for row in run.scores.to_pylist() if row["role"] == "candidate"]
    best = sorted((row["clipmem"] for row in rows), reverse=True)[:5]
    assert page.texts("b") == [number(score) for score in best]
    assert [(image.attributes["src"] or "")[:23] for image in page.find("img")] == ["data:image/webp;base64,"] * 5
    assert not page.find("script")
    assert repr(display).splitlines()[1].startswith(number(best[0]))


def test_texts_of_the_data_are_text() -> None:
    scores = table(captions=[EVIL] * 5, keys=[f"{EVIL}{row}" for row in range(5)])
    source = vestige.show(scores)._repr_html_()
    assert "<img" not in source
    assert EVIL in Page(f"<div>{source}</div>").texts("bdi")


def test_a_finished_run(runs: Path) -> None:
    run = read_run(runs / "a")
    result = vestige.RunResult(run.directory, run.scores, run.summary)
    page = Page(f"<div>{result._repr_html_()}</div>")
    assert number(run.summary["roles"]["candidate"]["mean"]) in page.texts("td")
    assert len(page.find("img")) == 12
    (runs / "a" / "config.yaml").unlink()
    assert not Page(f"<div>{result._repr_html_()}</div>").find("img")


def test_results_of_scoring() -> None:
    result = vestige.ScoreResult(("clipmem",), table(), {}, None)
    assert "caption 0" in result._repr_html_()
    assert "units" in vestige.ScoreResult((), table().select(["key", "group", "role"]), {}, None)._repr_html_()


def test_what_is_no_table_of_scores() -> None:
    with pytest.raises(VestigeError, match="show takes a table of scores"):
        vestige.show(pa.table({"a": [1]}))
    with pytest.raises(VestigeError, match="has no score 'other'"):
        vestige.show(table(), metric="other")
    with pytest.raises(VestigeError, match="has no score 'caption'"):
        vestige.show(table(), metric="caption")


def test_suspicion_is_of_all_roles() -> None:
    scores = table().drop_columns(["role"]).append_column("role", pa.array(["shared"] * 5))
    scores = scores.append_column("suspicion", pa.array([0.1, 0.9, None, 0.5, 0.2], pa.float64()))
    lines = repr(vestige.show(scores, metric="suspicion", count=2)).splitlines()
    assert lines[0] == "2 most suspicious of 5 samples, by suspicion"
    assert [line.split()[0] for line in lines[1:]] == [number(0.9), number(0.5)]
    assert repr(vestige.show(scores)).startswith("none of 5 samples that some models saw and others did not")


def test_no_samples_asked_for() -> None:
    with pytest.raises(VestigeError, match="count is 0"):
        vestige.show(table(), count=0)
