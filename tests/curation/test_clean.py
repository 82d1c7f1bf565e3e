"""`vestige clean`: how samples are chosen, what is said of it, and the one line for everything that cannot be done."""

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from curation.cases import scores, written_scores
from refusals import refused
from vestige import cli
from vestige.curation import clean as module
from vestige.curation.writers import Written
from vestige.data import open_source

KEYS = tuple(f"{number}.png" for number in range(10))


@pytest.fixture
def data(tmp_path) -> str:
    rows = "".join(f"{key},caption {key}\n" for key in KEYS)
    (tmp_path / "t.csv").write_text(f"filepath,title\n{rows}", encoding="utf-8")
    return f"csv:{tmp_path / 't.csv'}"


@pytest.fixture
def table(tmp_path) -> Path:
    """0.png and 1.png are the most memorized; they and 2.png reach a rate of 0.05; 9.png has no score."""
    values = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, None]
    q_values = [0.01, 0.02, 0.04, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, None]
    own = scores(KEYS, values, q_value=q_values, align_out=list(range(10)))
    own = own.set_column(1, "group", [["x", "b", "c", "x", "e", "f", "g", "h", "i", "j"]])
    pq.write_table(own, tmp_path / "scores.parquet")
    return tmp_path / "scores.parquet"


def cleaned(capsys, table, data, out, *arguments) -> dict:
    words = ["clean", table, "--data", data, "--out", out, "--json", *arguments]
    assert cli.main([str(word) for word in words]) == 0
    return json.loads(capsys.readouterr().out)


def left(out: Path) -> list[str]:
    return list(open_source(f"csv:{out}").keys())


def test_ways_to_choose(table, data, tmp_path, capsys):
    def gone(name: str, *arguments: object) -> set[str]:
        cleaned(capsys, table, data, tmp_path / name, *arguments)
        return set(KEYS) - set(left(tmp_path / name))

    assert gone("a", "--top", 2) == {"0.png", "1.png"}
    assert gone("b", "--fdr", 0.05) == {"0.png", "1.png", "2.png"}
    assert gone("c", "--top", 2, "--by", "align_out", "--order", "highest") == {"9.png", "8.png"}
    assert gone("d", "--top", 1, "--whole-groups") == {"0.png", "3.png"}
    assert gone("e", "--top", 2, "--keep") == set(KEYS) - {"0.png", "1.png"}
    (tmp_path / "marks.csv").write_text("key,mark\n4.png,reject\n5.png,accept\n9.png,reject\n6.png,unsure\n")
    assert gone("f", "--keys", tmp_path / "marks.csv") == {"4.png", "9.png"}
    assert len(gone("g", "--top", 4, "--by", "random")) == 4
    assert gone("h", "--top", 4, "--by", "random") == gone("i", "--top", 4, "--by", "random")
    assert "9.png" not in gone("j", "--top", 8, "--by", "random")


def test_what_went_and_why(table, data, tmp_path, capsys):
    out = tmp_path / "new.csv"
    summary = cleaned(capsys, table, data, out, "--top", 1, "--whole-groups")
    with (tmp_path / "new.csv.manifest.csv").open(newline="") as lines:
        rows = {row["key"]: row for row in csv.DictReader(lines)}
    assert list(rows) == list(KEYS)
    first = {"action": "removed", "reason": "1 of 9 by memorization", "score": "0.9", "q_value": "0.01", "rank": "1"}
    assert rows["0.png"] == {"key": "0.png"} | first
    assert (rows["3.png"]["action"], rows["3.png"]["reason"]) == ("removed", "in one group with 0.png")
    kept = {"action": "kept", "reason": "", "score": "0.8", "q_value": "0.02", "rank": "2"}
    assert rows["1.png"] == {"key": "1.png"} | kept
    assert [rows["9.png"][name] for name in ("action", "score", "q_value", "rank")] == ["kept", "", "", ""]
    assert summary == json.loads((tmp_path / "new.csv.clean.json").read_text())
    counts = {"samples": 10, "ranked": 9, "chosen": 2, "removed": 2, "kept": 8, "recaptioned": 0}
    assert counts.items() <= summary["counts"].items()
    assert summary["false_discovery_rate"] == 0.01
    assert summary["samples_read_back"] == 8
    # The command that is written down does the same again.
    again = summary["command"].replace("new.csv", "again.csv")
    assert cli.main(again.split()[1:]) == 0
    assert (tmp_path / "again.csv").read_bytes() == out.read_bytes()


def test_the_top_of_another_ranking_has_no_rate(table, data, tmp_path, capsys):
    summary = cleaned(capsys, table, data, tmp_path / "n.csv", "--top", 2, "--by", "align_out")
    assert summary["false_discovery_rate"] is None


def test_the_manifest_as_parquet(table, data, tmp_path, capsys):
    cleaned(capsys, table, data, tmp_path / "new.csv", "--fdr", 0.03, "--manifest", tmp_path / "m.parquet")
    rows = pq.read_table(tmp_path / "m.parquet").to_pylist()
    first = {"action": "removed", "reason": "q-value 0.01, at most 0.03", "score": 0.9, "q_value": 0.01, "rank": 1}
    assert rows[0] == {"key": "0.png"} | first
    assert rows[9] == {"key": "9.png", "action": "kept"} | dict.fromkeys(("reason", "score", "q_value", "rank"))


