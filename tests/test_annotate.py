"""Objects found by detectors from disk: tiny and untrained ones, in the files of real ones."""

import os
import pickle
import signal
import subprocess
import sys

import pytest
import torch
from torchvision.models import get_model

from bombs import Bomb
from local_models import owlvit, yolos
from vestige import cli
from vestige.annotate import AnnotateConfig, annotate
from vestige.data import open_source
from vestige.data.generation.describing import readable_pictures
from vestige.data.objects import with_objects
from vestige.errors import VestigeError
from vestige.files import read_table

ARCHITECTURE = "ssdlite320_mobilenet_v3_large"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    model = get_model(ARCHITECTURE, weights=None, weights_backbone=None, num_classes=4)
    path = tmp_path_factory.mktemp("detector") / "detector.pt"
    torch.save({"model": model.state_dict()}, path)
    path.with_name("labels.txt").write_text("square\ndisc\n\ncross\n")
    return path


@pytest.fixture(scope="module")
def fixed(tmp_path_factory):
    return yolos(tmp_path_factory.mktemp("models") / "yolos")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    return owlvit(tmp_path_factory.mktemp("models") / "owlvit")


def rows(config):
    result = annotate(config)
    table = read_table(config.out).to_pylist()
    assert result.objects == sum(len(row["labels"]) for row in table)
    for row in table:
        assert len(row["labels"]) == len(row["scores"]) == len(row["boxes"])
        assert row["scores"] == sorted(row["scores"], reverse=True)
        assert all(score >= config.threshold - 1e-6 for score in row["scores"])
        assert all(len(box) == 4 for box in row["boxes"])
        assert row["provenance"] == result.provenance
    return result, table


def test_a_torchvision_checkpoint(checkpoint, make_folder, tmp_path):
    folder = make_folder(3)
    (folder / "0001.png").write_bytes(b"")
    labels = checkpoint.with_name("labels.txt")
    config = AnnotateConfig(
        f"folder:{folder}", checkpoint, tmp_path / "o.parquet", 0.2, labels, ARCHITECTURE, batch_size=2
    )
    result, table = rows(config)
    assert result.provenance.startswith(f"detected by {ARCHITECTURE} ")
    assert result.skipped[0][0] == "0001"
    assert result.skipped[0][1].startswith("the file is empty")
    assert table[1]["labels"] == []
    assert {label for row in table for label in row["labels"]} <= {"square", "disc", "cross"}
    assert result.objects > 0
    # The file is what Deja Vu reads.
    for sample in with_objects(open_source(config.data), config.out).samples(["0000"]):
        assert sample.objects == tuple(dict.fromkeys(table[0]["labels"]))


def test_a_transformers_detector(fixed, make_folder, tmp_path, capsys):
    data, out = f"folder:{make_folder(5)}", tmp_path / "objects.parquet"
    arguments = ["annotate", data, "--detector", str(fixed), "--out", str(out), "--threshold", ".3"]
    assert cli.main(arguments) == 0
    assert f"{out}: " in capsys.readouterr().out
    every = read_table(out).to_pylist()
    found = {label for row in every for label in row["labels"]}
    assert found
    assert found <= {"square", "disc", "cross"}
    # A list of labels keeps these; a higher threshold keeps fewer.
    one = sorted(found)[0]
    (tmp_path / "one.txt").write_text(one)
    _, kept = rows(AnnotateConfig(data, fixed, tmp_path / "one.parquet", 0.3, tmp_path / "one.txt"))
    assert [row["labels"] for row in kept] == [[name for name in row["labels"] if name == one] for row in every]
    _, fewer = rows(AnnotateConfig(data, fixed, tmp_path / "few.parquet", 0.9))
    assert sum(len(row["labels"]) for row in fewer) < sum(len(row["labels"]) for row in every)
    (tmp_path / "other.txt").write_text("zebra")
    with pytest.raises(VestigeError, match="does not know 'zebra'; it knows cross, disc, square"):
        annotate(AnnotateConfig(data, fixed, tmp_path / "z.parquet", 0.3, tmp_path / "other.txt"))


def test_a_zero_shot_detector(told, make_folder, tmp_path):
    data = f"folder:{make_folder(3)}"
    (tmp_path / "labels.txt").write_text("red square\nblue disc\n")
    config = AnnotateConfig(data, told, tmp_path / "o.parquet", 0.0, tmp_path / "labels.txt", batch_size=2)
    result, table = rows(config)
    assert "among red square, blue disc" in result.provenance
    assert {label for row in table for label in row["labels"]} <= {"red square", "blue disc"}
    assert result.objects > 0
    with pytest.raises(VestigeError, match="looks for what it is told: name a file of labels"):
        annotate(AnnotateConfig(data, told, tmp_path / "p.parquet"))


KILLED = """
import os, signal, sys
import vestige.shards as shards
from vestige import cli
write, written = shards.write_table, []
def deadly(path, table):
    if len(written) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    written.append(path)
    write(path, table)
shards.write_table = deadly
cli.main(sys.argv[1:])
"""


def test_killed_and_taken_up_again(fixed, make_folder, tmp_path, monkeypatch):
    data = f"folder:{make_folder(7)}"
    config = AnnotateConfig(data, fixed, tmp_path / "objects.parquet", 0.3, shard=2)
    arguments = ["annotate", data, "--detector", str(fixed), "--out", str(config.out), "--threshold", ".3"]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments, "--shard", "2"], env={**os.environ}, check=False)
    assert done.returncode == -signal.SIGKILL
    parts = tmp_path / ".objects.parquet.parts"
    assert sorted(path.name for path in parts.iterdir()) == ["000000.parquet", "000001.parquet", "about.json"]
    seen: list[str] = []

    def watched(samples):
        seen.extend(sample.key for sample in samples)
        return readable_pictures(samples)

    monkeypatch.setattr("vestige.annotate.readable_pictures", watched)
    annotate(config)
    assert seen == ["0004", "0005", "0006"]
    whole = tmp_path / "whole.parquet"
    annotate(AnnotateConfig(data, fixed, whole, 0.3, shard=2))
    assert whole.read_bytes() == config.out.read_bytes()
    assert not parts.exists()


def test_refusals(checkpoint, fixed, make_folder, tmp_path):
    data, out = f"folder:{make_folder(2)}", tmp_path / "o.parquet"

    def refused(detector, **settings):
        with pytest.raises(VestigeError) as error:
            annotate(AnnotateConfig(data, detector, out, **settings))
        assert "\n" not in str(error.value)
        assert not out.exists()
        return str(error.value)

    assert "no such file or folder" in refused(tmp_path / "none")
    assert "name its architecture with --architecture, not None: one of faster" in refused(checkpoint)
    assert "cannot be read" in refused(checkpoint, architecture=ARCHITECTURE)
    assert "threshold is a score from 0 to 1" in refused(checkpoint, threshold=50)
    assert "cannot be read as text" in refused(checkpoint, labels=tmp_path / "none.txt")
    (tmp_path / "twice.txt").write_text("a\na\n")
    assert "'a' stands there twice" in refused(checkpoint, labels=tmp_path / "twice.txt")
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Bomb()))
    assert "cannot be read" in refused(tmp_path / "evil.pt", architecture=ARCHITECTURE)
    for path in (tmp_path / "pictures").glob("*.png"):
        path.write_bytes(b"")
    assert "no picture of 2 can be read; the first reason: the file is empty" in refused(fixed)
