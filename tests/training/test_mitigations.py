"""Mitigations by themselves: what each does to embeddings, tokens, temperatures and batches, exactly."""

import json
import re
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import transformers
from open_clip.tokenizer import HFTokenizer
from torch.nn.functional import normalize

from local_models import WORDS
from vestige import EmbeddingNoise, MitigationConfig, TextMask, fix_temperature
from vestige.data.examples import Rows
from vestige.errors import VestigeError
from vestige.models import openclip
from vestige.models.architectures import architecture
from vestige.samples import Modality
from vestige.training.mitigations.masking import token_draws
from vestige.training.mitigations.noise import Noisy
from vestige.training.mitigations.notes import Notes, write_epoch
from vestige.training.mitigations.regroup import overhead, put_together, score_samples
from vestige.training.mitigations.stopping import Patience
from vestige.training.objectives import Contrastive, clamp_logit_scales
from vestige.training.start import weights_file

TOKENIZER = open_clip.SimpleTokenizer(context_length=16)
TEXTS = ["a red square on the left", "cat!", "one two three four five six seven eight nine ten eleven twelve", "! ! !"]


def test_noise_has_the_deviation_that_was_asked_for():
    torch.manual_seed(0)
    x = 7 * torch.randn(2000, 64)
    added = EmbeddingNoise(0.15)(x) - x
    assert abs(float(added.mean())) < 0.002
    assert abs(float(added.std()) - 0.15) < 0.002
    after = EmbeddingNoise(0.15, place="after")(x) - normalize(x, dim=1)
    assert abs(float(after.std()) - 0.15) < 0.002
    relative = EmbeddingNoise(0.15, scale="relative")(x) - x
    ratio = relative.norm(dim=1) / x.norm(dim=1)
    assert abs(float(ratio.mean()) - 0.15) < 0.002
    assert torch.equal(EmbeddingNoise(0.0)(x), x)


