"""The benchmark of finding wrong captions: from nothing to its tables, on a small collection."""

import json
from pathlib import Path

import pytest
import torch

from vestige.errors import VestigeError

pytest.importorskip("cleanlab")


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import detection

    return detection


@pytest.mark.filterwarnings("ignore")
def test_from_nothing_to_its_tables(benchmark, make_folder, small_model, tmp_path, monkeypatch, capsys):
    """Every finder has its row; a second call trains nothing and says the same."""
    arguments = ["--quick", "--jobs", "1", "--batch-size", "32", "--model", str(small_model)]
    arguments += ["--datasets", f"folder:{make_folder(120)}", "--out", str(tmp_path / "out")]
    benchmark.main(arguments)
    text = (tmp_path / "out" / "detection.md").read_text()
    assert "5% planted: 5 of 108 wrong" in text
    rows = json.loads((tmp_path / "out" / "detection.json").read_text())
    assert [row["finder"] for row in rows] == [finder.name for finder in benchmark.FINDERS]
    for row in rows:
        assert 0 <= row["AUC"]["mean"] <= 1
        assert row["AUC"]["low"] is None
    one, two = (len(list((tmp_path / "out").rglob(f"{design}/models/*"))) for design in ("one", "two"))
    assert (one, two) == (1, 2)

    def refuse(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(benchmark, "execute", refuse)
    capsys.readouterr()
    benchmark.main(arguments)
    assert capsys.readouterr().out.strip() == text.strip()
    # Figures of other settings are not taken for these.
    with pytest.raises(AssertionError, match="trained again"):
        benchmark.main([*arguments, "--seeds", "1", "--out", str(tmp_path / "other")])


def test_figures_of_a_perfect_and_of_a_useless_finder(benchmark):
    wrong = torch.arange(20) < 4
    assert benchmark.figures(-torch.arange(20.0), wrong) == {
        **{"AUC": 1.0, "AP": 1.0, "precision at n": 1.0},
        **{"n": 20, "wrong": 4},
    }
    assert benchmark.figures(torch.zeros(20), wrong)["AUC"] == 0.5


def test_seeds_that_chose_do_not_judge(benchmark, tmp_path, capsys):
    with pytest.raises(SystemExit):
        benchmark.main(["--out", str(tmp_path), "--seeds", "0", "101"])
    assert "--seeds: 101 chose what suspicion combines" in capsys.readouterr().err


def test_cleanlab_is_asked_for_before_anything_is_trained(benchmark, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "find_spec", lambda name: None)
    with pytest.raises(VestigeError, match="pip install cleanlab"):
        benchmark.main(["--out", str(tmp_path), "--quick"])


def test_wrong_titles_by_their_text(benchmark):
    from wrong_titles import wrong_titles

    titles = {f"stars/{number}": "Gramastar" for number in range(51)} | {
        "a": "A red fox",
        "b": "mail me@home.org",
        "c": "Grampa&#39;n Gramma",
        "d": "danger général",
        "e": "Rios de Espana",
        "animals/gabbiano_architetto_fran_01": "Gabbiano",
        "buildings/architectural_column_01": "Column",
    }
    found = wrong_titles(titles)
    assert {found.pop(f"stars/{number}") for number in range(51)} == {"shared"}
    foreign = ("d", "e", "animals/gabbiano_architetto_fran_01")
    assert found == {"b": "corrupt", "c": "corrupt"} | dict.fromkeys(foreign, "foreign")
    titles.pop("stars/0")
    assert "stars/1" not in wrong_titles(titles)


def test_the_half_that_is_judged_is_always_the_same(benchmark):
    names = [f"group {number}" for number in range(400)]
    judged = [name for name in names if benchmark._judged(name)]
    assert 160 < len(judged) < 240
    assert judged[:3] == [name for name in names[: names.index(judged[2]) + 1] if benchmark._judged(name)]
