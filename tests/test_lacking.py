"""Runs whose samples lack some modalities: faults where they can be, refusals before anything is trained."""

import json

import pytest

from clips import tone
from drawings import draw
from vestige import openrun, plan, runs
from vestige.config import DataConfig, DesignConfig, PlantConfig, RunConfig
from vestige.data.memory import SampleList
from vestige.embeddings import EmbeddingConfig
from vestige.errors import VestigeError
from vestige.files import read_table
from vestige.material import prepare
from vestige.models.architectures import architecture
from vestige.models.blueprint import Blueprint
from vestige.runs import execute
from vestige.samples import Modality, Sample
from vestige.scorefiles import ScoreConfig, score_files
from vestige.training.config import TrainingConfig

SOUND = {"rate": 8000, "mels": 16, "frames": 16, "window": 400, "hop": 400, "patch_size": 8}
THREE = (Modality.IMAGE, Modality.TEXT, Modality.AUDIO)


@pytest.fixture(scope="session")
def small_towers(small_model, tmp_path_factory):
    found = json.loads(small_model.read_text()) | {"audio_cfg": SOUND, "video_cfg": {"frames": 2}}
    path = tmp_path_factory.mktemp("models") / "pico-towers.json"
    path.write_text(json.dumps(found))
    return path


def sample_of(n: int) -> Sample:
    """Every fourth has no sound, and every fourth other no caption."""
    picture, caption = draw(n)
    media = {Modality.IMAGE: picture} | ({Modality.AUDIO: tone(n, 0.3)} if n % 4 else {})
    return Sample(f"{n:02d}", f"{n:02d}", media, () if n % 4 == 1 else (caption,))


SOURCE = SampleList([sample_of(n) for n in range(48)])


def reads_samples(monkeypatch):
    """Whatever the configuration names, the samples are these."""
    for module in (plan, runs, openrun):
        monkeypatch.setattr(module, "open_data", lambda _: SOURCE)


@pytest.fixture
def config(small_towers):
    def made(**changes):
        settings = {
            "data": DataConfig(source="twemoji"),
            "design": DesignConfig(candidates=14, external=12),
            "model": str(small_towers),
            "training": TrainingConfig(epochs=1, batch_size=16, warmup_epochs=0),
            "embedding": EmbeddingConfig(views=2, batch_size=1, shard_size=16),
        }
        return RunConfig(**settings | changes)

    return made


def prepared(config, folder, modalities=THREE, source=SOURCE):
    return prepare(source, config, Blueprint(architecture(config.model), modalities), folder)


def test_three_modalities_some_lacking_are_scored_alike_however_they_are_read(config, tmp_path, monkeypatch):
    """A batch here is one sample: modalities lack in whole batches. Canvases kept, made anew, and scored afterwards."""
    reads_samples(monkeypatch)
    plant = PlantConfig(captions=4, audio=4, copies=6)
    first = execute(config(plant=plant), tmp_path / "run")
    assert first.summary["metric"] == "multimem"
    assert first.scores["multimem_mean_pair"].null_count == 0
    assert first.summary["planted"]["n"] <= 8
    copied = [key for key in first.scores["key"].to_pylist() if "~copy" in key]
    assert len(copied) == 6
    flags = dict(zip(first.scores["key"].to_pylist(), first.scores["planted"].to_pylist(), strict=True))
    assert sum(flags.values()) == 8
    assert not any(flags[key] for key in copied)
    fresh = execute(config(plant=plant, data=DataConfig(cache_gigabytes=0.0)), tmp_path / "fresh")
    assert not list((tmp_path / "fresh" / "samples").glob("canvases*"))
    assert fresh.scores.equals(first.scores)
    asked = ScoreConfig(
        run=tmp_path / "run", metric="multimem,unitmem", out=tmp_path / "s.parquet", embedding=config().embedding
    )
    again = score_files(asked).table
    for name in ("key", "multimem", "multimem_mean_pair", "multimem_text_audio"):
        assert again[name].equals(read_table(tmp_path / "run" / "scores.parquet")[name])


def test_copies_fall_to_roles_by_chance(config, tmp_path):
    """The design draws by the same seed: were it the same draw, its first sets would hold copied samples alone."""
    plant, design = PlantConfig(copies=12, copy_group="original"), DesignConfig(candidates=12, external=12)
    shares = []
    for seed in range(6):
        found = prepared(config(plant=plant, design=design, seed=seed), tmp_path / str(seed))
        copied = {fault.donor for fault in found.planted.faults}
        external = [key for key in found.external() if "~" not in key]
        shares.append(sum(key in copied for key in external) / len(external))
    assert 0.05 < sum(shares) / 6 < 0.6


@pytest.mark.parametrize("seed", range(3))
def test_copies_and_exchanges_do_not_meet(config, tmp_path, seed):
    plant = PlantConfig(copies=10, captions=4)
    found = prepared(config(plant=plant, seed=seed), tmp_path)
    copies = [fault for fault in found.planted.faults if fault.kind == "copy"]
    exchanged = {fault.key for fault in found.planted.faults if fault.kind == "captions"}
    assert (len(copies), len(exchanged)) == (10, 4)
    assert not exchanged & {key for fault in copies for key in (fault.key, fault.donor)}


def test_captions_are_exchanged_among_samples_that_have_one(config, tmp_path):
    found = prepared(config(plant=PlantConfig(captions=10)), tmp_path)
    assert len(found.planted.faults) == 10
    assert all(fault.planted and fault.original for fault in found.planted.faults)


def test_captions_that_no_model_reads_are_not_exchanged(config, tmp_path):
    with pytest.raises(VestigeError, match=r"plant\.captions: the models of this run do not read text"):
        prepared(
            config(plant=PlantConfig(captions=4), design=DesignConfig(candidates=8, external=8)),
            tmp_path,
            (Modality.IMAGE, Modality.AUDIO),
        )


def test_a_modality_that_nobody_has_is_refused_before_training(config, tmp_path):
    with pytest.raises(VestigeError, match="no sample has video: leave it out of --modalities"):
        prepared(config(), tmp_path / "a", tuple(Modality))
    none = SampleList([sample_of(4 * n + 2 if n == 3 else 4 * n) for n in range(40)])
    with pytest.raises(VestigeError, match="no held-out sample has audio"):
        prepared(config(design=DesignConfig(candidates=4, external=2)), tmp_path / "b", source=none)


def test_what_lacked_a_modality_and_was_mended_is_read_again(config, tmp_path):
    bare = SampleList([Sample(key, key, {Modality.IMAGE: draw(n)[0]}) for n, key in enumerate(SOURCE.keys())])
    with pytest.raises(VestigeError, match="no sample has two of"):
        prepared(config(), tmp_path, source=bare)
    assert len(prepared(config(), tmp_path).catalogue) == 48


def test_no_samples_at_all(config, tmp_path):
    with pytest.raises(VestigeError, match="there are no samples"):
        prepared(config(), tmp_path, source=SampleList([]))


@pytest.mark.parametrize(
    ("metrics", "views", "said"),
    [(("multimem", "clipmem"), 2, "12 of 48 lack their text"), (("multimem", "sslmem"), 0, "embedding.views")],
)
def test_metrics_that_could_not_be_computed_are_refused_before_training(
    config, tmp_path, monkeypatch, metrics, views, said
):
    reads_samples(monkeypatch)
    with pytest.raises(VestigeError, match=said):
        execute(config(metrics=metrics, embedding=EmbeddingConfig(views=views)), tmp_path / "run")
    assert not (tmp_path / "run" / "models").exists()
