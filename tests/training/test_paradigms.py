"""DINO, classifiers and BLIP: their losses against loops, what is carried between steps, and the same bits again."""

import dataclasses

import numpy as np
import pytest
import torch

from oracles import blip as blip_oracle
from oracles import dino as dino_oracle
from vestige import designs
from vestige.data import open_source
from vestige.data.canvases import canvas_of
from vestige.data.catalogue import open_canvases, read_catalogue
from vestige.data.examples import Examples
from vestige.data.labels import Labels, numbered
from vestige.data.views import View
from vestige.models import openclip
from vestige.models.architectures import architecture
from vestige.models.blip import BlipBlueprint, read_places
from vestige.models.blueprint import load_encoder
from vestige.models.dino import DinoBlueprint, resized_positions, tower_at
from vestige.models.supervised import SupervisedBlueprint
from vestige.paradigms import DinoConfig
from vestige.samples import Modality
from vestige.training import checkpoints
from vestige.training.batches import epoch_batches
from vestige.training.blip import hard_negatives
from vestige.training.config import TrainingConfig
from vestige.training.dino import teacher_momentum, teacher_temperature
from vestige.training.job import objective_of
from vestige.training.loop import train_block
from vestige.training.step import Gradients, Work
from vestige.training.supervised import Classification
from vestige.training.team import Team

CONFIG = TrainingConfig(epochs=3, batch_size=16, learning_rate=2e-3, warmup_epochs=1)
DINO = DinoConfig(local_crops=2, outputs=24, hidden=16, bottleneck=8, frozen=0.0, centre_momentum=0.8)
PARADIGMS = ("dino", "supervised", "blip")


@pytest.fixture(scope="module")
def data(tmp_path_factory, small_model):
    from drawings import COLOURS, draw

    folder = tmp_path_factory.mktemp("pictures")
    for number in range(48):
        picture, caption = draw(number)
        picture.save(folder / f"{number:04d}.png")
        (folder / f"{number:04d}.txt").write_text(caption)
    source = open_source(f"folder:{folder}")
    description = architecture(str(small_model))
    inputs = BlipBlueprint(description).inputs
    kinds = {modality: canvas_of(read) for modality, read in inputs.items()}
    directory = tmp_path_factory.mktemp("run")
    found = read_catalogue(source, directory, kinds)
    canvases = open_canvases(source, found, directory, kinds)
    examples = Examples(found.keys, inputs, canvases, found.sizes, found.captions, openclip.tokenizer(description))
    labels = numbered([(COLOURS[int(key) % len(COLOURS)],) for key in found.keys], "label")
    return examples, labels, designs.roles(found.keys, found.groups, candidates=6, external=6, seed=0)


def planned(paradigm, small_model, labels):
    description = architecture(str(small_model))
    if paradigm == "dino":
        blueprint = DinoBlueprint(description, DINO)
    elif paradigm == "blip":
        blueprint = BlipBlueprint(description)
    else:
        blueprint = SupervisedBlueprint(description, "label").for_labels(labels)
    return blueprint, objective_of(blueprint, labels)


def train(models, slots, examples, objective, folder, config=CONFIG):
    train_block(
        models, slots, examples, objective, config, seed=3,
        checkpoint_directory=folder / "checkpoints", log_directory=folder / "log",
    )  # fmt: skip
    return models


def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def batch(examples, objective, count=8, seed=3):
    positions = np.arange(count)
    return Work(objective.draw(examples, positions, View(seed, 0)), examples.rows(positions), [count], seed)


def gradients_of(model):
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


# What all three share.


@pytest.mark.parametrize("paradigm", PARADIGMS)
def test_a_killed_training_goes_on_to_the_same_bits(data, small_model, tmp_path, monkeypatch, paradigm):
    """The teacher, the centre and the share that is done are part of the state; models of the same samples agree."""
    examples, labels, design = data
    blueprint, objective = planned(paradigm, small_model, labels)
    slots = design.slots()[[0, 0]]
    whole = train({name: blueprint.build(5) for name in "fg"}, slots, examples, objective, tmp_path / "whole")
    assert equal(state(whole["f"]), state(whole["g"]))
    save = checkpoints.save
    monkeypatch.setattr("vestige.training.loop.WORTH_KEEPING", -1)

    def killed(directory, epoch, states, steering):
        save(directory, epoch, states, steering)
        if epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("vestige.training.checkpoints.save", killed)
        with pytest.raises(KeyboardInterrupt):
            train({"f": blueprint.build(5)}, slots[:1], examples, objective, tmp_path / "cut")
    resumed = train({"f": blueprint.build(5)}, slots[:1], examples, objective, tmp_path / "cut")
    assert equal(state(whole["f"]), state(resumed["f"]))
    if paradigm == "dino":
        assert {"centre", "done"} <= state(whole["f"]).keys()
        assert whole["f"].done == 1


