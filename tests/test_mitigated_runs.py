"""Mitigations through whole runs: applied, logged, scored over epochs, trained on from, and refused."""

import json
from dataclasses import replace

import open_clip
import pytest
import torch
from safetensors.torch import load_file

from drawings import draw
from vestige import MitigationConfig, fine_tune
from vestige.config import DataConfig, DesignConfig, RunConfig, load_config
from vestige.designs import Design
from vestige.embeddings import EmbeddingConfig
from vestige.errors import VestigeError
from vestige.files import read_table
from vestige.runs import execute
from vestige.training.config import TrainingConfig

WEIGHTS = "open_clip_model.safetensors"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "pictures"
    folder.mkdir()
    for number in range(70):
        picture, caption = draw(number)
        picture.save(folder / f"{number:04d}.png")
        (folder / f"{number:04d}.txt").write_text(f"{caption}\nnumber {number}\n")
    return folder


@pytest.fixture(scope="module")
def config(pictures, small_model):
    return RunConfig(
        data=DataConfig(source=f"folder:{pictures}"),
        design=DesignConfig(name="halves", external=20),
        model=str(small_model),
        training=TrainingConfig(epochs=4, batch_size=16, warmup_epochs=1, captions="balanced", keep_every=2),
        embedding=EmbeddingConfig(views=2),
        mitigations=MitigationConfig(text_noise=0.1, text_mask=0.3, logit_scale=25, regroup_every=2, regroup_share=0.2),
        metrics=("clipmem", "sslmem"),
    )


@pytest.fixture(scope="module")
def run(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    execute(config, folder)
    return folder


def lines(folder):
    return [json.loads(line) for line in (folder / "mitigations.jsonl").read_text().splitlines()]


def test_a_run_applies_and_logs_every_mitigation(run, config):
    found = lines(run)
    kinds = {line["mitigation"] for line in found}
    assert kinds == {
        "captions", "temperature", "noise/text", "text_mask", "regroup", "regroup_noise/image", "regroup_noise/text"
    }  # fmt: skip
    (captions,) = [line for line in found if line["mitigation"] == "captions"]
    assert captions["policy"] == "balanced"
    assert captions["with_several"] == captions["samples"]
    assert captions["captions"] == 2 * captions["samples"]
    ratios = [line["noise_to_signal"] for line in found if line["mitigation"] == "noise/text"]
    assert len(ratios) == 8
    assert all(0 < ratio < 10 for ratio in ratios)
    design = Design.load(run / "membership.parquet")
    for line in [line for line in found if line["mitigation"] == "regroup"]:
        row = design.member[design.models.index(line["model"])]
        assert len(line["keys"]) == 5
        assert all(row[design.keys.index(key)] for key in line["keys"])
    for name in "fg":
        scale = load_file(run / "models" / name / WEIGHTS)["logit_scale"].exp()
        assert scale.item() == pytest.approx(25, rel=1e-5)
    assert load_config(run / "config.yaml") == config


def test_kept_epochs_are_loadable_and_scored(run):
    table = read_table(run / "epochs.parquet")
    assert table.column_names == ["epoch", "role", "metric", "mean", "low", "high"]
    assert sorted(set(table["epoch"].to_pylist())) == [2, 4]
    rows = table.to_pylist()
    assert {row["role"] for row in rows} == {"candidate", "independent", "external", "heldout"}
    retrieval = [row for row in rows if row["role"] == "heldout"]
    assert {row["metric"] for row in retrieval} == {f"{m} {s}@{k}" for m in "fg" for s in "TI" for k in (1, 5, 10)}
    for row in rows:
        assert row["low"] <= row["mean"] <= row["high"]
    assert {row["metric"] for row in rows} - {row["metric"] for row in retrieval} == {"clipmem"}
    for epoch in ("00002", "00004"):
        open_clip.create_model_and_transforms(f"local-dir:{run / 'epochs' / epoch / 'f'}")
    last = load_file(run / "epochs" / "00004" / "f" / WEIGHTS)
    final = load_file(run / "models" / "f" / WEIGHTS)
    assert all(torch.equal(last[name], final[name]) for name in final)
    scores = [row["mean"] for row in rows if row["role"] == "candidate"]
    assert scores[0] != scores[1]


def test_a_finished_run_scores_no_epoch_again(run, config, monkeypatch):
    before = (run / "epochs.parquet").read_bytes(), lines(run)
    monkeypatch.setattr("vestige.epochs.embed", None)
    execute(config, run)
    assert ((run / "epochs.parquet").read_bytes(), lines(run)) == before


def test_a_run_starts_from_the_weights_of_another(run, config, tmp_path):
    still = replace(config.training, learning_rate=1e-30, epochs=1, warmup_epochs=0, keep_every=None)
    plain = replace(config, mitigations=MitigationConfig(), metrics=("clipmem",))
    for number, (start, name) in enumerate(((run, "g"), (run / "models" / "f", "f"))):
        out = tmp_path / str(number)
        execute(replace(plain, training=replace(still, init_from=str(start))), out)
        for model in "fg":
            expected = load_file(run / "models" / (model if start == run else name) / WEIGHTS)
            found = load_file(out / "models" / model / WEIGHTS)
            assert all(torch.equal(found[own], expected[own]) for own in expected)


def test_models_are_trained_on_without_some_samples(run, tmp_path):
    design = Design.load(run / "membership.parquet")
    gone = [key for key, seen in zip(design.keys, design.member[0], strict=True) if seen][:3]
    training = TrainingConfig(epochs=1, batch_size=8, learning_rate=1e-3)
    folders = fine_tune(run, tmp_path / "less", remove=gone, training=training)
    removed = (tmp_path / "less" / "removed.txt").read_text().splitlines()
    assert set(gone) <= set(removed)
    groups = dict(zip(design.keys, design.groups, strict=True))
    assert {groups[key] for key in removed} == {groups[key] for key in gone}
    assert Design.load(tmp_path / "less" / "membership.parquet") is not None
    before, after = (load_file(place / "f" / WEIGHTS) for place in (run / "models", folders["f"].parent))
    moved = max(float((before[name] - after[name]).abs().max()) for name in before)
    # One epoch of small steps from the run's own weights, not from fresh ones.
    assert 1e-4 < moved < 0.05
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "less" / "models").rglob("*.safetensors")}
    fine_tune(run, tmp_path / "less", remove=gone, training=training)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    other = fine_tune(run, tmp_path / "other", remove=[gone[0]], training=training)
    assert not torch.equal(load_file(other["f"] / WEIGHTS)["positional_embedding"], after["positional_embedding"])
    with pytest.raises(VestigeError, match="without other samples"):
        fine_tune(run, tmp_path / "less", remove=gone[:1], training=training)


