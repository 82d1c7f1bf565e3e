"""OpenCLIP models: saved so that OpenCLIP loads them, loaded whatever the file, refused in one line."""

import json
import pickle

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from bombs import Bomb
from vestige.data.views import View
from vestige.errors import VestigeError
from vestige.models import Encoder, openclip
from vestige.models.architectures import SIZES, architecture
from vestige.models.openclip import OpenCLIPEncoder
from vestige.samples import Modality, Sample

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 30, 3)).astype(np.uint8))
SAMPLE = Sample("k", "k", {Modality.IMAGE: PICTURE}, ("a picture of noise",))


@pytest.fixture
def saved(small_model, tmp_path):
    model = openclip.build(architecture(str(small_model)), seed=1)
    openclip.save(model, architecture(str(small_model)), tmp_path / "model")
    return model, tmp_path / "model"


def same(one: OpenCLIPEncoder, model: torch.nn.Module) -> bool:
    pairs = zip(one.model.state_dict().values(), model.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_the_seed_makes_the_weights(small_model):
    description = architecture(str(small_model))
    before = torch.random.get_rng_state()
    one, same_again, other = (openclip.build(description, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    weights = [model.state_dict()["visual.conv1.weight"] for model in (one, same_again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_openclip_loads_what_is_saved(saved):
    _, folder = saved
    loaded, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(["a picture of noise"])
    encoder = OpenCLIPEncoder.load(folder)
    assert isinstance(encoder, Encoder)
    prepared = encoder.prepare(SAMPLE, None)
    torch.testing.assert_close(prepared[Modality.IMAGE], preprocess(PICTURE), rtol=0, atol=0)
    torch.testing.assert_close(prepared[Modality.TEXT], tokens[0], rtol=0, atol=0)
    found = encoder.encode({modality: tensor[None] for modality, tensor in prepared.items()})
    with torch.inference_mode():
        expected = loaded.eval().encode_image(preprocess(PICTURE)[None], normalize=True)
    torch.testing.assert_close(found[Modality.IMAGE], expected)
    torch.testing.assert_close(found[Modality.TEXT].norm(dim=1), torch.ones(1))


def test_views_are_crops_drawn_by_key(saved):
    encoder = OpenCLIPEncoder.load(saved[1])
    plain, one, again, other = (
        encoder.prepare(SAMPLE, v)[Modality.IMAGE] for v in (None, View(0, 1), View(0, 1), View(0, 2))
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert one.shape == plain.shape
    assert not torch.equal(one, plain)


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("kind", ["pt", "state_dict", "safetensors"])
def test_checkpoints_of_every_kind(saved, small_model, tmp_path, kind, prefix):
    model, _ = saved
    weights = {prefix + name: tensor for name, tensor in model.state_dict().items()}
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pt")
    if kind == "safetensors":
        save_file(weights, path)
    else:
        torch.save({"state_dict": weights, "epoch": 3} if kind == "state_dict" else weights, path)
    assert same(OpenCLIPEncoder.load(path, str(small_model)), model)


def test_fingerprints_tell_weights_and_preprocessing_apart(saved, small_model):
    model, folder = saved
    one = OpenCLIPEncoder.load(folder)
    assert one.fingerprint == OpenCLIPEncoder(model, architecture(str(small_model))).fingerprint
    other = OpenCLIPEncoder(openclip.build(architecture(str(small_model)), seed=2), architecture(str(small_model)))
    assert (one.preprocessing == other.preprocessing, one.fingerprint == other.fingerprint) == (True, False)
    about = json.loads((folder / openclip.CONFIG_FILE).read_text())
    about["preprocess_cfg"]["mean"] = [0.5, 0.5, 0.5]
    (folder / openclip.CONFIG_FILE).write_text(json.dumps(about))
    changed = OpenCLIPEncoder.load(folder)
    assert changed.preprocessing != one.preprocessing
    difference = changed.prepare(SAMPLE, None)[Modality.IMAGE] - one.prepare(SAMPLE, None)[Modality.IMAGE]
    assert difference.abs().min() > 1e-3


def refused(*arguments) -> str:
    with pytest.raises(VestigeError) as caught:
        OpenCLIPEncoder.load(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_another_architecture_names_the_tensors(saved):
    message = refused(saved[1] / openclip.WEIGHTS_FILE, "nano")
    assert "another architecture" in message
    assert "the checkpoint [16]" in message
    assert "more): name the model" in message


def test_files_that_are_no_checkpoints(saved, small_model, tmp_path):
    name = str(small_model)
    assert "name its architecture" in refused(saved[1] / openclip.WEIGHTS_FILE)
    assert "no such file" in refused(tmp_path / "none.pt", name)
    (tmp_path / "empty").mkdir()
    assert "no weights in the folder" in refused(tmp_path / "empty")
    for suffix in ("pt", "safetensors"):
        (tmp_path / f"x.{suffix}").write_bytes(b"not tensors at all")
        assert "not readable as tensors" in refused(tmp_path / f"x.{suffix}", name) or suffix == "pt"
    torch.save({"epoch": 3}, tmp_path / "none.pt")
    assert "holds no tensors" in refused(tmp_path / "none.pt", name)
    (saved[1] / openclip.CONFIG_FILE).write_text("{")
    assert "not an OpenCLIP configuration" in refused(saved[1])


def test_nothing_is_run_from_a_checkpoint(small_model, tmp_path):
    torch.save({"state_dict": {"a": torch.ones(1)}, "args": Bomb()}, tmp_path / "x.pt")
    assert "objects other than tensors" in refused(tmp_path / "x.pt", str(small_model))
    (tmp_path / "y.pt").write_bytes(pickle.dumps(Bomb(), protocol=2))
    assert "objects other than tensors" in refused(tmp_path / "y.pt", str(small_model))


def test_architectures_by_name():
    for name in SIZES:
        size = openclip.preprocess_config(openclip.build(architecture(name), seed=0))["size"]
        assert size in ((32, 32), (64, 64))
    assert architecture("ViT-B-32") == open_clip.get_model_config("ViT-B-32")
    for name, said in (("ViT-B32", "did you mean ViT-B-32"), ("none.json", "no such file"), ("hf-hub:x/y", "unknown")):
        with pytest.raises(VestigeError, match=said):
            architecture(name)


@pytest.mark.parametrize(
    ("text", "said"), [("{", "not a JSON file"), ("[]", "no 'embed_dim'"), ('{"embed_dim": 4}', "no 'vision_cfg'")]
)
def test_architecture_files_that_are_none(tmp_path, text, said):
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(VestigeError, match=said):
        architecture(str(tmp_path / "m.json"))


def test_a_description_openclip_cannot_build():
    broken = architecture("nano") | {
        "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 96, "layers": 3, "depth": 1}
    }
    with pytest.raises(VestigeError, match="cannot build"):
        openclip.build(broken, seed=0)


def test_counts_captions_that_are_cut():
    tokenize = openclip.tokenizer(architecture("nano"))
    fits, cut = " ".join(["cat"] * 18), " ".join(["cat"] * 19)
    assert openclip.count_cut([fits, cut, "cat", cut], tokenize, 20) == 2


def test_a_seed_gives_the_same_coca_whatever_was_in_memory(small_model):
    description = architecture(str(small_model)) | {"custom_text": True}
    description["multimodal_cfg"] = {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    description["multimodal_cfg"] |= {"attn_pooler_heads": 2}
    description["text_cfg"] |= {"embed_cls": True, "output_tokens": True, "pad_id": 0}
    description["vision_cfg"] |= {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
    one, other = (openclip.build(description, seed=3).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)
    projection = one["text_decoder.text_projection"]
    assert float(projection.std()) == pytest.approx(0.25, rel=0.05)
