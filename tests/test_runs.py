"""Runs: the whole way on a small collection, replayed, killed and taken up again, and refused where it must be."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import open_clip
import pytest

from vestige import runs
from vestige.config import DataConfig, DesignConfig, PlantConfig, RunConfig, load_config, to_yaml
from vestige.data.plant import Planted
from vestige.designs import Design
from vestige.embeddings import EmbeddingConfig
from vestige.errors import VestigeError
from vestige.files import read_table
from vestige.runs import execute
from vestige.training import job
from vestige.training.config import TrainingConfig


@pytest.fixture
def config(make_folder, small_model):
    return RunConfig(
        data=DataConfig(source=f"folder:{make_folder(80)}"),
        design=DesignConfig(candidates=10, external=24),
        plant=PlantConfig(captions=4),
        model=str(small_model),
        training=TrainingConfig(epochs=3, batch_size=16, warmup_epochs=1),
        embedding=EmbeddingConfig(views=2, shard_size=32),
        metrics=("clipmem", "sslmem"),
    )


def test_a_run_leaves_all_that_it_says(config, tmp_path):
    result = execute(config, tmp_path / "run")
    run = tmp_path / "run"
    design = Design.load(run / "membership.parquet")
    scores = read_table(run / "scores.parquet")
    assert scores.equals(result.scores)
    expected = ["key", "group", "role", "clipmem", "align_in", "align_out", "p_value", "q_value", "caption", "planted"]
    assert set(expected) <= set(scores.column_names)
    assert scores["key"].to_pylist() == list(design.keys)
    planted = Planted.load(run / "planted.parquet")
    original = {fault.key: fault.original[0] for fault in planted.faults}
    for key, role, flag, caption in zip(
        *(scores[c].to_pylist() for c in ("key", "role", "planted", "caption")), strict=True
    ):
        assert flag == (key in planted.captions)
        if flag:
            assert role == "candidate"
            assert caption == planted.captions[key][0] != original[key]
    for name in design.models:
        model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{run / 'models' / name}")
        assert model.visual.image_size == (16, 16)
        assert list((run / "tensorboard" / name).glob("events*"))
    assert not (run / "checkpoints").exists()
    environment = json.loads((run / "environment.json").read_text())
    assert environment["packages"]["torch"]
    assert load_config(run / "config.yaml") == config
    assert "clipmem" in (run / "report.html").read_text(encoding="utf-8").lower()
    assert json.loads((run / "summary.json").read_text())["planted"]["n"] == 4


@pytest.mark.parametrize("kind", ["siglip", "coca"])
def test_other_models_of_openclip_are_trained_and_loaded_by_it(config, tmp_path, kind):
    description = json.loads(Path(config.model).read_text())
    if kind == "siglip":
        description |= {"init_logit_bias": -10.0, "init_logit_scale": 2.3}
    else:
        writer = {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
        description |= {"multimodal_cfg": writer | {"attn_pooler_heads": 2}, "custom_text": True}
        description["text_cfg"] |= {"embed_cls": True, "output_tokens": True, "pad_id": 0}
        description["vision_cfg"] |= {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
    path = tmp_path / f"{kind}.json"
    path.write_text(json.dumps(description))
    result = execute(dataclasses.replace(config, model=str(path), metrics=("clipmem",)), tmp_path / "run")
    assert result.summary["roles"]["candidate"]["n"] == 10
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{tmp_path / 'run' / 'models' / 'f'}")
    assert type(model).__name__ == ("CoCa" if kind == "coca" else "CLIP")
    assert (model.logit_bias is not None) == (kind == "siglip")


def test_the_same_seed_gives_the_same_bits_and_another_does_not(config, tmp_path):
    execute(config, tmp_path / "one")
    execute(load_config(tmp_path / "one" / "config.yaml"), tmp_path / "two")
    assert (tmp_path / "one" / "scores.parquet").read_bytes() == (tmp_path / "two" / "scores.parquet").read_bytes()
    execute(dataclasses.replace(config, seed=1), tmp_path / "three")
    assert read_table(tmp_path / "one" / "scores.parquet") != read_table(tmp_path / "three" / "scores.parquet")


def test_a_finished_run_does_nothing_again(config, tmp_path, monkeypatch):
    first = execute(config, tmp_path / "run")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*") if path.is_file()}
    monkeypatch.setattr(job, "train_block", None)
    monkeypatch.setattr(runs, "write_page", None)
    again = execute(config, tmp_path / "run")
    assert again.scores.equals(first.scores)
    unchanged = {path: path.stat().st_mtime_ns for path in times}
    changed = {path.name for path in times if times[path] != unchanged[path]}
    assert changed <= {".lock"}


@pytest.mark.parametrize(
    "appears",
    ["samples/samples-00000.parquet", "checkpoints/block-0/epoch-00001", "models/f", "embeddings/g/00000.parquet"],
)
def test_killed_at_any_moment_it_ends_with_the_same_bits(config, tmp_path, appears):
    """`kill -9` as soon as a file appears, then the same command again."""
    execute(config, tmp_path / "whole")
    (tmp_path / "c.yaml").write_text(to_yaml(config))
    command = [sys.executable, "-c", "import sys; from vestige.cli import main; sys.exit(main())", "run"]
    command += [str(tmp_path / "c.yaml"), "--out", str(tmp_path / "cut")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not (tmp_path / "cut" / appears).exists() and process.poll() is None:
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGKILL)
    assert not (tmp_path / "cut" / "scores.parquet").exists()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "whole" / "scores.parquet").read_bytes() == (tmp_path / "cut" / "scores.parquet").read_bytes()


def test_unreadable_pictures_are_left_out_and_listed(config, make_folder, tmp_path):
    folder = Path(config.data.source.removeprefix("folder:"))
    (folder / "0007.png").write_bytes(b"")
    (folder / "0011.png").write_bytes(b"GIF89a nonsense")
    result = execute(config, tmp_path / "run")
    assert result.summary["skipped"] == 2
    assert not {"0007", "0011"} & set(result.scores["key"].to_pylist())
    listed = (tmp_path / "run" / "skipped.csv").read_text()
    assert "0007,the file is empty (0 bytes)" in listed
    assert "0011,not a readable picture" in listed


def test_too_many_unreadable_pictures_stop_the_run_until_they_are_mended(config, tmp_path):
    folder = Path(config.data.source.removeprefix("folder:"))
    kept = {number: (folder / f"{number:04d}.png").read_bytes() for number in range(9)}
    for number in kept:
        (folder / f"{number:04d}.png").write_bytes(b"")
    with pytest.raises(VestigeError, match=r"9 of 80 samples cannot be read, more than data.max_unreadable = 0.05"):
        execute(config, tmp_path / "run")
    for number, data in kept.items():
        (folder / f"{number:04d}.png").write_bytes(data)
    assert execute(config, tmp_path / "run").summary["skipped"] == 0


def test_without_room_for_canvases_the_files_are_read_each_time(config, tmp_path):
    data = dataclasses.replace(config.data, cache_gigabytes=0.0)
    result = execute(dataclasses.replace(config, data=data), tmp_path / "run")
    assert not (tmp_path / "run" / "samples" / "canvases.npy").exists()
    assert result.summary["roles"]["candidate"]["n"] == 10


@pytest.mark.parametrize(
    ("design", "roles"),
    [
        (DesignConfig(name="halves", external=24, pairs=1), {"candidate", "independent", "external"}),
        (DesignConfig(name="subsets", external=24, models=3, share=0.5), {"mixed"}),
        (DesignConfig(name="disjoint", candidates=20), {"candidate", "independent", "external"}),
    ],
)
def test_every_design_runs(config, tmp_path, design, roles):
    result = execute(dataclasses.replace(config, design=design, metrics=("clipmem",)), tmp_path / "run")
    found = {role for role, numbers in result.summary["roles"].items() if numbers["n"]}
    assert roles <= found
    assert result.scores["memorization"].null_count < len(result.scores)


def test_a_folder_of_another_run_is_refused_and_untouched(config, tmp_path):
    execute(config, tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with pytest.raises(VestigeError, match=r"holds another run \(seed: 0, now 1\): name a new folder"):
        execute(dataclasses.replace(config, seed=1), tmp_path / "run")
    assert {path: path.read_bytes() for path in before} == before


def test_a_folder_of_something_else_is_refused_and_untouched(config, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(VestigeError, match="not empty and holds no run"):
        execute(config, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    with pytest.raises(VestigeError, match="is a file"):
        execute(config, tmp_path / "mine" / "thesis.txt")


def test_settings_can_be_mended_before_anything_is_trained(config, tmp_path):
    wrong = dataclasses.replace(config, design=DesignConfig(candidates=60, external=24))
    with pytest.raises(
        VestigeError, match="asks for 60 candidate, 60 independent, 24 external samples and the data have 80"
    ):
        execute(wrong, tmp_path / "run")
    assert execute(config, tmp_path / "run").summary["roles"]["candidate"]["n"] == 10


def test_two_processes_do_not_work_on_one_run(config, tmp_path):
    from filelock import FileLock

    (tmp_path / "run").mkdir()
    with FileLock(tmp_path / "run" / ".lock"), pytest.raises(VestigeError, match="another process works on this run"):
        execute(config, tmp_path / "run")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metrics": ("clipmen",)}, "metrics: unknown clipmen"),
        ({"model": "ViT-B32"}, "did you mean"),
        ({"training": TrainingConfig(batch_size=1000)}, "a model sees 46 samples: lower it"),
        ({"design": DesignConfig(candidates=10, external=0)}, "set design.external"),
        ({"plant": PlantConfig(captions=11)}, "11 of 10 candidates"),
    ],
)
def test_what_cannot_be_run_is_one_line(config, tmp_path, change, said):
    with pytest.raises(VestigeError) as caught:
        execute(dataclasses.replace(config, **change), tmp_path / "run")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_captions_that_are_cut_are_counted(config, make_folder, tmp_path, capsys):
    folder = Path(config.data.source.removeprefix("folder:"))
    (folder / "0003.txt").write_text("a very long caption " * 10)
    execute(config, tmp_path / "run")
    assert "1 of 80 captions are longer than the 12 tokens" in capsys.readouterr().err


def test_paths_are_kept_whole(config, tmp_path, monkeypatch):
    """A configuration that names a relative path replays from any folder."""
    folder = Path(config.data.source.removeprefix("folder:"))
    shutil.copytree(folder, tmp_path / "here" / "pictures")
    monkeypatch.chdir(tmp_path / "here")
    execute(dataclasses.replace(config, data=DataConfig(source="folder:pictures")), tmp_path / "run")
    assert load_config(tmp_path / "run" / "config.yaml").data.source == f"folder:{tmp_path / 'here' / 'pictures'}"