def test_what_is_printed(table, data, tmp_path, capsys):
    assert cli.main(["clean", str(table), "--data", data, "--top", "3", "--out", str(tmp_path / "n.csv")]) == 0
    printed = capsys.readouterr().out
    assert "3 removed of 10 samples, 7 left" in printed
    assert "false-discovery rate of 0.04" in printed
    assert f"csv:{tmp_path / 'n.csv'}" in printed
    assert "n.csv.manifest.csv" in printed


def test_scores_of_samples_that_are_not_in_the_data_are_counted(data, tmp_path, capsys):
    table = written_scores(tmp_path / "s.parquet", [*KEYS[:2], "heldout:0.png", "0.png~copy1"])
    summary = cleaned(capsys, table, data, tmp_path / "n.csv", "--top", 1)
    assert summary["counts"]["scores_of_no_sample"] == 2
    own = pq.read_table(table)
    pq.write_table(own.set_column(1, "group", [["a", "b", "c", "b"]]), table)
    summary = cleaned(capsys, table, data, tmp_path / "m.csv", "--top", 1, "--whole-groups")
    assert summary["counts"]["chosen"] == 1
    assert left(tmp_path / "n.csv") == [key for key in KEYS if key != "1.png"]


def test_samples_are_named_where_nothing_can_be_ranked(data, tmp_path, capsys):
    pq.write_table(scores(KEYS, [None] * 10), tmp_path / "s.parquet")
    (tmp_path / "keys.json").write_text('["3.png"]')
    summary = cleaned(capsys, tmp_path / "s.parquet", data, tmp_path / "n.csv", "--keys", tmp_path / "keys.json")
    assert (summary["counts"]["ranked"], summary["counts"]["removed"]) == (0, 1)
    assert "3.png" not in left(tmp_path / "n.csv")


@pytest.mark.parametrize("text", ["no header", "filepath,title\n0.png,red\n"])
def test_a_set_that_does_not_read_back_is_not_left_there(table, data, tmp_path, capsys, monkeypatch, text):
    def write(origin, changes, out):
        out.write_text(text)
        return Written("csv")

    monkeypatch.setattr(module, "writer_of", lambda form: write)
    refused(capsys, "clean", table, "--data", data, "--out", tmp_path / "n.csv", "--top", 1)
    assert not list(tmp_path.glob("n.csv*"))


def test_refusals(table, data, tmp_path, capsys):
    out = tmp_path / "n.csv"

    def said(*arguments: object) -> str:
        found = refused(capsys, "clean", table, "--data", data, "--out", out, *arguments)
        assert not out.exists()
        return found

    assert "chosen in one way: --top NUMBER, --fdr RATE or --keys FILE; found none" in said()
    assert "found --top and --fdr" in said("--top", 1, "--fdr", 0.1)
    assert "50 samples asked for, and 9 are ranked by memorization" in said("--top", 50)
    assert "nothing is called memorized at a false-discovery rate of 0.001" in said("--fdr", 0.001)
    assert "all 10 samples of the data are chosen" in said("--top", 10, "--by", "align_out")
    assert "'combined' is not in the table of scores: rank by one of" in said("--top", 1, "--by", "combined")
    (tmp_path / "keys.txt").write_text("0.png\nx.png\ny.png\n")
    assert "2 of 3 keys are not in the data, the first is 'x.png'" in said("--keys", tmp_path / "keys.txt")
    (tmp_path / "marks.csv").write_text("key,mark\n0.png,reject\n")
    assert "marks say what to take out" in said("--keys", tmp_path / "marks.csv", "--keep")
    assert "no such file of captions" in said("--top", 1, "--recaption", tmp_path / "none.parquet")
    assert "is there already" in refused(capsys, "clean", table, "--data", data, "--out", table, "--top", 1)
    assert "--manifest ends in .csv or .parquet" in said("--top", 1, "--manifest", tmp_path / "m.xlsx")
    other = written_scores(tmp_path / "other.parquet", ["p", "q"])
    assert "no key of the scores is a key of the data (the first is 'q')" in refused(
        capsys, "clean", other, "--data", data, "--out", out, "--top", 1
    )
    assert "name the data with --data" in refused(capsys, "clean", table, "--out", out, "--top", 1)
    assert "no run lies there" in refused(capsys, "clean", tmp_path / "nowhere", "--out", out, "--top", 1)
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "config.yaml").write_text("{}")
    assert "the run has no scores yet: vestige run" in refused(
        capsys, "clean", tmp_path / "begun", "--out", out, "--top", 1
    )
    (tmp_path / "text.parquet").write_text("no table")
    assert "not a table of scores in Parquet" in refused(
        capsys, "clean", tmp_path / "text.parquet", "--data", data, "--out", out, "--top", 1
    )


def test_a_cleaned_set_is_not_written_into_its_own_data(make_folder, tmp_path, capsys):
    folder = make_folder(4)
    data = f"folder:{folder}"
    table = written_scores(tmp_path / "s.parquet", open_source(data).keys())
    message = refused(capsys, "clean", table, "--data", data, "--out", folder / "new", "--top", 1)
    assert "lies within the data" in message