def test_what_cannot_be_removed(run, tmp_path):
    design, training = Design.load(run / "membership.parquet"), TrainingConfig(epochs=1, batch_size=8)
    external = next(key for key, seen in zip(design.keys, design.member.any(axis=0), strict=True) if not seen)
    for keys in (["no such key"], [external]):
        with pytest.raises(VestigeError, match="no training sample"):
            fine_tune(run, tmp_path / "out", remove=keys, training=training)
    everything = [key for key, seen in zip(design.keys, design.member[0], strict=True) if seen]
    with pytest.raises(VestigeError, match="remove fewer"):
        fine_tune(run, tmp_path / "out", remove=everything, training=training)
    with pytest.raises(VestigeError, match="no run lies there"):
        fine_tune(tmp_path, tmp_path / "out", remove=["a"], training=training)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--mitigations.text-noise", "-1"], "text_noise"),
        (["--mitigations.text-mask", "1"], "text_mask"),
        (["--mitigations.audio-noise", "0.1"], "do not embed audio"),
        (["--training.init-from", "nowhere"], "no such run or checkpoint"),
        (["--design.name", "subsets", "--mitigations.regroup-every", "1"], "regroup_by alignment"),
    ],
)
def test_a_command_that_is_refused_says_why_in_a_line(arguments, said, pictures, small_model, tmp_path, capsys):
    from vestige.cli import main

    given = ["run", "--data", f"folder:{pictures}", "--out", str(tmp_path / "run"), "--model", str(small_model)]
    code = main([*given, "--training.batch-size", "8", *arguments])
    error = capsys.readouterr().err
    assert code == 2
    assert said in error
    assert "Traceback" not in error
