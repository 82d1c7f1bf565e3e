"""Logs of training: TensorBoard's files, and Weights & Biases where it is asked for."""

import sys
from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vestige.errors import VestigeError
from vestige.training.logs import Log


def test_what_is_written_is_read_again_and_a_resumed_step_counts_once(tmp_path):
    with Log(tmp_path, 0) as log:
        log.write({"loss": 3.0, "learning_rate": 0.1}, 1)
        log.write({"loss": 2.0}, 2)
    with Log(tmp_path, 2) as log:
        log.write({"loss": 1.5}, 2)
    found = EventAccumulator(str(tmp_path)).Reload()
    assert [(own.step, own.value) for own in found.Scalars("loss")] == [(1, 3.0), (2, 1.5)]
    assert len(found.Scalars("learning_rate")) == 1


@pytest.mark.parametrize("mode", ["offline", "online"])
def test_weights_and_biases_is_told_the_same_and_sends_only_when_asked(tmp_path, monkeypatch, mode):
    said = []
    run = SimpleNamespace(log=lambda values, step: said.append((values, step)), finish=lambda: said.append("finished"))

    def init(**settings):
        said.append((settings["project"], settings["name"], settings["mode"]))
        return run

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    monkeypatch.setenv("WANDB_MODE", mode)
    with Log(tmp_path / "f", 0, "mine") as log:
        log.write({"loss": 3.0}, 1)
    assert said == [("mine", "f", mode), ({"loss": 3.0}, 1), "finished"]


def test_without_weights_and_biases_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(VestigeError, match=r"pip install 'vestige\[wandb\]'"):
        Log(tmp_path, 0, "mine")
