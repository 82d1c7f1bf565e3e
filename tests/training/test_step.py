"""The gradients of a batch are the same whether it goes through a model whole, in chunks, or over two processes."""

import json
import socket
import subprocess
import sys

import open_clip
import pytest
import torch
from safetensors.torch import load_file

from vestige.config import load_config
from vestige.data.examples import Drawn, Rows
from vestige.errors import VestigeError
from vestige.models import openclip
from vestige.models.architectures import architecture
from vestige.models.blueprint import Blueprint
from vestige.runs import execute
from vestige.samples import Modality
from vestige.training.config import TrainingConfig
from vestige.training.loop import trainable
from vestige.training.mitigations.noise import EmbeddingNoise, Noisy
from vestige.training.mitigations.notes import Notes
from vestige.training.objectives import Captioning, Contrastive, PairwiseContrastive, Sigmoid
from vestige.training.step import Gradients, Work
from vestige.training.team import Team

SIZE, CONTEXT = 12, 12


def work_of(drawn):
    return Work([drawn], Rows(drawn.positions, drawn.present), [len(drawn.positions)], seed=0)


def pictures_and_texts():
    torch.manual_seed(1)
    tokens = torch.randint(1, 400, (SIZE, CONTEXT))
    tokens[:, -3:] = 0
    tokens[:, -4] = 49407
    tensors = {Modality.IMAGE: torch.rand(SIZE, 3, 16, 16), Modality.TEXT: tokens}
    everywhere = torch.ones(SIZE, dtype=torch.bool)
    return Drawn(torch.arange(SIZE), tensors, dict.fromkeys(tensors, everywhere))


def gradients_of(model, objective, work, **how):
    model.zero_grad(set_to_none=True)
    loss = Gradients(objective, "cpu", Team(), **how)(model, work)
    return loss, {name: own.grad.clone() for name, own in model.named_parameters() if own.grad is not None}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=1e-4, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}")


def described(small_model, **more):
    return architecture(str(small_model)) | more