@pytest.mark.parametrize("paradigm", ["supervised", "blip"])
def test_the_loss_falls(data, small_model, tmp_path, paradigm):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    examples, labels, design = data
    blueprint, objective = planned(paradigm, small_model, labels)
    config = TrainingConfig(epochs=8, batch_size=12, learning_rate=4e-3, warmup_epochs=1)
    train({"f": blueprint.build(5)}, design.slots()[:1], examples, objective, tmp_path, config)
    events = EventAccumulator(str(tmp_path / "log" / "f")).Reload()
    losses = [scalar.value for scalar in events.Scalars("loss")]
    assert losses[-1] < 0.97 * losses[0]


@pytest.mark.parametrize("paradigm", PARADIGMS)
def test_chunks_give_the_gradients_of_the_whole_batch(data, small_model, paradigm):
    examples, labels, _ = data
    blueprint, objective = planned(paradigm, small_model, labels)
    work, found = batch(examples, objective), {}
    for chunk in (None, 3):
        model = blueprint.build(5)
        loss = Gradients(objective, "cpu", Team(), chunk=chunk)(model, work)
        found[chunk] = {"loss": torch.tensor(loss)} | gradients_of(model)
    assert found[None].keys() == found[3].keys()
    for name, own in found[None].items():
        torch.testing.assert_close(found[3][name], own, atol=1e-6, rtol=1e-4)


# DINO.


def test_dino_loss_is_the_papers(data, small_model):
    examples, labels, _ = data
    blueprint, objective = planned("dino", small_model, labels)
    model = blueprint.build(1)
    generator = torch.Generator().manual_seed(0)
    model.centre.copy_(torch.randn(DINO.outputs, generator=generator))
    model.done.fill_(0.15)
    features = {f"student_{k}": torch.randn(5, DINO.outputs, generator=generator) for k in range(4)}
    features |= {f"teacher_{k}": torch.randn(5, DINO.outputs, generator=generator) for k in range(2)}
    found = objective.loss(model, features, examples.rows(np.arange(5)))
    numbers = {name: own.double().tolist() for name, own in features.items()}
    expected = dino_oracle.loss(
        [numbers[f"student_{k}"] for k in range(4)],
        [numbers[f"teacher_{k}"] for k in range(2)],
        model.centre.double().tolist(),
        0.1,
        0.055,
    )
    assert found.item() == pytest.approx(expected, abs=1e-5)


