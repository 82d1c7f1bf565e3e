"""Scoring from files to files, through the command line: runs, checkpoints, embeddings that were kept."""

import json

import numpy as np
import pytest

from refusals import refused
from vestige import cli
from vestige.config import DataConfig, DesignConfig, PlantConfig, RunConfig, to_yaml
from vestige.data import open_source
from vestige.files import read_json, read_table
from vestige.training.config import TrainingConfig


def table_of(folder, path, colours=("red", "green", "blue")):
    """An OpenCLIP csv of a folder of drawings, with the words of the captions as objects."""
    lines = ["filepath\ttitle\tobjects"]
    for picture in sorted(folder.glob("*.png")):
        caption = picture.with_suffix(".txt").read_text().strip()
        objects = ";".join(caption.split()[1:3]) if any(colour in caption for colour in colours) else ""
        lines.append(f"{picture}\t{caption}\t{objects}")
    path.write_text("\n".join(lines) + "\n")
    return f"csv:{path}"


@pytest.fixture
def run(make_folder, small_model, tmp_path):
    source = table_of(make_folder(90), tmp_path / "pairs.csv")
    config = RunConfig(
        data=DataConfig(source=source, options={"objects_column": "objects"}),
        design=DesignConfig(candidates=12, external=24),
        plant=PlantConfig(captions=3),
        model=str(small_model),
        training=TrainingConfig(epochs=2, batch_size=16, warmup_epochs=1),
    )
    (tmp_path / "c.yaml").write_text(to_yaml(config))
    assert cli.main(["run", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "run")]) == 0
    return tmp_path / "run"


def vestige_score(*arguments) -> int:
    return cli.main(["score", *map(str, arguments)])


def test_metrics_add_columns_to_the_table_of_a_run(run, make_folder, tmp_path, capsys):
    before = read_table(run / "scores.parquet")
    public = table_of(make_folder(40, "public", first=200), tmp_path / "public.csv")
    assert open_source(public, objects_column="objects")
    arguments = ["--metric", "clipmem,multimem,sslmem,unitmem,dejavu", "--embedding.views", 2, "--public", public]
    arguments += ["--options", "objects_column", "objects", "--recovery.neighbours", 5, "--json"]
    capsys.readouterr()
    assert vestige_score(run, *arguments) == 0
    summary = json.loads(capsys.readouterr().out)
    after = read_table(run / "scores.parquet")
    assert after.column_names[: len(before.column_names)] == before.column_names
    for name in set(before.column_names) - {"clipmem", "clipmem_heldout_se"}:
        assert after[name].equals(before[name]), name
    # Crops of the pictures now, none in the run: the metric itself is that of the settings asked for.
    assert not np.allclose(after["clipmem"].to_pylist(), before["clipmem"].to_pylist())
    added = {
        "multimem",
        "multimem_image_text",
        "sslmem_image",
        "dejavu_recall",
        "dejavu_precision",
        "units_f",
        "units_g",
    }
    assert added <= set(after.column_names)
    units = read_table(run / "scores.units.parquet")
    assert set(units["model"].to_pylist()) == {"f", "g"}
    of_f = units.filter(np.array(units["model"].to_pylist()) == "f")
    assert sum(after["units_f"].to_pylist()) == len(of_f) - sum(of_f["dead"].to_pylist())
    saw = {
        key
        for key, role in zip(after["key"].to_pylist(), after["role"].to_pylist(), strict=True)
        if role in ("shared", "candidate")
    }
    assert set(of_f["key"].to_pylist()) <= saw
    gaps = read_json(run / "scores.dejavu.json")
    assert gaps == summary["dejavu"]
    assert set(gaps["population"]) == {"candidate", "external"}
    assert set(gaps["samples"]) == {"distance", "correct", "gap"}
    recall = [value for value in after["dejavu_recall"].to_pylist() if value is not None]
    assert len(recall) == 45
    assert {layer["layer"].split(".")[0] for layer in summary["units"]["f"]} == {"visual", "transformer"}
    assert not [path for path in run.iterdir() if ".work-" in path.name]