def coca(small_model):
    writer = {"context_length": CONTEXT, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    description = described(small_model, multimodal_cfg=writer | {"attn_pooler_heads": 2}, custom_text=True)
    description["text_cfg"] |= {"embed_cls": True, "output_tokens": True, "pad_id": 0}
    description["vision_cfg"] |= {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
    return openclip.build(description, seed=2)


@pytest.mark.parametrize("chunk", [5, 12, 100])
@pytest.mark.parametrize("name", ["clip", "siglip", "coca", "noisy"])
def test_chunks_give_the_gradients_of_the_whole(small_model, name, chunk):
    if name == "coca":
        objective, model = Captioning(), coca(small_model)
    elif name == "siglip":
        objective, model = Sigmoid(), openclip.build(described(small_model, init_logit_bias=-10.0), seed=2)
    elif name == "noisy":
        # The noise is drawn with the loss, of the whole batch.
        objective = Noisy(Contrastive(), {Modality.TEXT: EmbeddingNoise(0.5)}, Notes())
        model = openclip.build(described(small_model), seed=2)
    else:
        objective, model = Contrastive(), openclip.build(described(small_model), seed=2)
    work = work_of(pictures_and_texts())
    whole, expected = gradients_of(model, objective, work)
    loss, found = gradients_of(model, objective, work, chunk=chunk)
    assert loss == pytest.approx(whole, rel=1e-5)
    assert_same(found, expected)
    assert any(bool(own.any()) for own in expected.values())


def test_the_loss_of_coca_is_that_of_openclip(small_model):
    model, work = coca(small_model), work_of(pictures_and_texts())
    loss, _ = gradients_of(model, Captioning(), work)
    mean, std = openclip.normalisation(model)
    tensors = work.views[0].tensors
    found = model((tensors[Modality.IMAGE] - mean) / std, tensors[Modality.TEXT])
    expected = open_clip.CoCaLoss(caption_loss_weight=2.0, clip_loss_weight=1.0, pad_id=0)(**found)
    assert loss == pytest.approx(sum(expected).item(), rel=1e-5)


def test_chunks_without_a_modality(small_model):
    description = described(small_model)
    sounds = {"rate": 8000, "mels": 16, "frames": 16, "window": 400, "hop": 400}
    description["audio_cfg"] = sounds | {"patch_size": 8, "width": 32, "head_width": 16, "layers": 1}
    model = Blueprint(description, (Modality.IMAGE, Modality.TEXT, Modality.AUDIO)).build(0)
    drawn = pictures_and_texts()
    tensors = {**drawn.tensors, Modality.AUDIO: torch.randn(6, 16, 16)}
    # The first six have no sound: the first chunks have none at all.
    drawn = Drawn(drawn.positions, tensors, {**drawn.present, Modality.AUDIO: torch.arange(SIZE) >= 6})
    whole, expected = gradients_of(model, PairwiseContrastive(), work_of(drawn))
    for chunk in (3, 5):
        loss, found = gradients_of(model, PairwiseContrastive(), work_of(drawn), chunk=chunk)
        assert loss == pytest.approx(whole, rel=1e-5)
        assert_same(found, expected)


def test_a_chunk_drops_the_same_patches_when_it_goes_through_again(small_model):
    """The gradient of a chunked batch is that of one loss over features of one draw: checked by finite differences."""
    description = described(small_model)
    description["vision_cfg"] |= {"patch_dropout": 0.5}
    model = openclip.build(description, seed=2).double()
    drawn = pictures_and_texts()
    tensors = {**drawn.tensors, Modality.IMAGE: drawn.tensors[Modality.IMAGE].double()}
    work = work_of(Drawn(drawn.positions, tensors, drawn.present))
    _, gradients = gradients_of(model, Contrastive(), work, chunk=5)
    bias, step = model.visual.ln_post.bias, 1e-2
    place = int(gradients["visual.ln_post.bias"].abs().argmax())
    losses = []
    for sign in (1, -1):
        with torch.no_grad():
            bias[place] += sign * step
        losses.append(gradients_of(model, Contrastive(), work, chunk=5)[0])
        with torch.no_grad():
            bias[place] -= sign * step
    slope = (losses[0] - losses[1]) / (2 * step)
    assert slope == pytest.approx(float(gradients["visual.ln_post.bias"][place]), rel=0.02)


def test_bfloat16_computes_nearly_the_same(small_model):
    model = openclip.build(described(small_model), seed=2)
    whole, expected = gradients_of(model, Contrastive(), work_of(pictures_and_texts()))
    loss, found = gradients_of(model, Contrastive(), work_of(pictures_and_texts()), bfloat16=True)
    assert loss == pytest.approx(whole, rel=0.02)
    assert loss != whole
    assert all(own.dtype == torch.float32 for own in found.values())
    one, other = (own["visual.proj"].flatten() for own in (found, expected))
    assert torch.nn.functional.cosine_similarity(one, other, dim=0) > 0.98


def test_batch_normalisation_is_not_chunked(small_model):
    description = described(small_model)
    description["vision_cfg"] = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8}
    with pytest.raises(VestigeError, match=r"chunk_size: .*normalises over the batch"):
        trainable(openclip.build(description, seed=0), TrainingConfig(chunk_size=4), "cpu")


@pytest.mark.parametrize("objective", [Contrastive(), Sigmoid()])
def test_the_temperature_of_clip_alone_is_bounded(small_model, objective):
    model = openclip.build(described(small_model, init_logit_bias=-10.0), seed=2)
    with torch.no_grad():
        model.logit_scale.fill_(9.0)
    objective.after_step(model, 0.5)
    assert model.logit_scale.exp().item() == pytest.approx(100 if isinstance(objective, Contrastive) else 8103.08)


@pytest.mark.timeout(200)
def test_two_processes_train_what_one_does(make_folder, small_model, tmp_path):
    """Gloo, with batches that do not divide by two."""
    settings = ["--data", f"folder:{make_folder(61)}", "--model", str(small_model), "--training.epochs", "2"]
    # Adam divides by the size of the gradient: with a small epsilon rounding alone would turn the sign of a step.
    settings += ["--training.batch-size", "25", "--training.epsilon", "0.01"]
    settings += ["--mitigations.text-noise", "0.1", "--mitigations.text-mask", "0.3"]
    settings += ["--mitigations.regroup-every", "1", "--mitigations.regroup-share", "0.5"]
    alone = [sys.executable, "-m", "vestige"]
    together = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", free_port()]
    for name, command in {"one": alone, "two": [*together, "-m", "vestige"]}.items():
        done = subprocess.run(
            [*command, "train", *settings, "--out", str(tmp_path / name)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("scores and report") == 1
        assert done.stderr.count("training 2 models") == 1
    for model in "fg":
        one, two = (load_file(tmp_path / name / "models" / model / openclip.WEIGHTS_FILE) for name in ("one", "two"))
        for tensor in one:
            torch.testing.assert_close(one[tensor], two[tensor], rtol=0, atol=1e-5)
        start = openclip.build(described(small_model), seed=0).state_dict()
        assert max(float((one[tensor] - start[tensor]).abs().max()) for tensor in one) > 1e-3
    logs = [(tmp_path / name / "mitigations.jsonl").read_text().splitlines() for name in ("one", "two")]
    for own, other in zip(*([json.loads(line) for line in lines] for lines in logs), strict=True):
        # Which samples were put together, and how many tokens were hidden.
        for name in {"mitigation", "model", "keys", "hidden", "tokens"} & own.keys():
            assert own[name] == other[name]
    executed = execute(load_config(tmp_path / "two" / "config.yaml"), tmp_path / "two")
    assert len(executed.scores) == 61


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])
