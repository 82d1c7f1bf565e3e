"""`vestige report` from the command line."""

import json
import shutil
from pathlib import Path

import pytest

from refusals import refused
from vestige import cli
from vestige.config import DataConfig, load_config, to_yaml
from vestige.files import read_table


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    return refused(capsys, "report", *arguments)


def test_the_page_anew_and_in_other_formats(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "a" / "report.html").unlink()
    assert cli.main(["report", str(runs / "a")]) == 0
    page = (runs / "a" / "report.html").read_text(encoding="utf-8")
    assert "UnitMem by layer" in page
    assert "Training loss" in page
    assert str(runs / "a" / "report.html") in capsys.readouterr().out
    for kind, name in (("md", "report.md"), ("csv", "scores.csv"), ("parquet", "explorer.parquet")):
        assert cli.main(["report", str(runs / "a"), "--format", kind, "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"written": [str(runs / "a" / name)]}
        assert (runs / "a" / name).stat().st_size > 1000
    assert cli.main(["report", str(runs / "a"), str(runs / "b"), "--out", str(tmp_path / "c.html")]) == 0
    assert "Two runs compared" in (tmp_path / "c.html").read_text(encoding="utf-8")


def test_a_run_whose_data_are_gone(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = runs / "a" / "config.yaml"
    config = load_config(path)
    import dataclasses

    gone = dataclasses.replace(config, data=DataConfig(source=f"folder:{tmp_path / 'gone'}"))
    path.write_text(to_yaml(gone))
    assert cli.main(["report", str(runs / "a"), "--format", "parquet", "--out", str(tmp_path / "e.parquet")]) == 0
    assert "no pictures are shown" in capsys.readouterr().err
    assert read_table(tmp_path / "e.parquet")["picture"].null_count == 80


def test_refusals(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = runs / "a", runs / "b"
    assert "name the folder of a finished run" in said(capsys)
    assert "no such folder" in said(capsys, tmp_path / "nowhere")
    assert "no run lies there" in said(capsys, tmp_path)
    assert "named twice" in said(capsys, a, a)
    assert "two runs are compared as html" in said(capsys, a, b, "--format", "csv")
    assert "3 are given" in said(capsys, a, b, a)
    assert "is a folder: name a file" in said(capsys, a, "--out", tmp_path)
    assert "is a file: figures are several" in said(capsys, a, "--format", "png", "--out", a / "config.yaml")
    (a / "scores.parquet").unlink()
    assert "is not finished" in said(capsys, a)
    shutil.rmtree(b / "models")
    assert "is not finished" in said(capsys, b, a)
