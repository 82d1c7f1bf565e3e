"""Runs of models that are not CLIPs: the whole way, scored, opened again, and refused where it must be."""

import dataclasses
import json
import sys

import pytest
import torch

from drawings import COLOURS, draw
from vestige.classification import LabelTest
from vestige.config import DataConfig, DesignConfig, PlantConfig, RunConfig
from vestige.curation.curve import CurveConfig, curve
from vestige.data import open_source
from vestige.data.plant import Planted
from vestige.embeddings import EmbeddingConfig, EmbeddingStore
from vestige.errors import VestigeError
from vestige.files import read_table
from vestige.models.blueprint import load_encoder
from vestige.paradigms import DinoConfig, SupervisedConfig
from vestige.runs import execute
from vestige.samples import Modality
from vestige.scorefiles import ScoreConfig, score_files
from vestige.training.config import TrainingConfig
from vestige.training.finetune import fine_tune

COUNT = 72


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The same pictures with captions, and in a folder for every colour, and with a file of objects."""
    flat, sorted_, objects = tmp_path_factory.mktemp("flat"), tmp_path_factory.mktemp("sorted"), {}
    for number in range(COUNT):
        picture, caption = draw(number)
        colour = COLOURS[number % len(COLOURS)]
        (sorted_ / colour).mkdir(exist_ok=True)
        for folder in (flat, sorted_ / colour):
            picture.save(folder / f"{number:04d}.png")
        (flat / f"{number:04d}.txt").write_text(caption)
        objects[f"{number:04d}"] = caption.split()[1:3]
    file = tmp_path_factory.mktemp("objects") / "objects.json"
    file.write_text(json.dumps(objects))
    return flat, sorted_, file


@pytest.fixture
def config(folders, small_model):
    return RunConfig(
        data=DataConfig(source=f"imagefolder:{folders[1]}"),
        design=DesignConfig(candidates=10, external=24),
        model=str(small_model),
        training=TrainingConfig(epochs=2, batch_size=16, warmup_epochs=1),
        dino=DinoConfig(local_crops=2, outputs=32, hidden=16, bottleneck=8),
    )


def changed(config, **changes):
    return dataclasses.replace(config, **changes)


def test_dino_from_pictures_alone(config, tmp_path):
    result = execute(changed(config, paradigm="dino"), tmp_path / "run")
    assert result.summary["metric"] == "sslmem_image"
    assert result.summary["paradigm"] == "dino"
    assert result.summary["retrieval"] is result.summary["accuracy"] is None
    assert result.summary["roles"]["candidate"]["n"] == 10
    assert {"sslmem_image_anchor", "memorization", "p_value", "align_f"} <= set(result.scores.column_names)
    assert (tmp_path / "run" / "report.html").exists()
    encoder = load_encoder(tmp_path / "run" / "models" / "f")
    assert encoder.modalities == (Modality.IMAGE,)
    # The teacher's tower, under the names of CLIP's.
    names = [name for name, _ in encoder.model.named_parameters()]
    assert all(name.startswith("towers.image.visual.") for name in names)
    scored = score_files(ScoreConfig(run=tmp_path / "run", metric="unitmem,sslmem", embedding=EmbeddingConfig(views=2)))
    assert {"units_f", "sslmem_image"} <= set(scored.table.column_names)
    for metric in ("clipmem", "multimem"):
        with pytest.raises(VestigeError, match=f"{metric} compares modalities, and the models embed image alone"):
            score_files(ScoreConfig(run=tmp_path / "run", metric=metric))
    with pytest.raises(VestigeError, match="labelmem needs classifiers"):
        score_files(ScoreConfig(run=tmp_path / "run", metric="labelmem"))


def test_a_curve_of_classifiers_and_no_fine_tuning(config, tmp_path):
    run = tmp_path / "run"
    execute(changed(config, paradigm="supervised"), run)
    table = curve(CurveConfig(run, removed="0,3", by="random", seeds=1))
    assert set(table["measure"].to_pylist()) == {"memorization"}
    assert set(table["removed"].to_pylist()) == {0, 3}
    with pytest.raises(VestigeError, match="--fine-tune is for contrastive models"):
        curve(CurveConfig(run, removed="3", by="random", seeds=1, fine_tune=1))
    with pytest.raises(VestigeError, match="fine-tuning is for contrastive models"):
        fine_tune(run, tmp_path / "tuned", remove=[], training=config.training)
    again = changed(config, paradigm="supervised", training=dataclasses.replace(config.training, init_from=str(run)))
    with pytest.raises(VestigeError, match="init_from is for contrastive models"):
        execute(again, tmp_path / "again")


def test_classifiers_and_flipped_labels(config, tmp_path):
    wanted = changed(config, paradigm="supervised", plant=PlantConfig(labels=4), metrics=("labelmem", "sslmem"))
    run = tmp_path / "run"
    result = execute(changed(wanted, embedding=EmbeddingConfig(views=2)), run)
    assert result.summary["metric"] == "labelmem"
    assert result.summary["accuracy"]["n"] == 24
    assert set(result.summary["accuracy"]["models"]) == {"f", "g"}
    planted = Planted.load(run / "planted.parquet")
    assert len(planted.faults) == 4
    rows = {row["key"]: row for row in result.scores.to_pylist()}
    for fault in planted.faults:
        assert rows[fault.key]["planted"]
        assert rows[fault.key]["role"] == "candidate"
        # What the models were taught, and so what is scored.
        assert rows[fault.key]["caption"] == fault.planted[0] != fault.original[0]
    encoder = load_encoder(run / "models" / "f")
    assert encoder.classes == tuple(sorted(COLOURS))
    # By hand: the probability of the label the model was taught.
    key = planted.faults[0].key
    sample = next(iter(open_source(wanted.data.source).samples([key])))
    prepared = encoder.prepare(sample, None)[Modality.IMAGE][None]
    p = encoder.logits({Modality.IMAGE: prepared}).double().softmax(1)[0, encoder.classes.index(rows[key]["caption"])]
    assert rows[key]["align_f"] == pytest.approx(p.item(), abs=1e-5)
    tensors = EmbeddingStore(run / "embeddings" / "f").shard(0)
    assert tensors["logits"].shape == (COUNT, len(COLOURS))
    torch.testing.assert_close(tensors["image"].norm(dim=1), torch.ones(COUNT))
    again = score_files(ScoreConfig(run=run, metric="labelmem", out=tmp_path / "again.parquet"))
    assert again.table["labelmem"].to_pylist() == pytest.approx(result.scores["labelmem"].to_pylist(), abs=1e-6)


@pytest.mark.parametrize(
    "design",
    [DesignConfig(name="subsets", external=12, models=3, share=0.7), DesignConfig(name="halves", external=0)],
)
def test_label_memorization_over_many_models(config, tmp_path, design):
    """Nothing need be held out; where it is, accuracy is told of it."""
    wanted = changed(config, paradigm="supervised", design=design)
    result = execute(wanted, tmp_path / "run")
    assert result.summary["metric"] == "labelmem"
    assert result.scores["memorization"].null_count < COUNT
    assert (result.summary["accuracy"] is None) == (design.external == 0)


def test_objects_as_labels(config, folders, tmp_path):
    data = DataConfig(source=f"folder:{folders[0]}", objects=str(folders[2]))
    wanted = changed(config, data=data, paradigm="supervised", supervised=SupervisedConfig(labels="objects"))
    result = execute(wanted, tmp_path / "run")
    assert result.summary["accuracy"] is None
    rows = {row["key"]: row for row in result.scores.to_pylist()}
    assert rows["0003"]["caption"] == "square, yellow"
    encoder = load_encoder(tmp_path / "run" / "models" / "g")
    sample = next(iter(open_source(data.source).samples(["0003"])))
    p = encoder.logits({Modality.IMAGE: encoder.prepare(sample, None)[Modality.IMAGE][None]}).sigmoid()[0]
    own = [encoder.classes.index(name) for name in ("square", "yellow")]
    assert rows["0003"]["align_g"] == pytest.approx(p[own].mean().item(), abs=1e-5)


def test_blip_with_captions(config, folders, tmp_path):
    wanted = changed(config, data=DataConfig(source=f"folder:{folders[0]}"), paradigm="blip")
    result = execute(wanted, tmp_path / "run")
    assert result.summary["metric"] == "clipmem"
    assert result.summary["retrieval"]["n"] == 24
    encoder = load_encoder(tmp_path / "run" / "models" / "f")
    assert encoder.modalities == (Modality.IMAGE, Modality.TEXT)
    sample = next(iter(open_source(wanted.data.source).samples(["0003"])))
    batch = {modality: own[None] for modality, own in encoder.prepare(sample, None).items()}
    shard = EmbeddingStore(tmp_path / "run" / "embeddings" / "f").shard(0)
    assert encoder.encode_backbone(batch)[Modality.IMAGE].shape == (1, 32)
    for modality, embedding in encoder.encode(batch).items():
        torch.testing.assert_close(embedding[0], shard[modality][3], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("paradigm", "change", "said"),
    [
        ("dino", {"metrics": ("clipmem",)}, "clipmem cannot be computed of dino models, which embed image: use sslmem"),
        (
            "contrastive",
            {"data": "flat", "metrics": ("labelmem",)},
            "labelmem cannot be computed of contrastive models",
        ),
        (
            "dino",
            {"modalities": ("image", "text")},
            "dino models embed image, not image and text: leave",
        ),
        ("dino", {"plant": PlantConfig(labels=3)}, "plant.labels flips the one label"),
        ("dino", {"plant": PlantConfig(captions=3)}, "the models of this run do not read text"),
        ("dino", {"model": "RN50"}, "dino trains OpenCLIP's vision transformers"),
        ("blip", {"data": "flat", "model": "RN50"}, "blip is a vision and a text transformer"),
        ("supervised", {"plant": PlantConfig(labels=11)}, "11 labels cannot be flipped: 10 candidates have a label"),
        ("supervised", {"data": "flat"}, "no sample has both image and label"),
        (
            "supervised",
            {"data": "one", "supervised": SupervisedConfig(labels="objects")},
            "all 72 samples have the objects 'red': a classifier tells at least two classes apart",
        ),
        ("supervised", {"supervised": SupervisedConfig(labels="objects")}, "no sample has both image and objects"),
    ],
)
def test_what_cannot_be_run_is_one_line(config, folders, tmp_path, paradigm, change, said):
    flat = f"folder:{folders[0]}"
    (tmp_path / "one.json").write_text(json.dumps({f"{number:04d}": ["red"] for number in range(COUNT)}))
    sources = {"flat": DataConfig(source=flat), "one": DataConfig(source=flat, objects=str(tmp_path / "one.json"))}
    if "data" in change:
        change = {**change, "data": sources[change["data"]]}
    wanted = changed(config, paradigm=paradigm, **change)
    with pytest.raises(VestigeError) as caught:
        execute(wanted, tmp_path / "run")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "models").exists()


def test_blip_without_transformers_names_the_extra(config, folders, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    wanted = changed(config, data=DataConfig(source=f"folder:{folders[0]}"), paradigm="blip")
    with pytest.raises(VestigeError, match=r"blip needs transformers: pip install 'vestige\[hf\]'"):
        execute(wanted, tmp_path / "run")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"outputs": 0}, "dino.outputs must be greater than 0"),
        ({"teacher_momentum": 1.2}, "dino.teacher_momentum lies between 0 and 1"),
        ({"local_scale": 0.6}, "0 < local_scale <= global_scale"),
        ({"local_crops": -1}, "dino.local_crops"),
        ({"teacher_temperature_end": 0.01}, "the temperature rises"),
    ],
)
def test_settings_of_dino_that_cannot_be(setting, said):
    with pytest.raises(VestigeError, match=said):
        DinoConfig(**setting)


def test_samples_without_labels_have_no_alignment(tmp_path):
    test = LabelTest({"a": ("x",), "b": ()}, ("x", "y"), several=False)
    from vestige.alignments import Part

    part = Part("f", ["a", "b", "c"], {"logits": torch.tensor([[2.0, 0.0]] * 3)}, {}, torch.full((3,), -1))
    found = test.metric().alignments(part)
    assert found["labelmem"][0].item() == pytest.approx(0.880797, abs=1e-6)
    assert found["labelmem"][1:].isnan().all()
    with pytest.raises(VestigeError, match="no sample has a label that the classifiers know"):
        LabelTest({"a": ("z",)}, ("x", "y"), several=False)


def test_the_catalogue_keeps_labels_and_lists_who_has_none(config, folders, tmp_path):
    data = DataConfig(source=f"folder:{folders[0]}", objects=str(tmp_path / "some.json"))
    objects = json.loads(folders[2].read_text())
    (tmp_path / "some.json").write_text(json.dumps({key: own for key, own in objects.items() if key > "0004"}))
    wanted = changed(config, data=data, paradigm="supervised", supervised=SupervisedConfig(labels="objects"))
    result = execute(wanted, tmp_path / "run")
    assert "0002" not in result.scores["key"].to_pylist()
    assert "0002,has no objects" in (tmp_path / "run" / "skipped.csv").read_text()
    kept = read_table(tmp_path / "run" / "samples" / "samples-00000.parquet")
    assert dict(zip(kept["key"].to_pylist(), kept["labels"].to_pylist(), strict=True))["0007"] == ["disc", "green"]
