"""Models of any modalities: built from a seed, trained on what samples have, saved, loaded, and fed either way."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from clips import film, tone
from drawings import draw
from vestige.data.canvases import canvas_of
from vestige.data.catalogue import open_canvases, read_catalogue
from vestige.data.decoded import DecodedSource
from vestige.data.examples import Examples, Rows
from vestige.data.memory import SampleList
from vestige.data.views import View
from vestige.embeddings import EmbeddingConfig, all_keys, chosen_rows, embed
from vestige.errors import VestigeError
from vestige.metrics import cross_modal_consistency
from vestige.models.architectures import architecture
from vestige.models.blueprint import Blueprint, load_encoder, modalities_named
from vestige.models.towers_encoder import TowersEncoder
from vestige.samples import Modality, Sample
from vestige.training.objectives import PairwiseContrastive

ALL = tuple(Modality)


@pytest.fixture(scope="module")
def description(small_model, tmp_path_factory):
    found = json.loads(small_model.read_text())
    found["audio_cfg"] = {"rate": 8000, "mels": 16, "frames": 16, "window": 400, "hop": 400, "patch_size": 8}
    found["audio_cfg"] |= {"width": 32, "head_width": 16, "layers": 1}
    found["video_cfg"] = {"frames": 2, "pool": "attention"}
    path = tmp_path_factory.mktemp("towers") / "pico.json"
    path.write_text(json.dumps(found))
    return architecture(str(path))


@pytest.fixture(scope="module")
def source():
    def sample(n: int) -> Sample:
        picture, caption = draw(n)
        media = {Modality.IMAGE: picture, Modality.AUDIO: tone(n), Modality.VIDEO: film(n)}
        if n % 5 == 0:
            del media[Modality.AUDIO]
        return Sample(f"{n:02d}", f"{n:02d}", media, (caption, f"number {n}"))

    return SampleList([sample(n) for n in range(12)])


@pytest.fixture(scope="module")
def examples(description, source, tmp_path_factory):
    return examples_of(Blueprint(description, ALL), source, tmp_path_factory.mktemp("pass"))


def loss_of(model, drawn):
    objective = PairwiseContrastive()
    return objective.loss(model, objective.features(model, [drawn], "cpu"), Rows(drawn.positions, drawn.present))


def examples_of(blueprint, source, folder):
    kinds = {modality: canvas_of(read) for modality, read in blueprint.inputs.items()}
    found = read_catalogue(source, folder, kinds)
    canvases = open_canvases(source, found, folder, kinds)
    return Examples(found.keys, blueprint.inputs, canvases, found.sizes, found.captions, blueprint.tokenizer)


def test_a_seed_gives_the_same_towers_whatever_else_is_built(description):
    both = Blueprint(description, ALL).build(3).state_dict()
    alone = Blueprint(description, (Modality.TEXT, Modality.AUDIO)).build(3).state_dict()
    shared = [name for name in alone if name.startswith("towers.")]
    assert len(shared) > 10
    assert all(torch.equal(both[name], alone[name]) for name in shared)
    assert set(both) > {f"logit_scales.{a}_{b}" for a, b in (("image", "text"), ("text", "audio"), ("audio", "video"))}


def test_the_loss_is_the_mean_over_pairs_of_what_both_have(description, examples):
    model = Blueprint(description, ALL).build(0).eval()
    batch = examples.draw(np.arange(12), View(0, 0))
    found = loss_of(model, batch)
    with torch.no_grad():
        embeddings = model(batch.tensors)
    rows = {m: {i: r for r, i in enumerate(np.flatnonzero(batch.present[m]).tolist())} for m in ALL}
    losses = []
    for j, a in enumerate(ALL):
        for b in ALL[j + 1 :]:
            both = [i for i in range(12) if i in rows[a] and i in rows[b]]
            logits = torch.zeros(len(both), len(both), dtype=torch.float64)
            for p, i in enumerate(both):
                for q, k in enumerate(both):
                    logits[p, q] = embeddings[a][rows[a][i]].double() @ embeddings[b][rows[b][k]].double() / 0.07
            rightly = [-logits.log_softmax(dim)[p, p] for dim in (0, 1) for p in range(len(both))]
            losses.append(sum(rightly) / len(rightly))
    assert len(losses) == 6
    assert found.item() == pytest.approx(float(sum(losses) / 6), abs=1e-4)


def test_every_tower_learns(description, examples):
    model = Blueprint(description, ALL).build(0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    losses = []
    for step in range(40):
        loss = loss_of(model, examples.draw(np.arange(12), View(0, step)))
        optimiser.zero_grad()
        loss.backward()
        assert all(own.grad is not None and own.grad.isfinite().all() for own in model.parameters())
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_a_batch_in_which_nothing_pairs_changes_nothing(description, examples):
    model = Blueprint(description, ALL).build(0)
    loss = loss_of(model, examples.draw(np.array([3]), View(0, 0)))
    loss.backward()
    assert loss.item() == 0
    assert all(not own.grad.any() for own in model.parameters())


@pytest.mark.parametrize("views", [0, 2])
def test_saved_loaded_and_fed_either_way(description, source, examples, tmp_path, views):
    blueprint = Blueprint(description, ALL)
    model = blueprint.build(1)
    blueprint.save(model, tmp_path / "model")
    encoder = load_encoder(tmp_path / "model")
    assert encoder.modalities == ALL
    config = EmbeddingConfig(views=views, captions="pool", batch_size=5, shard_size=7)
    decoding = embed({"f": encoder}, source, tmp_path / "decoding", config, seed=4)["f"]
    kept = embed({"f": encoder}, DecodedSource(source, examples), tmp_path / "kept", config, seed=4)["f"]
    assert all_keys(decoding) == all_keys(kept) == list(source.keys())
    one, two = chosen_rows(decoding, range(12)), chosen_rows(kept, range(12))
    assert set(one) == set(two)
    assert set(one) >= {str(m) for m in ALL} | ({"audio_mean", "video_ssl"} if views else set())
    for name in one:
        torch.testing.assert_close(one[name], two[name], atol=2e-3, rtol=0, equal_nan=True)
    assert one["audio"][0].isnan().all()
    assert torch.equal(one["audio"].isnan().any(dim=1), torch.arange(12) % 5 == 0)
    with torch.no_grad():
        drawn = examples.draw(np.arange(12), None)
        expected = model.eval()(drawn.tensors)
    torch.testing.assert_close(two["video"], expected[Modality.VIDEO], atol=1e-5, rtol=0)
    # What is stored is what the metric takes.
    held = {m: two[m][1:5] for m in (Modality.IMAGE, Modality.TEXT)}
    assert cross_modal_consistency({m: two[m] for m in held}, held).isfinite().all()


def test_canvases_serve_samples_without_texts(description, source, tmp_path):
    """Each text goes to its own sample, whichever lack theirs."""
    samples = [
        replace(sample, captions=sample.captions[: number % 3])
        for number, sample in enumerate(source.samples(source.keys()))
    ]
    blueprint = Blueprint(description, ALL)
    blueprint.save(blueprint.build(1), tmp_path / "model")
    encoder, lacking = load_encoder(tmp_path / "model"), SampleList(samples)
    examples = examples_of(blueprint, lacking, tmp_path / "pass")
    config = EmbeddingConfig(captions="pool")
    one = embed({"f": encoder}, lacking, tmp_path / "a", config, seed=4)["f"].shard(0)
    two = embed({"f": encoder}, DecodedSource(lacking, examples), tmp_path / "b", config, seed=4)["f"].shard(0)
    assert two["text"].isnan().all(dim=1).tolist() == [number % 3 == 0 for number in range(12)]
    for name in ("text", "text_mean"):
        torch.testing.assert_close(one[name], two[name], atol=1e-5, rtol=0, equal_nan=True)


def test_canvases_serve_openclip_models_too(small_model, source, tmp_path):
    blueprint = Blueprint(architecture(str(small_model)), (Modality.IMAGE, Modality.TEXT))
    blueprint.save(blueprint.build(0), tmp_path / "model")
    encoder = load_encoder(tmp_path / "model")
    examples = examples_of(blueprint, source, tmp_path / "pass")
    config = EmbeddingConfig(views=2)
    one = embed({"f": encoder}, source, tmp_path / "a", config, seed=4)["f"].shard(0)
    two = embed({"f": encoder}, DecodedSource(source, examples), tmp_path / "b", config, seed=4)["f"].shard(0)
    for name in one:
        torch.testing.assert_close(one[name], two[name], atol=0.03, rtol=0)


def test_what_cannot_be(description, tmp_path):
    with pytest.raises(VestigeError, match="two modalities or more, found text"):
        Blueprint(description, (Modality.TEXT,))
    with pytest.raises(VestigeError, match="unknown smell; known are image, text, audio, video"):
        modalities_named(("image", "smell"))
    with pytest.raises(VestigeError, match="pool is one of mean, attention"):
        Blueprint({**description, "video_cfg": {"pool": "max"}}, ALL).build(0)
    with pytest.raises(VestigeError, match="audio_cfg cannot be built"):
        Blueprint({**description, "audio_cfg": {"patch_size": 0}}, ALL).build(0)
    (tmp_path / "vestige_towers.json").write_text("{}")
    with pytest.raises(VestigeError, match="not a description of towers"):
        load_encoder(tmp_path)


def test_units_of_films_are_watched_sample_by_sample(description, source, tmp_path):
    """A film goes through its tower frame by frame: its units are those of all its frames."""
    blueprint = Blueprint(description, (Modality.TEXT, Modality.VIDEO))
    blueprint.save(blueprint.build(1), tmp_path / "model")
    encoder = load_encoder(tmp_path / "model")
    assert isinstance(encoder, TowersEncoder)
    films = torch.stack([encoder.prepare(sample, None)[Modality.VIDEO] for sample in source.samples(source.keys())])
    _, together = encoder.encode_with_units({Modality.VIDEO: films})
    assert {len(own) for own in together.values()} == {12}
    assert any(name.startswith("towers.video.frame") for name in together)
    for place in (0, 7):
        _, alone = encoder.encode_with_units({Modality.VIDEO: films[place : place + 1]})
        for layer, activation in alone.items():
            torch.testing.assert_close(activation[0], together[layer][place], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("audio_cfg", {"frame": 100}, "audio_cfg: unknown setting 'frame'"),
        ("audio_cfg", {"frames": "many"}, "audio_cfg: frames is a whole number above 0, not 'many'"),
        ("video_cfg", {"frames": 0}, "video_cfg: frames is a whole number above 0, not 0"),
        ("video_cfg", [], "video_cfg: expected settings by name"),
    ],
)
def test_descriptions_that_are_wrong_are_one_line(description, name, settings, said):
    with pytest.raises(VestigeError, match=said):
        _ = Blueprint({**description, name: settings}, ALL).inputs


def test_pictures_that_no_model_sees_need_not_be_readable(description, tmp_path):
    blueprint = Blueprint(description, (Modality.TEXT, Modality.AUDIO))
    blueprint.save(blueprint.build(0), tmp_path / "model")
    samples = [Sample("a", "a", {Modality.AUDIO: tone(0), Modality.IMAGE: b"no picture"}, ("a tone",))]
    found = embed(
        {"f": load_encoder(tmp_path / "model")}, SampleList(samples), tmp_path / "e", EmbeddingConfig(), seed=0
    )
    assert not found["f"].skipped