def test_the_ratio_is_noise_over_signal():
    x, e = torch.tensor([[3.0, 4.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    assert EmbeddingNoise(0.5).ratio(x, e).tolist() == pytest.approx([0.1, 1.0])
    assert EmbeddingNoise(0.5, place="after").ratio(x, e).tolist() == pytest.approx([0.5, 1.0])
    assert EmbeddingNoise(0.5, scale="relative").ratio(x, e).tolist() == pytest.approx([0.5 / 2**0.5, 1 / 2**0.5])


def test_relative_noise_gives_the_norm_no_gradient():
    x = torch.randn(4, 8, requires_grad=True)
    noise, e, other = EmbeddingNoise(0.3, scale="relative"), torch.randn(4, 8), normalize(torch.randn(4, 8), dim=1)
    (normalize(noise(x, e), dim=1) * other).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close((x.grad * x).sum(dim=1), torch.zeros(4), atol=1e-6, rtol=0)


class Watching:
    """An objective that keeps the features its loss was given."""

    def __init__(self):
        self.seen = {}

    def loss(self, model, features, rows):
        self.seen = features
        return features["image"].sum()


def noisy(rows, features, **more):
    watching, notes = Watching(), Notes()
    noises = {Modality.TEXT: EmbeddingNoise(1.0), Modality.AUDIO: EmbeddingNoise(2.0)}
    objective = Noisy(watching, noises, notes, **more)  # pyright: ignore[reportArgumentType]
    torch.manual_seed(5)
    objective.loss(torch.nn.Identity(), features, rows)
    return watching.seen, notes.take()


def test_models_that_share_slots_share_noise():
    """F has a sample in every slot; g has none in slot 1; slot 3 holds another sample in g."""
    zeros = {name: torch.zeros(4, 6) for name in ("image", "text")}
    f, _ = noisy(Rows(torch.tensor([5, 6, 7, 8]), {}), zeros)
    rows = Rows(torch.tensor([5, 7, 9]), {}, torch.tensor([0, 2, 3]), 4)
    g, _ = noisy(rows, {name: own[:3] for name, own in zeros.items()})
    assert torch.equal(g["text"], f["text"][[0, 2, 3]])
    assert float(f["text"].abs().min()) > 0
    assert torch.equal(f["image"], zeros["image"])


def test_noise_follows_the_samples_that_have_a_modality():
    has = torch.tensor([True, False, True])
    whole, _ = noisy(Rows(torch.arange(3), {}), {"image": torch.zeros(3, 6), "audio": torch.zeros(3, 6)})
    rows = Rows(torch.arange(3), {Modality.AUDIO: has})
    some, _ = noisy(rows, {"image": torch.zeros(3, 6), "audio": torch.zeros(2, 6)})
    assert torch.equal(some["audio"], whole["audio"][has])


def test_noise_on_chosen_samples_alone_and_its_ratio():
    features = {"image": torch.zeros(3, 4), "text": torch.ones(3, 4)}
    chosen = torch.tensor([False, True, False, True])
    found, notes = noisy(Rows(torch.tensor([1, 2, 3]), {}), features, chosen=chosen, name="some")
    assert [bool((row != 1).any()) for row in found["text"]] == [True, False, True]
    added = (found["text"] - 1).norm(dim=1) / 2
    assert notes == {"some/text": pytest.approx(float(added.sum())), "some/text/count": 2.0}


def test_masks_hide_text_alone_in_order_and_the_share_that_was_asked_for():
    tokens = TOKENIZER(TEXTS)
    keys = [str(number) for number in range(len(TEXTS))]
    sot, eot = TOKENIZER.all_special_ids
    lost = []
    for epoch in range(200):
        mask = TextMask.of(TOKENIZER, 0.3)
        for before, after in zip(tokens, mask(tokens, token_draws(0, epoch, keys, 16)), strict=True):
            old, new = (row[: int((row == eot).nonzero()[0]) + 1].tolist() for row in (before, after))
            assert new[0] == sot
            assert not after[len(new) :].any()
            # What is left is in order.
            rest = iter(old)
            assert all(token in rest for token in new)
            text = len(old) - 2
            hidden = len(old) - len(new)
            assert hidden in {int(0.3 * text), min(int(0.3 * text) + 1, text - 1)}
            lost.append((text, hidden))
    share = sum(hidden for _, hidden in lost) / sum(text for text, _ in lost)
    assert abs(share - 0.3) < 0.01


def test_masks_are_drawn_by_seed_epoch_and_key():
    mask, keys = TextMask.of(TOKENIZER, 0.5), ["a", "b", "c", "d"]
    tokens = TOKENIZER(TEXTS)
    whole = mask(tokens, token_draws(1, 2, keys, 16))
    assert torch.equal(mask(tokens[2:3], token_draws(1, 2, ["c"], 16)), whole[2:3])
    assert not torch.equal(mask(tokens, token_draws(1, 3, keys, 16)), whole)
    assert not torch.equal(mask(tokens, token_draws(2, 2, keys, 16)), whole)
    assert torch.equal(TextMask.of(TOKENIZER, 0.0)(tokens), tokens)
    assert torch.equal(TextMask.of(TOKENIZER, 0.99)(tokens)[:, 2] == TOKENIZER.eot_token_id, torch.ones(4).bool())


def test_a_mask_token_takes_the_place_of_what_is_hidden(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS))
    transformers.BertTokenizerFast(vocab=str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    tokenizer = HFTokenizer(str(tmp_path), context_length=10)
    tokens = tokenizer(["a red square on the number", "blue what disc"])
    masked = TextMask.of(tokenizer, 0.99)(tokens, token_draws(0, 0, ["x", "y"], 10))
    changed = masked != tokens
    assert (masked[changed] == WORDS.index("[MASK]")).all()
    # All but one word, the unknown one among them.
    assert changed.sum(dim=1).tolist() == [5, 2]
    special = torch.isin(tokens, torch.tensor([WORDS.index(word) for word in ("[PAD]", "[CLS]", "[SEP]")]))
    assert not (changed & special).any()


def test_what_is_dropped_becomes_padding_behind_the_end():
    """A class token may stand behind the padding."""
    mask = TextMask(0.5, frozenset({0, 1, 2, 9}), end=2, padding=0)
    tokens = torch.tensor([[1, 5, 6, 7, 8, 2, 0, 9]])
    draws = torch.tensor([[0.0, 0.1, 0.9, 0.2, 0.8, 0.0, 0.0, 0.0, 0.0]])
    assert mask(tokens, draws).tolist() == [[1, 6, 8, 2, 0, 0, 0, 9]]


def test_an_unknown_tokenizer_is_told_what_to_give():
    with pytest.raises(VestigeError, match="give their ids"):
        TextMask.of(lambda texts: torch.zeros(len(texts), 4), 0.3)


def test_a_fixed_temperature_stays_and_a_learned_one_is_bounded(small_model):
    fixed, learned = (openclip.build(architecture(str(small_model)), seed=0) for _ in range(2))
    fix_temperature(fixed, 200)
    assert fixed.logit_scale.exp().item() == pytest.approx(200, rel=1e-5)
    before = fixed.logit_scale.detach().clone()
    with torch.no_grad():
        learned.logit_scale.fill_(9.0)
    for model in (fixed, learned):
        clamp_logit_scales(model)
    assert torch.equal(fixed.logit_scale, before)
    assert not fixed.logit_scale.requires_grad
    assert learned.logit_scale.exp().item() == pytest.approx(100, rel=1e-5)
    with pytest.raises(ValueError, match="no parameter logit_scale"):
        fix_temperature(torch.nn.Linear(2, 2), 100)
    with pytest.raises(ValueError, match="greater than 0"):
        fix_temperature(fixed, 0)


SLOTS = np.array([[0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3, 4, 10, 11, -1]])


def test_slots_are_dealt_such_that_some_hold_exactly_the_chosen():
    top = [np.array([1, 6]), np.array([1, 11])]
    dealt, apart = put_together(SLOTS, top)
    assert [sorted(row[apart].tolist()) for row in dealt] == [[1, 6], [1, 11]]
    for before, after in zip(SLOTS, dealt, strict=True):
        assert sorted(before.tolist()) == sorted(after.tolist())
    # What both see keeps its slot, in both.
    assert dealt[:, :5].tolist() == SLOTS[:, :5].tolist()


def faked(embeddings):
    """Looks at models that are tables of embeddings."""
    return lambda model, positions: {m: own[positions] for m, own in embeddings[model].items()}


def test_the_top_is_that_of_the_contrast():
    torch.manual_seed(0)
    tables = {name: {m: normalize(torch.randn(20, 5), dim=1) for m in (Modality.IMAGE, Modality.TEXT)} for name in "fg"}
    heldout = np.arange(12, 20)
    alignment = {}
    for name, own in tables.items():
        x, y = own[Modality.IMAGE], own[Modality.TEXT]
        alignment[name] = [
            float(x[i] @ y[i] - torch.stack([x[i] @ y[h] + y[i] @ x[h] for h in heldout]).mean()) for i in range(12)
        ]
    slots = np.array([[0, 1, 2, 3, 4, 5, 6], [0, 1, 2, 7, 8, 9, 10]])
    gain = {i: alignment["f"][i] - alignment["g"][i] for i in range(12)}
    found = score_samples(["f", "g"], slots, faked(tables), heldout, by="contrast", share=0.4)  # pyright: ignore
    assert found.top[0].tolist() == sorted(sorted(range(3, 7), key=lambda i: -gain[i])[:2])
    assert found.top[1].tolist() == sorted(sorted(range(7, 11), key=lambda i: gain[i])[:2])
    assert list(found.ranked) == [4, 4]
    found = score_samples(["f"], slots[:1], faked(tables), heldout, by="alignment", share=0.4)  # pyright: ignore
    assert found.top[0].tolist() == sorted(sorted(range(7), key=lambda i: alignment["f"][i])[:3])
    found = score_samples(["f", "g"], slots, faked(tables), heldout, by="alignment", share=0.4)  # pyright: ignore
    together = sorted(range(3), key=lambda i: alignment["f"][i] + alignment["g"][i])[:2]
    for row, name in zip(found.top, "fg", strict=True):
        own = slots["fg".index(name), 3:].tolist()
        worst = sorted(own, key=lambda i, name=name: alignment[name][i])[:2]
        assert row.tolist() == sorted([*together, *worst])


def test_overheads_with_and_without_the_second_model():
    found = overhead({"f": 2.0, "g": 3.0}, {"f": 10.0, "g": 11.0}, 10)
    assert found == {"overhead_f": pytest.approx(0.02), "overhead_with_g": pytest.approx(1.15)}
    assert overhead({"f": 2.0}, {}, 10) == {"overhead_f": None, "overhead_with_g": None}


def test_patience_runs_out_after_epochs_without_a_better_value():
    rule = Patience(2)
    over = []
    for epoch, value in enumerate([3.0, 2.0, 2.0, float("nan"), 1.0, 1.5, 1.0], 1):
        rule = rule.seen(epoch, value)
        over.append(rule.over)
    assert over == [False, False, False, True, False, False, True]
    assert (rule.best, rule.best_epoch) == (1.0, 5)


def test_the_log_forgets_what_a_killed_run_wrote_ahead(tmp_path):
    path = tmp_path / "log.jsonl"
    write_epoch(path, 0, 1, [])
    assert not path.exists()
    for block, epoch in ((0, 1), (0, 2), (1, 1), (0, 2)):
        write_epoch(path, block, epoch, [{"mitigation": "noise", "value": epoch}])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted((line["block"], line["epoch"]) for line in lines) == [(0, 1), (0, 2), (1, 1)]
    write_epoch(path, 0, 1, [])
    assert [json.loads(line)["block"] for line in path.read_text().splitlines()] == [1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"text_noise": -0.1}, "text_noise"), ({"image_noise": float("nan")}, "image_noise"),
        ({"text_mask": 1.0}, "text_mask"), ({"logit_scale": 0.0}, "25, 100"), ({"regroup_every": 0}, "regroup_every"),
        ({"regroup_share": 1.0}, "regroup_share"), ({"regroup_noise": float("inf")}, "regroup_noise"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be(change, said):
    with pytest.raises(VestigeError, match=said) as caught:
        MitigationConfig(**change)
    assert "\n" not in str(caught.value)


def test_weights_to_start_from_that_are_not_there(tmp_path):
    with pytest.raises(VestigeError, match="no such run or checkpoint"):
        weights_file(tmp_path / "none", "f")
    with pytest.raises(VestigeError, match="no weights there"):
        weights_file(tmp_path, "f")
    (tmp_path / "config.yaml").write_text("")
    (tmp_path / "models" / "g").mkdir(parents=True)
    with pytest.raises(VestigeError, match=r"no model f \(it has g\)"):
        weights_file(tmp_path, "f")


def test_the_code_of_the_guide_runs(small_model, monkeypatch):
    """Every Python block of docs/mitigations.md, in order, on a model and data of the reader's."""
    text = (Path(__file__).parents[2] / "docs" / "mitigations.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) == 5
    model = openclip.build(architecture(str(small_model)), seed=0)
    loader = [(torch.rand(4, 3, 16, 16), TEXTS)]
    tokenizer = open_clip.SimpleTokenizer(context_length=12)
    asked = {}
    monkeypatch.setattr("vestige.training.finetune.fine_tune", lambda *own, **more: asked.update(more))
    known = {"model": model, "loader": loader, "tokenizer": tokenizer, "keys": ["a"]}
    known["optimizer"] = torch.optim.AdamW(model.parameters())
    before = model.visual.state_dict()["proj"].clone()
    for block in blocks:
        exec(compile(block, "docs/mitigations.md", "exec"), known)
    assert not torch.equal(model.visual.state_dict()["proj"], before)
    assert torch.isfinite(known["loss"])
    assert asked["remove"] == ["a"]
    assert not model.logit_scale.requires_grad


def test_contrastive_is_an_objective_that_noise_goes_around(small_model):
    """The loss under noise of deviation 0 is the loss."""
    model = openclip.build(architecture(str(small_model)), seed=0)
    features = {"image": torch.randn(4, 16), "text": torch.randn(4, 16)}
    rows = Rows(torch.arange(4), {})
    plain = Contrastive().loss(model, features, rows)
    quiet = Noisy(Contrastive(), {Modality.TEXT: EmbeddingNoise(0.0)}, Notes()).loss(model, features, rows)
    loud = Noisy(Contrastive(), {Modality.TEXT: EmbeddingNoise(2.0)}, Notes()).loss(model, features, rows)
    assert torch.equal(plain, quiet)
    assert not torch.equal(plain, loud)
