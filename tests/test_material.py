"""What a run trains on: read, divided and planted as its configuration says, and the same when taken up again."""

import json

import numpy as np
import pytest

from clips import tone
from drawings import draw
from vestige.config import DataConfig, DesignConfig, PlantConfig, RunConfig
from vestige.data.memory import SampleList
from vestige.data.plant import Kind
from vestige.designs import Role
from vestige.errors import VestigeError
from vestige.material import common_modalities, open_data, prepare
from vestige.models.architectures import architecture
from vestige.models.blueprint import Blueprint
from vestige.samples import Modality, Sample

SMALL_SOUND = {"rate": 8000, "mels": 8, "frames": 8, "window": 400, "hop": 400, "patch_size": 8, "width": 16}
THREE = (Modality.IMAGE, Modality.TEXT, Modality.AUDIO)


@pytest.fixture
def description(small_model):
    found = json.loads(small_model.read_text())
    return architecture(str(small_model)) | {"audio_cfg": SMALL_SOUND | {"head_width": 16, "layers": 1}, **found}


def samples(count: int, *, groups_of: int = 1, silent: int = 0) -> SampleList:
    def sample(n: int) -> Sample:
        picture, caption = draw(n)
        media = {Modality.IMAGE: picture} | ({} if n < silent else {Modality.AUDIO: tone(n, 0.3)})
        return Sample(f"{n:03d}", f"g{n // groups_of}", media, (caption,))

    return SampleList([sample(n) for n in range(count)])


def test_the_modalities_that_half_of_the_samples_have():
    assert common_modalities(samples(10)) == THREE
    assert common_modalities(samples(10, silent=5)) == THREE
    assert common_modalities(samples(10, silent=6)) == THREE[:2]


def test_where_all_are_scored_captions_of_all_are_exchanged(description, tmp_path):
    """A share of the samples that some model sees, and the same ones for one model as for two."""
    planted = {}
    for name in ("halves", "subsets"):
        design = DesignConfig(name=name, models=1, share=1, external=10)
        config = RunConfig(design=design, plant=PlantConfig(captions=0.2))
        made = prepare(samples(60), config, Blueprint(description, THREE), tmp_path / name)
        assert len(made.design.models) == (2 if name == "halves" else 1)
        assert made.design.member.any(axis=0).sum() == 50
        role = dict(zip(made.design.keys, made.design.roles(), strict=True))
        planted[name] = made.planted
        assert len(planted[name].kinds) == 10
        assert Role.EXTERNAL not in {role[key] for key in planted[name].kinds}
    assert planted["halves"] == planted["subsets"]


def test_exchanged_sounds_are_the_sounds_of_others(description, tmp_path):
    config = RunConfig(design=DesignConfig(candidates=0.3), plant=PlantConfig(audio=4, captions=2))
    made = prepare(samples(40), config, Blueprint(description, THREE), tmp_path)
    moved = {fault.key: fault.donor for fault in made.planted.faults if fault.kind == Kind.AUDIO}
    assert len(moved) == 4
    assert sum(fault.kind == Kind.CAPTIONS for fault in made.planted.faults) == 2
    role = dict(zip(made.design.keys, made.design.roles(), strict=True))
    assert {role[key] for key in made.planted.kinds} == {Role.CANDIDATE}
    place = {key: row for row, key in enumerate(made.catalogue.keys)}
    plain = prepare(samples(40), RunConfig(design=config.design), Blueprint(description, THREE), tmp_path / "plain")
    for key, row in place.items():
        donor = place[moved.get(key, key)]
        found = made.examples.media(Modality.AUDIO, np.array([row]), None)
        assert (found == plain.examples.media(Modality.AUDIO, np.array([donor]), None)).all()
        own = made.examples.media(Modality.IMAGE, np.array([row]), None)
        assert (own == plain.examples.media(Modality.IMAGE, np.array([row]), None)).all()
    # The samples that the scores and the report are of have the same faults.
    for key, donor in moved.items():
        (sample,) = made.samples.samples([key])
        assert sample.media[Modality.AUDIO] == tone(int(donor), 0.3)
    again = prepare(samples(40), config, Blueprint(description, THREE), tmp_path)
    assert again.planted == made.planted
    assert again.design.keys == made.design.keys


def test_copies_are_samples_of_their_own(description, tmp_path):
    config = RunConfig(plant=PlantConfig(copies=3, near_copies=2))
    blueprint = Blueprint(description, THREE[:2])
    made = prepare(samples(30), config, blueprint, tmp_path)
    kinds = made.planted.kinds
    assert sorted(map(str, kinds.values())) == ["copy"] * 3 + ["near_copy"] * 2
    assert len(made.catalogue) == 35
    group = dict(zip(made.catalogue.keys, made.catalogue.groups, strict=True))
    for fault in made.planted.faults:
        assert fault.donor is not None
        # Identical bytes are found out; pictures that only look alike are not.
        assert (group[fault.key] == group[fault.donor]) == (fault.kind == Kind.COPY)
    again = prepare(samples(30), config, blueprint, tmp_path)
    assert again.planted == made.planted


def test_what_is_not_read_cannot_be_exchanged(description, tmp_path):
    config = RunConfig(plant=PlantConfig(audio=4))
    with pytest.raises(VestigeError, match=r"plant\.audio: the models of this run (read no|do not read) audio"):
        prepare(samples(40), config, Blueprint(description, THREE[:2]), tmp_path)


def test_a_share_becomes_a_size_that_whole_groups_make(description, tmp_path):
    blueprint = Blueprint(description, THREE[:2])
    made = prepare(samples(48, groups_of=4), RunConfig(), blueprint, tmp_path / "share")
    assert made.design.roles().count(Role.CANDIDATE) == 4
    exact = RunConfig(design=DesignConfig(candidates=5, external=4))
    with pytest.raises(VestigeError, match="exactly 5 samples"):
        prepare(samples(48, groups_of=4), exact, blueprint, tmp_path / "exact")


def test_records_that_make_no_sample_are_listed_and_stop_nothing(description, tmp_path, capsys):
    class Leaky(SampleList):
        def skipped(self):
            return [("line [3]", "no picture"), ("line 4", "no text")]

    source = Leaky(list(samples(20).samples(samples(20).keys())))
    made = prepare(source, RunConfig(), Blueprint(description, THREE[:2]), tmp_path)
    assert len(made.catalogue) == 20
    assert "2 records of the data make no sample, the first: line [3]: no picture" in capsys.readouterr().err
    assert "line 4,no text" in (tmp_path / "skipped.csv").read_text()


def test_files_beside_the_data(tmp_path, make_folder):
    folder = make_folder(3)
    objects = tmp_path / "objects.json"
    objects.write_text(json.dumps({"0000": ["Dogs", "a cat"], "0001": ["puppies"]}))
    (tmp_path / "same.json").write_text(json.dumps({"puppy": "dog"}))
    config = DataConfig(f"folder:{folder}", objects=str(objects), synonyms=str(tmp_path / "same.json"))
    first, second, third = open_data(config).samples(["0000", "0001", "0002"])
    assert "dog" in first.objects
    assert second.objects == ("dog",)
    assert third.objects == ()
