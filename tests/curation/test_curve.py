"""The removal curve: what is removed, what stays as it is, what is done once, and what the numbers are."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from drawings import draw
from vestige import cli, runs
from vestige.config import DataConfig, DesignConfig, PlantConfig, RunConfig, load_config
from vestige.curation import curve as module
from vestige.curation.curve import CurveConfig, curve
from vestige.curation.ranking import rank
from vestige.data.plant import Planted
from vestige.designs import Design
from vestige.embeddings import EmbeddingConfig
from vestige.errors import VestigeError
from vestige.files import read_table
from vestige.metrics import mean_interval
from vestige.models.blueprint import load_encoder
from vestige.runs import execute
from vestige.training.loop import TrainingConfig


@pytest.fixture(scope="module")
def trained(tmp_path_factory, small_model) -> Path:
    """A run with planted captions, and a curve of two seeds over it."""
    place = tmp_path_factory.mktemp("curve")
    (place / "pictures").mkdir()
    for number in range(60):
        picture, caption = draw(number)
        picture.save(place / "pictures" / f"{number:04d}.png")
        (place / "pictures" / f"{number:04d}.txt").write_text(caption + "\n", encoding="utf-8")
    config = RunConfig(
        data=DataConfig(source=f"folder:{place / 'pictures'}"),
        design=DesignConfig(candidates=8, external=20),
        plant=PlantConfig(captions=4, copies=2),
        model=str(small_model),
        training=TrainingConfig(epochs=1, batch_size=8, warmup_epochs=0),
        embedding=EmbeddingConfig(shard_size=64),
    )
    with pytest.MonkeyPatch.context() as patch:
        # Reports have tests of their own, and take half of the time of a run as small as this.
        patch.setattr(runs, "build_report", lambda *_, out, **__: out.write_text("", encoding="utf-8"))
        execute(config, place / "run")
        curve(CurveConfig(place / "run", removed="0,3", by="memorization,random", seeds=2))
    return place / "run"


def test_the_top_of_the_ranking_goes_and_nothing_else_changes(trained):
    scores, whole = read_table(trained / "scores.parquet"), Design.load(trained / "membership.parquet")
    saw = dict(zip(whole.keys, whole.member[0].tolist(), strict=True))
    order = [key for key in rank(scores).keys if saw[key]]
    for seed in (0, 1):
        left = Design.load(trained / "curve" / f"memorization-3-{seed}" / "membership.parquet")
        assert left.keys == whole.without(set(order[:3])).keys
        kept = [whole.keys.index(key) for key in left.keys]
        assert np.array_equal(left.member, whole.member[:, kept])
        table = read_table(trained / "curve" / f"memorization-3-{seed}" / "scores.parquet")
        assert set(table["key"].to_pylist()) == set(left.keys)
    gone = [
        set(whole.keys) - set(Design.load(trained / "curve" / f"random-3-{seed}" / "membership.parquet").keys)
        for seed in (0, 1)
    ]
    assert gone[0] != gone[1]
    assert all(len(keys) == 3 and all(saw[key] for key in keys) for keys in gone)


def test_a_point_is_a_run_with_the_faults_of_the_run(trained):
    point = trained / "curve" / "memorization-3-1"
    config = load_config(point / "config.yaml")
    assert (config.design.name, config.seed) == ("file", 1)
    for name in ("planted.parquet", "copies.parquet"):
        assert Planted.load(point / name) == Planted.load(trained / name)
    planted = Planted.load(trained / "planted.parquet").captions
    captions = read_table(point / "scores.parquet", ["key", "caption"]).to_pylist()
    found = {row["key"]: row["caption"] for row in captions if row["key"] in planted}
    assert found
    assert all(planted[key][0] == caption for key, caption in found.items())


def test_a_point_is_repeated_from_its_configuration(trained, tmp_path):
    point = trained / "curve" / "random-3-0"
    again = execute(load_config(point / "config.yaml"), tmp_path / "again")
    assert again.scores.equals(read_table(point / "scores.parquet"))


def test_the_table(trained):
    rows = read_table(trained / "curve.parquet").to_pylist()
    summary = json.loads((trained / "summary.json").read_text())

    def values(ranking: str, removed: int, measure: str) -> list[dict]:
        place = {"ranking": ranking, "removed": removed, "measure": measure}
        return [row for row in rows if place.items() <= row.items()]

    # Nothing removed, with the run's own seed, is the run; all rankings share it.
    for ranking in ("memorization", "random"):
        first = next(row for row in values(ranking, 0, "T@5 image->text") if row["seed"] == 0)
        assert first["value"] == summary["retrieval"]["models"]["f"]["T@5"]
    assert not (trained / "curve" / "all-0-0").exists()
    assert (trained / "curve" / "all-0-1" / "summary.json").exists()
    assert not (trained / "curve" / "memorization-0-1").exists()
    one, two, mean = values("memorization", 3, "memorization")
    assert [row["seed"] for row in (one, two, mean)] == [0, 1, None]
    expected = mean_interval(torch.tensor([one["value"], two["value"]], dtype=torch.float64))
    assert (mean["value"], mean["low"], mean["high"]) == pytest.approx((expected.mean, expected.low, expected.high))
    assert (one["low"], one["high"]) == (None, None)
    table = read_table(trained / "curve" / "memorization-3-0" / "scores.parquet")
    saw = Design.load(trained / "curve" / "memorization-3-0" / "membership.parquet")
    seen = dict(zip(saw.keys, saw.member[0].tolist(), strict=True))
    own = [row["memorization"] for row in table.to_pylist() if seen[row["key"]] and row["memorization"] is not None]
    assert len(own) == 5
    assert one["value"] == pytest.approx(np.mean(own))


def test_finished_points_are_not_trained_again_and_a_stopped_curve_goes_on(trained, monkeypatch, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(trained, run, symlinks=True)
    trainings = []
    monkeypatch.setattr(module, "execute", lambda config, folder: trainings.append(folder.name))
    before = (run / "curve.parquet").read_bytes()
    # Designs name their place: what is moved is another run's, so the curve is taken up where it was.
    config = CurveConfig(trained, removed="0,3", by="memorization,random", seeds=2)
    curve(config)
    assert trainings == []
    assert (trained / "curve.parquet").read_bytes() == before
    (trained / "curve" / "random-3-1" / "summary.json").rename(tmp_path / "away.json")
    try:
        with pytest.raises(FileNotFoundError):
            curve(config)
        assert trainings == ["random-3-1"]
        said = capsys.readouterr().err
        assert "1 point x 2 models to train: about" in said
    finally:
        (tmp_path / "away.json").rename(trained / "curve" / "random-3-1" / "summary.json")


def test_fine_tuning_begins_with_the_models_of_the_run(trained, tmp_path, monkeypatch):
    run = tmp_path / "run"
    shutil.copytree(trained, run, ignore=shutil.ignore_patterns("curve", "curve.parquet"))
    begun = []
    monkeypatch.setattr(module, "execute", lambda config, folder: begun.append((config, folder.name)))
    with pytest.raises(FileNotFoundError):
        curve(CurveConfig(run, removed="0", by="memorization", seeds=1, fine_tune=2))
    (config, name), *others = begun
    assert (name, others) == ("all-0-0", [])
    assert (config.training.epochs, config.training.init_from) == (2, str(run.resolve()))
    # With a rate of next to nothing the models stay where they began.
    still = TrainingConfig(epochs=1, batch_size=8, warmup_epochs=0, learning_rate=1e-30)
    from dataclasses import replace

    execute(replace(config, training=still), tmp_path / "still")
    for model in ("f", "g"):
        one, other = (load_encoder(place / "models" / model) for place in (run, tmp_path / "still"))
        assert one.fingerprint == other.fingerprint


def test_refusals(trained, tmp_path, capsys):
    def said(*arguments: object) -> str:
        assert cli.main(["curve", str(trained), *map(str, arguments)]) == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("vestige: ")]
        assert len(lines) == 1
        return lines[0]

    assert "the first model saw 8 samples that have a score by memorization" in said("--removed", 9)
    assert "--removed holds whole numbers" in said("--removed", "3,x")
    assert "--removed holds whole numbers" in said("--removed=-3")
    assert "'nosuch' is not in the table" in said("--removed", 3, "--by", "nosuch")
    assert "--task is retrieval, not 'cooking'" in said("--removed", 3, "--task", "cooking")
    assert "--seeds and --fine-tune are 1 or more" in said("--removed", 3, "--seeds", 0)
    with pytest.raises(VestigeError, match="no run lies there"):
        curve(CurveConfig(tmp_path))


def test_what_is_printed(trained, capsys):
    assert cli.main(["curve", str(trained), "--removed", "0,3", "--by", "memorization", "--seeds", "2"]) == 0
    printed = capsys.readouterr().out
    assert "T@1 image->text" in printed
    assert "I@5" not in printed
    assert printed.count("±") == 6
    assert str(trained / "curve.parquet") in printed
    curve(CurveConfig(trained, removed="0,3", by="memorization,random", seeds=2))


def test_a_design_from_a_file(make_folder, small_model, tmp_path):
    base = RunConfig(
        data=DataConfig(source=f"folder:{make_folder(30)}"),
        model=str(small_model),
        training=TrainingConfig(epochs=1, batch_size=8, warmup_epochs=0),
    )
    from dataclasses import replace

    with pytest.raises(VestigeError, match=r"design\.file: none is named"):
        execute(replace(base, design=DesignConfig(name="file")), tmp_path / "a")
    other = Design("x", ("0000", "nosuch"), ("0000", "nosuch"), ("f", "g"), np.ones((2, 2), bool), (0, 0), 0)
    other.save(tmp_path / "m.parquet")
    with pytest.raises(VestigeError, match="1 of its 2 samples are not in the data, the first is 'nosuch'"):
        execute(replace(base, design=DesignConfig(name="file", file=str(tmp_path / "m.parquet"))), tmp_path / "b")
