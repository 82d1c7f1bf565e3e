"""Training: matched between models, the same bits after a kill, and a clear word when it diverges."""

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from kills import killed_after
from vestige import designs
from vestige.data import open_source
from vestige.data.canvases import canvas_of
from vestige.data.catalogue import open_canvases, read_catalogue
from vestige.data.examples import Examples
from vestige.data.inputs import PictureInput
from vestige.data.views import View
from vestige.errors import VestigeError
from vestige.models import openclip
from vestige.models.architectures import architecture
from vestige.samples import Modality
from vestige.training import loop
from vestige.training.batches import batch_count, epoch_batches
from vestige.training.config import TrainingConfig
from vestige.training.loop import estimate, learning_rate, train_block
from vestige.training.objectives import Contrastive

CONFIG = TrainingConfig(epochs=4, batch_size=16, learning_rate=1e-3, warmup_epochs=1)


@pytest.fixture
def data(make_folder, tmp_path, small_model):
    source = open_source(f"folder:{make_folder(60)}")
    inputs = {Modality.IMAGE: PictureInput(16)}
    kinds = {modality: canvas_of(read) for modality, read in inputs.items()}
    found = read_catalogue(source, tmp_path / "samples", kinds)
    canvases = open_canvases(source, found, tmp_path / "samples", kinds)
    tokenize = openclip.tokenizer(architecture(str(small_model)))
    examples = Examples(found.keys, inputs, canvases, found.sizes, found.captions, tokenize)
    return examples, designs.roles(found.keys, found.groups, candidates=8, external=8, seed=0)


def models(small_model, names=("f", "g")):
    return {name: openclip.build(architecture(str(small_model)), seed=5) for name in names}


def train(built, slots, examples, folder, config=CONFIG, **changes):
    train_block(
        built, slots, examples, Contrastive(), config, seed=3,
        checkpoint_directory=folder / "checkpoints", log_directory=folder / "log", **changes,
    )  # fmt: skip
    return built


def weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def equal(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_matched_models_see_the_same_shared_batches(data):
    examples, design = data
    slots = design.slots()
    seen = {name: [] for name in "fg"}
    for epoch in range(2):
        view = View(3, epoch)
        for batch in epoch_batches(slots, examples, view, 16, Contrastive()):
            for name, share in zip("fg", batch.shares, strict=True):
                drawn = batch.views[0].rows(share.drawn)
                assert torch.equal(drawn.positions, share.rows.positions)
                own = (drawn.positions.numpy(), drawn.tensors[Modality.IMAGE], drawn.tensors[Modality.TEXT])
                seen[name].append(own)
    shared = np.flatnonzero(design.member.all(axis=0))
    for (f, f_images, f_tokens), (g, g_images, g_tokens) in zip(seen["f"], seen["g"], strict=True):
        assert len(f) == len(g)
        in_f, in_g = np.isin(f, shared), np.isin(g, shared)
        np.testing.assert_array_equal(f[in_f], g[in_g])
        assert torch.equal(f_images[torch.from_numpy(in_f)], g_images[torch.from_numpy(in_g)])
        assert torch.equal(f_tokens[torch.from_numpy(in_f)], g_tokens[torch.from_numpy(in_g)])
        # The rest of a batch is what only one of them saw.
        assert design.member[0, f[~in_f]].all()
        assert design.member[1, g[~in_g]].all()
    for name, row in zip("fg", design.member, strict=True):
        first = np.concatenate([positions for positions, _, _ in seen[name][: len(seen[name]) // 2]])
        assert sorted(first) == np.flatnonzero(row).tolist()


def test_one_model_gets_what_was_drawn_without_a_copy(data):
    """The same samples and views as in a pair of which it is one half, in the order of its slots."""
    examples, design = data
    alone, pair = (
        list(epoch_batches(slots, examples, View(3, 1), 16, Contrastive()))
        for slots in (design.slots()[:1], design.slots())
    )
    for one, two in zip(alone, pair, strict=True):
        (drawn,), (share,) = one.views, one.shares
        assert drawn.rows(share.drawn) is drawn
        other = two.views[0].rows(two.shares[0].drawn)
        assert torch.equal(drawn.positions, share.rows.positions)
        assert torch.equal(drawn.positions, other.positions)
        assert torch.equal(drawn.tensors[Modality.IMAGE], other.tensors[Modality.IMAGE])
        assert torch.equal(drawn.tensors[Modality.TEXT], other.tensors[Modality.TEXT])


def test_processes_part_a_batch_and_leave_nothing_out(data):
    """What three processes draw is, in the order of their ranks, the batch of one."""
    examples, design = data
    whole = list(epoch_batches(design.slots(), examples, View(3, 1), 16, Contrastive()))
    parts = [
        list(epoch_batches(design.slots(), examples, View(3, 1), 16, Contrastive(), rank=rank, processes=3))
        for rank in range(3)
    ]
    for batch, *own in zip(whole, *parts, strict=True):
        for model, share in enumerate(batch.shares):
            shares = [one.shares[model] for one in own]
            assert all(torch.equal(one.rows.positions, share.rows.positions) for one in shares)
            assert all(torch.equal(one.rows.places, share.rows.places) for one in shares)
            assert all(one.counts == [len(other.drawn) for other in shares] for one in shares)
            drawn = [one.views[0].rows(of.drawn) for one, of in zip(own, shares, strict=True)]
            assert torch.equal(torch.cat([one.positions for one in drawn]), share.rows.positions)
            for modality, tensor in batch.views[0].rows(share.drawn).tensors.items():
                torch.testing.assert_close(torch.cat([one.tensors[modality] for one in drawn]), tensor)


def test_every_step_draws_anew_and_alike_for_all_models(data, small_model, tmp_path, monkeypatch):
    """Dropout and noise come from the step's seed."""
    examples, design = data
    seeds, work = [], loop._work
    monkeypatch.setattr(loop, "_work", lambda batch, share, seed: seeds.append(seed) or work(batch, share, seed))
    train(models(small_model), design.slots(), examples, tmp_path, dataclasses.replace(CONFIG, epochs=2))
    steps = 2 * batch_count(design.slots(), CONFIG.batch_size)
    assert seeds[::2] == seeds[1::2]
    assert len(set(seeds)) == len(seeds) // 2 == steps


def test_matrices_alone_decay(small_model):
    model = openclip.build(architecture(str(small_model)), seed=5)
    groups = loop.trainable(model, CONFIG, "cpu").optimizer.param_groups
    shapes = {group["weight_decay"]: {own.ndim for own in group["params"]} for group in groups}
    assert {decay: min(own) >= 2 for decay, own in shapes.items()} == {CONFIG.weight_decay: True, 0.0: False}
    assert max(shapes[0.0]) < 2
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_every_epoch_is_another_order_and_other_views(data):
    examples, design = data
    one, two = (list(epoch_batches(design.slots(), examples, View(3, e), 16, Contrastive())) for e in (0, 1))
    assert [b.views[0].positions.tolist() for b in one] != [b.views[0].positions.tolist() for b in two]
    again = list(epoch_batches(design.slots(), examples, View(3, 0), 16, Contrastive(), turns=True))
    assert all(
        torch.equal(a.views[0].tensors[Modality.IMAGE], b.views[0].tensors[Modality.IMAGE])
        for a, b in zip(one, again, strict=True)
    )
    sizes = [len(batch.shares[0].rows) for batch in one]
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == batch_count(design.slots(), 16)


def test_models_in_step_are_trained_as_alone(data, small_model, tmp_path):
    examples, design = data
    both = train(models(small_model), design.slots(), examples, tmp_path / "both")
    alone = train(models(small_model, ["g"]), design.slots()[1:], examples, tmp_path / "alone")
    assert equal(weights(both["g"]), weights(alone["g"]))
    assert not equal(weights(both["f"]), weights(both["g"]))


def test_models_of_the_same_samples_are_the_same(data, small_model, tmp_path):
    examples, design = data
    twins = train(models(small_model), design.slots()[[0, 0]], examples, tmp_path)
    assert equal(weights(twins["f"]), weights(twins["g"]))


def test_a_killed_training_goes_on_to_the_same_bits(data, small_model, tmp_path, monkeypatch):
    examples, design = data
    whole = train(models(small_model), design.slots(), examples, tmp_path / "whole")
    with killed_after(2, monkeypatch):
        train(models(small_model), design.slots(), examples, tmp_path / "cut")
    (left,) = (tmp_path / "cut" / "checkpoints").iterdir()
    assert left.name == "epoch-00002"
    # A half-written next checkpoint is what a kill in the middle of writing leaves.
    (left.parent / ".epoch-00003.partial").mkdir()
    resumed = train(models(small_model), design.slots(), examples, tmp_path / "cut")
    assert all(equal(weights(whole[name]), weights(resumed[name])) for name in "fg")
    one, other = (
        load_file(tmp_path / way / "checkpoints" / "epoch-00004" / "f.safetensors") for way in ("whole", "cut")
    )
    assert equal(one, other)


def test_gradients_are_scaled_down_to_the_largest_norm(data, small_model, tmp_path):
    examples, design = data
    start = weights(models(small_model)["f"])
    # Far below Adam's epsilon nothing moves.
    config = dataclasses.replace(CONFIG, weight_decay=0.0, clip_norm=1e-12)
    still = weights(train(models(small_model), design.slots(), examples, tmp_path / "still", config)["f"])
    assert max(float((still[name] - start[name]).abs().max()) for name in start) < 1e-5
    free = dataclasses.replace(config, clip_norm=1e9)
    loose = weights(train(models(small_model), design.slots(), examples, tmp_path / "loose", free)["f"])
    none = dataclasses.replace(config, clip_norm=None)
    assert equal(loose, weights(train(models(small_model), design.slots(), examples, tmp_path / "none", none)["f"]))
    assert max(float((loose[name] - start[name]).abs().max()) for name in start) > 1e-3


@pytest.mark.parametrize(("decay", "same"), [(0.0, True), (0.1, False)])
def test_adam_differs_from_adamw_by_where_the_decay_is(data, small_model, tmp_path, decay, same):
    examples, design = data
    one, other = (
        weights(
            train(
                models(small_model),
                design.slots(),
                examples,
                tmp_path / name,
                dataclasses.replace(CONFIG, optimizer=name, weight_decay=decay, epochs=1),
            )["f"]
        )
        for name in ("adam", "adamw")
    )
    assert equal(one, other) == same


def test_short_epochs_are_not_all_kept(data, small_model, tmp_path, monkeypatch):
    examples, design = data
    saved = []
    monkeypatch.setattr("vestige.training.checkpoints.save", lambda directory, epoch, *rest: saved.append(epoch))
    train(models(small_model), design.slots(), examples, tmp_path / "often")
    assert saved == [1, CONFIG.epochs]
    monkeypatch.setattr("vestige.training.loop.WORTH_KEEPING", -1)
    train(models(small_model), design.slots(), examples, tmp_path / "seldom")
    assert saved[2:] == [1, 2, 3, 4]


def test_an_exploding_training_says_where(data, small_model, tmp_path, monkeypatch):
    examples, design = data
    real, calls = Contrastive.loss, []

    def exploding(self, *arguments):
        calls.append(1)
        return real(self, *arguments) * (1 if len(calls) < 10 else 100)

    monkeypatch.setattr(Contrastive, "loss", exploding)
    with pytest.raises(
        VestigeError, match=r"training of [fg] diverged: loss \d+.* after epoch 1 is kept in .*checkpoints"
    ):
        train(models(small_model), design.slots(), examples, tmp_path)


def test_the_loss_falls(data, small_model, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    examples, design = data
    train(
        models(small_model),
        design.slots(),
        examples,
        tmp_path,
        TrainingConfig(epochs=8, batch_size=16, warmup_epochs=1),
    )
    events = EventAccumulator(str(tmp_path / "log" / "f")).Reload()
    losses = [scalar.value for scalar in events.Scalars("loss")]
    assert len(losses) == 8
    assert losses[-1] < 0.8 * losses[0]
    assert {"learning_rate", "logit_scale"} <= set(events.Tags()["scalars"])


def test_a_diverging_training_says_where(data, small_model, tmp_path):
    examples, design = data
    config = TrainingConfig(epochs=4, batch_size=16, learning_rate=1e30, warmup_epochs=0)
    with pytest.raises(VestigeError) as caught:
        train(models(small_model), design.slots(), examples, tmp_path, config)
    message = str(caught.value)
    assert "diverged: loss nan at step" in message
    assert "samples (00" in message
    assert "lower training.learning_rate (now 1e+30)" in message


def test_learning_rate_warms_up_and_falls_to_zero():
    rates = [learning_rate(CONFIG, step, 10) for step in range(41)]
    np.testing.assert_allclose(rates[:10], 1e-4 * np.arange(1, 11))
    np.testing.assert_allclose(rates[10:], 5e-4 * (1 + np.cos(np.pi * np.arange(31) / 30)), atol=1e-12)


def test_the_estimate_leaves_the_model_as_it_was(data, small_model):
    examples, design = data
    (model,) = models(small_model, ["f"]).values()
    before = weights(model)
    found = estimate(model, 2, design.slots(), examples, Contrastive(), CONFIG)
    assert equal(before, weights(model))
    assert found.seconds > 0
    assert found.memory > 4 * sum(parameter.numel() * 4 for parameter in model.parameters())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epochs": 0}, "epochs"), ({"batch_size": 1}, "at least 2"), ({"learning_rate": -1.0}, "learning_rate"),
        ({"warmup_epochs": 30.0}, "warmup_epochs"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be(change, said):
    with pytest.raises(VestigeError, match=said):
        TrainingConfig(**change)