def test_dino_teacher_and_centre_after_some_steps(data, small_model):
    """The teacher is the running mean of the students, the centre that of the teacher's outputs; neither is trained."""
    examples, labels, _ = data
    blueprint, objective = planned("dino", small_model, labels)
    model, steps = blueprint.build(1), 4
    assert equal(state(model.student), state(model.teacher))
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    expected, centre = state(model.teacher), model.centre.tolist()
    for step in range(steps):
        work = batch(examples, objective, seed=step)
        with torch.no_grad():
            outputs = [model.teacher(view.tensors[Modality.IMAGE]).double().tolist() for view in work.views[:2]]
        Gradients(objective, "cpu", Team())(model, work)
        assert not any(name.startswith("teacher") for name in gradients_of(model))
        optimizer.step()
        optimizer.zero_grad()
        assert equal(state(model.teacher), expected)
        done = (step + 1) / steps
        objective.after_step(model, done)
        share = dino_oracle.momentum(DINO.teacher_momentum, step + 1, steps)
        learned = state(model.student)
        expected = {name: share * own + (1 - share) * learned[name] for name, own in expected.items()}
        centre = dino_oracle.next_centre(centre, outputs, DINO.centre_momentum)
        for name, own in state(model.teacher).items():
            torch.testing.assert_close(own, expected[name], atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(model.centre.double(), torch.tensor(centre, dtype=torch.float64), atol=1e-6, rtol=0)
        expected = state(model.teacher)
    assert not equal(state(model.teacher), state(model.student))


def test_dino_student_learns_what_the_teacher_says(data, small_model):
    """While teacher and centre rest, the loss falls towards the entropy of the teacher's answers."""
    examples, _, _ = data
    resting = dataclasses.replace(
        DINO, teacher_momentum=1.0, centre_momentum=1.0, teacher_temperature=0.002, teacher_temperature_end=0.002
    )
    blueprint = DinoBlueprint(architecture(str(small_model)), resting)
    model, objective = blueprint.build(1), objective_of(blueprint)
    before, losses = state(model.teacher), []
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    with torch.no_grad():
        views = batch(examples, objective, 24).views
        model.centre.copy_(model.teacher(views[0].tensors[Modality.IMAGE]).mean(dim=0))
    for step in range(60):
        losses.append(Gradients(objective, "cpu", Team())(model, batch(examples, objective, 24)))
        optimizer.step()
        optimizer.zero_grad()
        objective.after_step(model, (step + 1) / 60)
    assert equal(before, state(model.teacher))
    assert losses[-1] < 0.8 * losses[0]


def test_dino_schedules():
    config = DinoConfig()
    assert [teacher_temperature(config, done) for done in (0, 0.15, 0.3, 1)] == pytest.approx([0.04, 0.055, 0.07, 0.07])
    assert [teacher_momentum(config, done) for done in (0, 0.5, 1)] == pytest.approx([0.9, 0.95, 1.0])


def test_dino_last_layer_rests_at_first(data, small_model):
    examples, _, _ = data
    blueprint = DinoBlueprint(architecture(str(small_model)), dataclasses.replace(DINO, frozen=0.2))
    objective = objective_of(blueprint)
    for done, trained in ((0.0, False), (0.2, True)):
        model = blueprint.build(1)
        model.done.fill_(done)
        Gradients(objective, "cpu", Team())(model, batch(examples, objective))
        assert ("student.projection.prototypes" in gradients_of(model)) == trained


def test_dino_crops_are_matched_and_never_alike(data, small_model):
    """Two models draw the same crops of a shared sample, in every epoch others, and no two crops alike."""
    examples, labels, design = data
    _, objective = planned("dino", small_model, labels)
    seen, chosen = [], np.flatnonzero(design.member.all(axis=0))[0]
    for epoch in range(2):
        for found in epoch_batches(design.slots(), examples, View(3, epoch), 16, objective):
            f, g = ([view.rows(share.drawn) for view in found.views] for share in found.shares)
            assert [tuple(view.tensors[Modality.IMAGE].shape[1:]) for view in f] == [(3, 16, 16)] * 2 + [(3, 8, 8)] * 2
            both = np.intersect1d(f[0].positions, g[0].positions)
            assert len(both)
            for position in both:
                for one, other in zip(f, g, strict=True):
                    a, b = (own.tensors[Modality.IMAGE][own.positions == position] for own in (one, other))
                    assert torch.equal(a, b)
            seen += [view.tensors[Modality.IMAGE][view.positions == chosen] for view in found.views[:2]]
    own = [crop for crop in seen if len(crop)]
    assert len(own) == 4
    assert all(not torch.equal(a, b) for k, a in enumerate(own) for b in own[:k])


def test_dino_asks_for_the_crops_and_colours_of_the_paper(data, small_model, monkeypatch):
    examples, labels, _ = data
    blueprint, objective = planned("dino", small_model, labels)
    asked = []
    monkeypatch.setattr(examples, "crops", lambda _, crops, jitter: asked.append((crops, jitter)) or ())
    objective.draw(examples, np.arange(2), View(3, 1))
    plain = dataclasses.replace(blueprint, config=dataclasses.replace(DINO, jitter=False))
    objective_of(plain).draw(examples, np.arange(2), View(3, 1))
    (crops, jitter), (_, none) = asked
    assert [(crop.scale, crop.size) for crop in crops] == [((0.4, 1.0), 16)] * 2 + [((0.05, 0.4), 8)] * 2
    assert jitter.strengths == (0.4, 0.4, 0.2, 0.1)
    assert (jitter.probability, jitter.grey_probability) == (0.8, 0.2)
    assert none is None


def test_dino_keeps_the_teacher(small_model, tmp_path):
    blueprint = DinoBlueprint(architecture(str(small_model)), DINO)
    model = blueprint.build(1)
    with torch.no_grad():
        for own in model.teacher.parameters():
            own.add_(0.1)
    blueprint.save(model, tmp_path / "model")
    kept = load_encoder(tmp_path / "model")
    assert equal(state(kept.model.towers["image"]), state(model.teacher.tower))
    assert not equal(state(model.student.tower), state(model.teacher.tower))


def test_dino_reads_crops_of_other_sizes(small_model):
    tower = DinoBlueprint(architecture(str(small_model)), DINO).build(1).student.tower
    assert tower_at(tower, torch.rand(2, 3, 8, 8)).shape == tower_at(tower, torch.rand(2, 3, 16, 16)).shape == (2, 16)
    positions = torch.arange(1 + 16.0)[:, None].repeat(1, 2)
    moved = resized_positions(positions, 4, 2)
    assert torch.equal(moved[0], positions[0])
    # A ramp over the grid stays a ramp: rows 4 apart, columns 1, twice as far from one another.
    torch.testing.assert_close(moved[2] - moved[1], torch.full((2,), 2.0), atol=0.2, rtol=0)
    torch.testing.assert_close(moved[3] - moved[1], torch.full((2,), 8.0), atol=0.8, rtol=0)


# Classifiers.


def test_cross_entropy_of_one_label_and_of_several(data):
    examples, labels, _ = data
    rows, logits = examples.rows(np.array([4, 0, 9])), torch.randn(3, len(labels.classes))
    expected = -logits.log_softmax(1)[torch.arange(3), labels.targets[[4, 0, 9]]].mean()
    torch.testing.assert_close(Classification(labels).loss(torch.nn.Identity(), {"logits": logits}, rows), expected)
    several = Labels(labels.classes, torch.rand(len(examples.keys), len(labels.classes)) < 0.4)
    has, p = several.targets[[4, 0, 9]], logits.sigmoid()
    expected = -torch.where(has, p, 1 - p).log().mean()
    torch.testing.assert_close(Classification(several).loss(torch.nn.Identity(), {"logits": logits}, rows), expected)


# BLIP.


def test_blip_loss_is_the_papers(data, small_model, monkeypatch):
    """The contrast, and the matching over every pair, a wrong text for each picture, a wrong picture for each text."""
    examples, labels, _ = data
    blueprint, objective = planned("blip", small_model, labels)
    model, work, asked = blueprint.build(1), batch(examples, objective, 6), []
    match = model.match

    def kept(patches, tokens):
        asked.append((patches, tokens, match(patches, tokens)))
        return asked[-1][2]

    monkeypatch.setattr(model, "match", kept)
    features = objective.features(model, work.views, "cpu")
    patches, tokens = features["patches"], work.views[0].tensors[Modality.TEXT]
    for seed in range(6):
        torch.manual_seed(seed)
        found = objective.loss(model, features, work.rows)
        seen, read, scores = asked[-1]
        owner = [next(k for k in range(6) if torch.equal(row, patches[k])) for row in seen]
        text = [next(k for k in range(6) if torch.equal(row, tokens[k])) for row in read]
        assert owner[:6] == text[:6] == list(range(6))
        assert owner[6:12] == list(range(6)) == text[12:]
        assert all(a != b for a, b in zip(owner[6:], text[6:], strict=True))
    image, words = (features[name].double().tolist() for name in ("image", "text"))
    expected = blip_oracle.contrast(image, words, model.logit_scale.exp().item())
    expected += blip_oracle.matching(scores.double().tolist(), [1] * 6 + [0] * 12)
    assert found.item() == pytest.approx(expected, abs=1e-5)


def test_hard_negatives_are_never_right_and_mostly_hard():
    same = torch.eye(4, dtype=torch.bool)
    same[0, 1] = same[1, 0] = True
    similarity = torch.tensor([[9, 9, 0, 3.0], [9, 9, 3, 0], [0, 0, 9, 5], [0, 0, 0, 9]])
    torch.manual_seed(0)
    draws = torch.stack([hard_negatives(similarity, same)[1] for _ in range(2000)])
    assert not same[torch.arange(4).expand_as(draws), draws].any()
    share = (draws[:, 0] == 3).double().mean().item()
    assert share == pytest.approx(np.exp(3) / (1 + np.exp(3)), abs=0.03)
    rows, columns = hard_negatives(similarity, torch.ones(4, 4, dtype=torch.bool))
    assert len(rows) == len(columns) == 0


def test_the_temperature_of_blip_is_bounded(small_model):
    blueprint = BlipBlueprint(architecture(str(small_model)))
    model = blueprint.build(1)
    with torch.no_grad():
        model.logit_scale.fill_(9.0)
    objective_of(blueprint).after_step(model, 0.5)
    assert model.logit_scale.exp().item() == pytest.approx(100)


def test_blip_does_not_read_beyond_the_end(small_model):
    """Padding has the id of the exclamation mark: what lies behind the end is not read, the mark before it is."""
    blueprint = BlipBlueprint(architecture(str(small_model)))
    model, tokenize = blueprint.build(1).eval(), blueprint.tokenizer
    plain, marked = tokenize(["a red disc", "a red disc !"])
    assert read_places(plain[None]).sum() == 5
    assert read_places(marked[None]).sum() == 6
    behind = plain.clone()
    behind[6:] = 77
    one, other, mark = model.text_embedding(torch.stack([plain, behind, marked]))
    torch.testing.assert_close(one, other)
    assert (one - mark).abs().max() > 1e-4
    patches = torch.randn(2, 5, 32)
    same = model.match(patches[[0, 0]], torch.stack([plain, behind]))
    changed = model.match(patches, plain[None].repeat(2, 1))
    torch.testing.assert_close(same[0], same[1])
    assert (changed[0] - changed[1]).abs().max() > 1e-5