def test_metrics_in_words(run, capsys):
    assert vestige_score(run, "--metric", "unitmem") == 0
    printed = capsys.readouterr().out
    assert "UnitMem of f by layer" in printed
    assert f"written: {run / 'scores.units.parquet'}" in printed
    assert {"clipmem", "units_f"} <= set(read_table(run / "scores.parquet").column_names)


def test_embeddings_that_were_kept(run, tmp_path):
    stores = ["--f", run / "embeddings" / "f", "--g", run / "embeddings" / "g"]
    out = tmp_path / "again.parquet"
    assert (
        vestige_score(*stores, "--membership", run / "membership.parquet", "--metric", "clipmem,multimem", "--out", out)
        == 0
    )
    ours, theirs = read_table(out), read_table(run / "scores.parquet")
    for name in ("key", "group", "role", "clipmem", "align_out", "p_value", "q_value"):
        assert ours[name].equals(theirs[name]), name
    assert "multimem" in ours.column_names
    held = ["--heldout-f", run / "embeddings" / "f", "--heldout-g", run / "embeddings" / "g"]
    assert vestige_score(*stores, *held, "--out", out) == 0
    assert len(read_table(out)) == 180


def test_suspicion_is_in_the_table_of_a_run_and_can_be_asked_for(run, tmp_path, capsys):
    theirs = read_table(run / "scores.parquet")
    suspicion = theirs["suspicion"].to_pylist()
    assert len(set(suspicion)) > 60
    assert 0 < min(suspicion) < max(suspicion) < 1
    role = np.array(theirs["role"].to_pylist())
    seen = np.array([value is not None for value in theirs["pair_loss_in"].to_pylist()])
    assert (seen == (role != "external")).all()
    unseen = np.array([value is not None for value in theirs["neighbour_agreement_out"].to_pylist()])
    assert (unseen == (role != "shared")).all()
    out = tmp_path / "again.parquet"
    stores = ["--f", run / "embeddings" / "f", "--g", run / "embeddings" / "g"]
    assert (
        vestige_score(*stores, "--membership", run / "membership.parquet", "--metric", "suspicion", "--out", out) == 0
    )
    assert f"written: {out}" in capsys.readouterr().out
    assert read_table(out)["suspicion"].to_pylist() == suspicion
    assert vestige_score(run, "--metric", "suspicion") == 0
    again = read_table(run / "scores.parquet")
    assert again.column_names == theirs.column_names
    assert again["suspicion"].to_pylist() == suspicion


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name a run"),
        (["RUN", "--f", "x.pt"], "leave out --f"),
        (
            ["RUN", "--metric", "clipmen"],
            "unknown metric clipmen: known are clipmem, multimem, sslmem, labelmem, unitmem, dejavu, suspicion",
        ),
        (["RUN", "--metric", "dejavu"], "name one with --public"),
        (["RUN", "--metric", "sslmem"], "set embedding.views"),
        (["--f", "RUN/embeddings/f", "--g", "RUN/embeddings/g", "--metric", "unitmem"], "unitmem needs the models"),
        (["--f", "RUN/embeddings/f", "--g", "RUN/embeddings/g", "--heldout-f", "RUN/embeddings/f"], "of both models"),
        (["--f", "RUN/embeddings/f", "--g", "RUN/embeddings/g"], "no held-out samples"),
        (["--f", "RUN/models/f", "--g", "RUN/models/g"], "name the samples with --data"),
        (["RUN/models"], "no run lies there"),
    ],
)
def test_what_does_not_go_together_is_one_line(run, capsys, arguments, said):
    before = read_table(run / "scores.parquet")
    words = [argument.replace("RUN", str(run)) for argument in arguments]
    assert said in refused(capsys, "score", *words)
    assert read_table(run / "scores.parquet").equals(before)
