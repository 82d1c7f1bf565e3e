"""What happens around epochs: regrouped batches, early ends, and the same bits after a kill."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from drawings import draw
from kills import killed_after
from vestige import EmbeddingNoise, MitigationConfig, TextMask, designs, fix_temperature
from vestige.data import open_source
from vestige.data.canvases import canvas_of
from vestige.data.catalogue import open_canvases, read_catalogue
from vestige.data.examples import Examples
from vestige.data.inputs import PictureInput
from vestige.data.views import View
from vestige.designs import Role
from vestige.errors import VestigeError
from vestige.models import openclip
from vestige.models.architectures import architecture
from vestige.samples import Modality
from vestige.training import checkpoints
from vestige.training.batches import batch_count, epoch_batches
from vestige.training.config import TrainingConfig
from vestige.training.loop import train_block
from vestige.training.mitigations.noise import Noisy
from vestige.training.mitigations.notes import Notes
from vestige.training.objectives import Contrastive
from vestige.training.steering import Place, Steering
from vestige.training.step import Gradients, Work
from vestige.training.team import Team

CONFIG = TrainingConfig(epochs=4, batch_size=16, learning_rate=1e-3, warmup_epochs=1)
EVERYTHING = MitigationConfig(text_noise=0.1, text_mask=0.3, regroup_every=2, regroup_share=0.4)


@pytest.fixture(scope="module")
def data(tmp_path_factory, small_model):
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(60):
        picture, caption = draw(number)
        picture.save(folder / f"{number:04d}.png")
        (folder / f"{number:04d}.txt").write_text(f"{caption}\nanother text of number {number}\n")
    source, samples = open_source(f"folder:{folder}"), tmp_path_factory.mktemp("samples")
    inputs = {Modality.IMAGE: PictureInput(16)}
    kinds = {modality: canvas_of(read) for modality, read in inputs.items()}
    found = read_catalogue(source, samples, kinds)
    canvases = open_canvases(source, found, samples, kinds)
    tokenize = openclip.tokenizer(architecture(str(small_model)))
    examples = Examples(found.keys, inputs, canvases, found.sizes, found.captions, tokenize)
    return examples, designs.roles(found.keys, found.groups, candidates=12, external=8, seed=0)


@pytest.fixture
def block(data, small_model, tmp_path):
    """A function that trains f and g, and gives the models and their steering."""

    def train(name="run", training=CONFIG, mitigations=None, *, models="fg", prepare=None):
        examples, design = data
        slots = design.slots()[: len(models)]
        built = {own: openclip.build(architecture(str(small_model)), seed=5) for own in models}
        for model in built.values():
            (prepare or (lambda model: None))(model)
        kept = []
        steering = Steering(
            slots, examples, Contrastive(), training,
            mitigations=mitigations,
            heldout=np.array([i for i, role in enumerate(design.roles()) if role == Role.EXTERNAL]),
            mask=TextMask.of(openclip.tokenizer(architecture(str(small_model))), (mitigations or EVERYTHING).text_mask),
            place=Place(tmp_path / name / "log.jsonl", 0, lambda e: kept.append((e, weights(built[models[0]])))),
        )  # fmt: skip
        train_block(
            built, slots, examples, Contrastive(), training, seed=3,
            checkpoint_directory=tmp_path / name / "checkpoints", log_directory=tmp_path / name / "log",
            steering=steering,
        )  # fmt: skip
        log = tmp_path / name / "log.jsonl"
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return built, steering, lines, dict(kept)

    return train


def weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def equal(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_noise_is_the_same_in_chunks(data, small_model):
    examples, design = data
    noises = {Modality.TEXT: EmbeddingNoise(0.3), Modality.IMAGE: EmbeddingNoise(0.2)}
    (batch, *_) = epoch_batches(design.slots(), examples, View(3, 0), 16, Contrastive())
    share = batch.shares[0]
    work = Work([view.rows(share.drawn) for view in batch.views], share.rows, share.counts, 7)

    def gradients(objective, chunk):
        model = openclip.build(architecture(str(small_model)), seed=5)
        loss = Gradients(objective, "cpu", Team(), chunk=chunk)(model, work)
        return loss, {name: own.grad for name, own in model.named_parameters() if own.grad is not None}

    loss, whole = gradients(Noisy(Contrastive(), noises, Notes()), None)
    chunked_loss, chunked = gradients(Noisy(Contrastive(), noises, Notes()), 5)
    plain_loss, plain = gradients(Contrastive(), None)
    assert chunked_loss == pytest.approx(loss, abs=1e-6)
    assert abs(plain_loss - loss) > 1e-3
    for name, own in whole.items():
        torch.testing.assert_close(chunked[name], own, atol=1e-6, rtol=1e-4, msg=name)
    assert not torch.allclose(plain["text_projection"], whole["text_projection"], rtol=0.1)


def test_a_fixed_scale_is_bit_for_bit_what_it_was(block):
    models, _, lines, _ = block(
        "fixed", replace(CONFIG, epochs=1, warmup_epochs=0), MitigationConfig(logit_scale=200),
        prepare=lambda model: fix_temperature(model, 200),
    )  # fmt: skip
    for model in models.values():
        assert torch.equal(model.logit_scale, torch.tensor(200.0, dtype=torch.float64).log().float())
        assert model.logit_scale.exp() > 190
    assert lines == [{"block": 0, "epoch": 0, "mitigation": "temperature", "logit_scale": 200}]


def test_regrouped_batches_hold_exactly_the_most_memorized(block, data):
    examples, design = data
    mitigations = MitigationConfig(regroup_every=2, regroup_share=0.4)
    _, steering, lines, _ = block("run", CONFIG, mitigations)
    assert [(line["epoch"], line["model"]) for line in lines if line["mitigation"] == "regroup"] == [(2, "f"), (2, "g")]
    top = {line["model"]: set(line["keys"]) for line in lines if line["mitigation"] == "regroup"}
    roles = dict(zip(design.keys, design.roles(), strict=True))
    assert {roles[key] for key in top["f"]} == {Role.CANDIDATE}
    assert {roles[key] for key in top["g"]} == {Role.INDEPENDENT}
    assert [len(own) for own in top.values()] == [5, 5]
    plan = steering.plan()
    batches = list(epoch_batches(plan.slots, examples, View(3, 3), 4, plan.objective, apart=plan.apart))
    assert len(batches) == batch_count(plan.slots, 4, plan.apart)
    seen = {
        name: [[examples.keys[i] for i in b.shares[m].rows.positions] for b in batches] for m, name in enumerate("fg")
    }
    shared = {key for key, role in roles.items() if role == Role.SHARED}
    for name in "fg":
        apart = [batch for batch in seen[name] if top[name] & set(batch)]
        assert sorted(key for batch in apart for key in batch) == sorted(top[name])
        row = design.member["fg".index(name)]
        everything = [design.keys[i] for i in np.flatnonzero(row)]
        assert sorted(key for batch in seen[name] for key in batch) == sorted(everything)
    for f, g in zip(seen["f"], seen["g"], strict=True):
        assert [key for key in f if key in shared] == [key for key in g if key in shared]
        assert len(f) == len(g)
    costs = next(line for line in lines if line["mitigation"] == "regroup")
    assert 0 < costs["overhead_f"] < costs["overhead_with_g"]
    assert costs["overhead_with_g"] > 0.5


def test_only_regrouped_samples_are_augmented(block, data):
    examples, design = data
    _, steering, lines, _ = block(
        "run", replace(CONFIG, epochs=3), MitigationConfig(regroup_every=2, regroup_share=0.4)
    )
    chosen = {key for line in lines if line["mitigation"] == "regroup" for key in line["keys"]}
    objective = steering.plan().objective
    positions = np.flatnonzero(design.member.any(axis=0))
    first = examples.draw(positions, None).tensors[Modality.TEXT]
    changed = set()
    for epoch in range(8):
        (drawn,) = objective.draw(examples, positions, View(3, epoch))
        other = (drawn.tensors[Modality.TEXT] != first).any(dim=1)
        changed |= {examples.keys[i] for i in positions[other.numpy()]}
        assert 0 < int(other.sum()) < len(chosen)
    assert changed <= chosen
    assert len(changed) > len(chosen) / 2
    noise = [line for line in lines if line["mitigation"].startswith("regroup_noise")]
    assert {(line["epoch"], line["model"], line["mitigation"]) for line in noise} == {
        (3, name, f"regroup_noise/{m}") for name in "fg" for m in ("image", "text")
    }


def test_a_killed_training_with_everything_on_goes_on_to_the_same_bits(block, monkeypatch):
    whole, _, lines, _ = block("whole", CONFIG, EVERYTHING)
    save = checkpoints.save

    def killed(directory, epoch, *rest):
        save(directory, epoch, *rest)
        if epoch == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("vestige.training.checkpoints.save", killed)
        patch.setattr("vestige.training.loop.WORTH_KEEPING", -1.0)
        with pytest.raises(KeyboardInterrupt):
            block("cut", CONFIG, EVERYTHING)
    resumed, _, again, _ = block("cut", CONFIG, EVERYTHING)
    assert all(equal(weights(whole[name]), weights(resumed[name])) for name in "fg")

    def timeless(found):
        return [
            {name: own for name, own in one.items() if "second" not in name and "overhead" not in name} for one in found
        ]

    assert timeless(again) == timeless(lines)
    assert {line["mitigation"] for line in lines} == {
        "noise/text", "text_mask", "regroup", "regroup_noise/image", "regroup_noise/text"
    }  # fmt: skip
    masks = [line for line in lines if line["mitigation"] == "text_mask"]
    assert [line["epoch"] for line in masks] == [1, 2, 3, 4]
    assert all(0.25 < line["hidden"] / line["tokens"] < 0.35 for line in masks)


def test_stopping_at_an_epoch_is_the_longer_training_cut_off(block):
    long, _, _, kept = block("long", replace(CONFIG, keep_epochs=(2,)))
    short, _, _, also = block("short", replace(CONFIG, stop_epoch=2, keep_every=1))
    assert list(kept) == [2, 4]
    assert list(also) == [1, 2]
    assert equal(kept[2], weights(short["f"]))
    assert equal(kept[4], weights(long["f"]))
    assert not equal(kept[2], kept[4])


@pytest.mark.parametrize("on", ["loss", "retrieval"])
def test_patience_ends_a_training_that_gets_no_better(block, on):
    still = replace(CONFIG, epochs=6, learning_rate=1e-30, patience=2, patience_on=on, keep_epochs=(5,))
    _, _, lines, kept = block("run", still)
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert [line["stopped"] for line in lines] == [False, False, True]
    assert set(lines[0][f"heldout_{on}"]) == {"f", "g"}
    assert list(kept) == [3]
    _, again, lines, kept = block("run", still)
    assert again.stopped
    assert len(lines) == 3
    assert not kept


@pytest.mark.parametrize(
    ("on", "values"), [("loss", (3.0, 2.0, 2.5, 2.4, 1.0, 0.0)), ("retrieval", (0.1, 0.3, 0.2, 0.3, 0.8, 0.9))]
)
def test_patience_knows_the_better_way_and_goes_on_counting_after_a_kill(block, monkeypatch, on, values):
    """The second epoch is the best of the first four: the fourth is the last, killed after the third or not."""
    config, said = replace(CONFIG, epochs=6, patience=2, patience_on=on), iter(values)
    monkeypatch.setattr(f"vestige.training.steering.heldout_{on}", lambda *_: next(said))
    _, _, lines, _ = block("whole", config, models="f")
    assert [(line["epoch"], line["stopped"]) for line in lines] == [(1, False), (2, False), (3, False), (4, True)]
    said = iter(values)
    with killed_after(3, monkeypatch):
        block("cut", config, models="f")
    _, _, again, _ = block("cut", config, models="f")
    assert again == lines


def test_what_cannot_be_steered(block, data):
    with pytest.raises(VestigeError, match="regroup_by alignment"):
        block("alone", CONFIG, MitigationConfig(regroup_every=1), models="f")
    with pytest.raises(VestigeError, match="do not embed audio"):
        block("deaf", CONFIG, MitigationConfig(audio_noise=0.1))
    examples, design = data
    with pytest.raises(VestigeError, match=r"training.patience needs held-out samples"):
        Steering(design.slots(), examples, Contrastive(), replace(CONFIG, patience=1))
    alone = Examples(examples.keys, {Modality.IMAGE: PictureInput(16)}, {}, examples._sizes, [], None)
    by_retrieval = replace(CONFIG, patience=1, patience_on="retrieval")
    with pytest.raises(VestigeError, match="retrieval finds one modality by another, and the models of this run read"):
        Steering(design.slots(), alone, Contrastive(), by_retrieval, heldout=np.array([1, 2]))
    wrong = {"stop_epoch": (5, "after the last"), "keep_epochs": ((9,), "from 1 to 4"), "patience": (0, "patience")}
    for name, (value, said) in wrong.items():
        with pytest.raises(VestigeError, match=said):
            replace(CONFIG, **{name: value})
