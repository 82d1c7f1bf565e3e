"""Configurations: round trip, strict reading."""

import pytest

from vestige.config import RunConfig, load_config, size_of, to_yaml
from vestige.errors import VestigeError


def test_round_trip(tmp_path):
    (tmp_path / "c.yaml").write_text(to_yaml(RunConfig(seed=7, metrics=("clipmem", "sslmem"))))
    assert load_config(tmp_path / "c.yaml") == RunConfig(seed=7, metrics=("clipmem", "sslmem"))
    (tmp_path / "empty.yaml").write_text("")
    assert load_config(tmp_path / "empty.yaml") == RunConfig()


def test_numbers_as_people_write_them(tmp_path):
    (tmp_path / "c.yaml").write_text("training: {learning_rate: 1e-3, warmup_epochs: 1}\ndesign: {candidates: 40}")
    found = load_config(tmp_path / "c.yaml")
    assert (found.training.learning_rate, found.training.warmup_epochs, found.design.candidates) == (0.001, 1.0, 40.0)
    assert (size_of(0.1, 395), size_of(40.0, 395), size_of(0, 9)) == (40, 40, 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("trainig: {}", "unknown setting 'trainig'; did you mean 'training'?"),
        ("training: {epoch: 3}", "training: unknown setting 'epoch'; did you mean 'epochs'?"),
        ("seed: many", "seed: expected int, found 'many'"),
        ("seed: 1.5", "expected int"),
        ("training: {learning_rate: fast}", "learning_rate: expected float, found 'fast'"),
        ("design: {name: thirds}", "one of roles, halves, subsets, disjoint, file, not 'thirds'"),
        ("metrics: clipmem", "metrics: expected tuple, found 'clipmem'"),
        ("- a list", "expected settings by name"),
        ("a: [", "cannot be read as YAML"),
        ("training: {epochs: 0}", "training.epochs must be greater than 0"),
    ],
)
def test_what_is_no_configuration_is_one_line(tmp_path, text, said):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(VestigeError) as caught:
        load_config(tmp_path / "c.yaml")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(VestigeError, match="no such configuration file"):
        load_config(tmp_path / "none.yaml")
