"""Class embeddings against their literal definition; prompts and their files."""

import json

import pytest
import torch
from torch.nn.functional import normalize

from oracles import utility as oracle
from vestige.errors import VestigeError
from vestige.samples import Modality
from vestige.utility import Prompts, class_embeddings, zero_shot_scores
from vestige.utility.prompts import read_names, read_templates, spoken


def test_class_embeddings_are_their_definition():
    prompts = 3 * torch.randn(7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    owner = torch.tensor([0, 1, 1, 2, 0, 2, 2])
    found = class_embeddings(prompts, owner, 3)
    expected = torch.tensor(oracle.class_embeddings(prompts, owner, 3), dtype=torch.float64)
    assert found.numpy() == pytest.approx(expected.numpy(), abs=1e-9)
    assert class_embeddings(prompts.float(), owner, 3).numpy() == pytest.approx(found.numpy(), abs=1e-6)


def test_scores_are_cosines():
    x = normalize(torch.randn(5, 4, generator=torch.Generator().manual_seed(1)), dim=1)
    assert zero_shot_scores(x, x).diagonal().numpy() == pytest.approx(1.0, abs=1e-6)
    with pytest.raises(ValueError, match="embeddings: expected unit norm"):
        zero_shot_scores(2 * x, x)
    with pytest.raises(ValueError, match="expected a prompt of every class, found none of 1"):
        class_embeddings(x, torch.tensor([0, 0, 0, 2, 2]), 3)


def test_prompts():
    assert spoken("animals-nature") == "animals nature"
    assert spoken("T-shirt/top") == "T shirt/top"
    assert spoken("-") == "-"
    assert "a picture of a red panda" in Prompts().of("red_panda", Modality.IMAGE)
    assert "the sound of a dog bark" in Prompts().of("dog_bark", Modality.AUDIO)
    own = Prompts(("see {}", "{}"), {"x": ("ex", "cross")})
    assert own.of("x", Modality.IMAGE) == ["see ex", "ex", "see cross", "cross"]
    assert own.of("y {0}", Modality.IMAGE) == ["see y {0}", "y {0}"]


def test_files(tmp_path):
    (tmp_path / "t.txt").write_text("a {}\n\n the {} \n")
    assert read_templates(tmp_path / "t.txt") == ("a {}", "the {}")
    (tmp_path / "n.json").write_text(json.dumps({"a": "one", "b": ["two", "three"]}))
    assert read_names(tmp_path / "n.json", ["a", "b", "c"]) == {"a": ("one",), "b": ("two", "three")}


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "cannot be read"), ("\n", "no template there"), ("a picture", "does not have {} once"), ("{} {}", "once")],
)
def test_templates_that_are_refused(tmp_path, text, said):
    if text is not None:
        (tmp_path / "t.txt").write_text(text)
    with pytest.raises(VestigeError, match=said):
        read_templates(tmp_path / "t.txt")


@pytest.mark.parametrize(
    ("text", "said"),
    [("[1]", "found list"), ("{", "as JSON"), ('{"a": 3}', "'a': expected a name"), ('{"z": "x"}', "label 'z'; ")],
)
def test_names_that_are_refused(tmp_path, text, said):
    (tmp_path / "n.json").write_text(text)
    with pytest.raises(VestigeError, match=said):
        read_names(tmp_path / "n.json", ["a", "b"])
