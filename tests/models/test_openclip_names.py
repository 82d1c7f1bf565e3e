"""Checkpoints by name: tags and names of the Hub looked up on disk, trainers' files, SigLIP, CoCa, text towers."""

import json
import shutil

import huggingface_hub.constants
import open_clip
import pytest
import torch
import transformers
from safetensors.torch import load_file

import local_encoders
from drawings import draw
from vestige.errors import VestigeError
from vestige.files import read_json
from vestige.models import openclip, openclip_names
from vestige.models.architectures import architecture
from vestige.models.blueprint import Blueprint, load_encoder
from vestige.models.openclip import OpenCLIPEncoder
from vestige.models.transformers_encoder import TransformersEncoder
from vestige.samples import Modality, Sample

PICTURES = (Modality.IMAGE, Modality.TEXT)
SAMPLE = Sample("k", "k", {Modality.IMAGE: draw(1)[0]}, ("a red square",))
COCA = {
    "embed_dim": 16,
    "vision_cfg": {
        **{"image_size": 16, "patch_size": 8, "width": 32, "head_width": 16, "layers": 1},
        **{"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
    },
    "text_cfg": {
        **{"context_length": 11, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
        **{"embed_cls": True, "output_tokens": True},
    },
    "multimodal_cfg": {
        **{"context_length": 11, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1, "attn_pooler_heads": 2}
    },
    "custom_text": True,
}


def embedded(encoder):
    return encoder.encode({modality: own[None] for modality, own in encoder.prepare(SAMPLE, None).items()})


def refused(*arguments) -> str:
    with pytest.raises(VestigeError) as caught:
        load_encoder(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def model(small_model):
    return openclip.build(architecture(str(small_model)), seed=1)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty cache of the Hub; a function puts a folder into it under a name."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(
        openclip_names,
        "try_to_load_from_cache",
        lambda name, file: huggingface_hub.try_to_load_from_cache(name, file, cache_dir=tmp_path / "hub"),
    )

    def put(name, folder):
        place = tmp_path / "hub" / f"models--{name.replace('/', '--')}"
        (place / "refs").mkdir(parents=True)
        (place / "refs" / "main").write_text("abc")
        shutil.copytree(folder, place / "snapshots" / "abc")

    return put


def test_what_openclips_trainer_writes(model, small_model, tmp_path):
    """`open_clip_train.main` saves epoch, name, state_dict, the optimizer's state and, with amp, the scaler's."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    image, text, scale = model(torch.zeros(2, 3, 16, 16), torch.ones(2, 12, dtype=torch.long))[:3]
    open_clip.ClipLoss()(image, text, scale).backward()
    optimizer.step()
    state = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
    # As `--siglip` leaves it with any architecture.
    state["module.logit_bias"] = torch.tensor(-10.0)
    scaler = {"scale": 65536.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2000}
    saved = {"epoch": 1, "name": "2026_11_22-model_ViT", "state_dict": state, "optimizer": optimizer.state_dict()}
    torch.save({**saved, "scaler": {**scaler, "_growth_tracker": 0}}, tmp_path / "epoch_1.pt")
    found = load_encoder(tmp_path / "epoch_1.pt", str(small_model))
    assert isinstance(found, OpenCLIPEncoder)
    assert all(torch.equal(found.model.state_dict()[name], own) for name, own in model.state_dict().items())
    compiled = {f"_orig_mod.{name}": tensor for name, tensor in state.items()}
    torch.save({"state_dict": compiled}, tmp_path / "compiled.pt")
    assert load_encoder(tmp_path / "compiled.pt", str(small_model)).fingerprint == found.fingerprint
    assert "name one of its files, such as" in refused(tmp_path, str(small_model))


def test_names_of_the_hub_and_folders(model, small_model, tmp_path, hub):
    openclip.save(model, architecture(str(small_model)), tmp_path / "model")
    expected = load_encoder(tmp_path / "model").fingerprint
    assert load_encoder(f"local-dir:{tmp_path / 'model'}").fingerprint == expected
    message = refused("hf-hub:someone/pico")
    assert "no open_clip_config.json or config.json of it in the Hugging Face cache" in message
    assert "hf download someone/pico" in message
    hub("someone/pico", tmp_path / "model")
    assert load_encoder("hf-hub:someone/pico").fingerprint == expected
    assert "no name on the Hugging Face Hub" in refused("hf-hub:a/b/c")
    hub("someone/clip", local_encoders.clip(tmp_path / "clip"))
    assert isinstance(load_encoder("hf-hub:someone/clip"), TransformersEncoder)
    assert "no such folder" in refused(tmp_path / "nowhere" / "at all", None) or "name its architecture" in refused(
        tmp_path / "nowhere", None
    )


def test_tags_of_published_weights(model, small_model, tmp_path, hub, monkeypatch):
    """The table and the architectures are OpenCLIP's; only the weights, which would have to be fetched, are small."""
    assert "name its architecture too" in refused("pretrained:laion2b_s34b_b79k")
    message = refused("pretrained:laion2b_s34b_b79x", "ViT-B-32")
    assert "OpenCLIP has no such weights of ViT-B-32; did you mean laion2b_s34b_b79k" in message
    message = refused("pretrained:laion2b_s34b_b79k", "ViT-B-32")
    assert "fetch `hf download laion/CLIP-ViT-B-32-laion2B-s34B-b79K`" in message
    assert "was trained with QuickGELU, and ViT-B-32 has the other: name --model ViT-B-32-quickgelu" in refused(
        "pretrained:openai", "ViT-B-32"
    )
    assert "the weights are not on disk" in refused("pretrained:openai", "ViT-B-32-quickgelu")
    openclip.save(model, architecture(str(small_model)), tmp_path / "model")
    (tmp_path / "model" / openclip.CONFIG_FILE).unlink()
    hub("timm/ViT-B-16-SigLIP", tmp_path / "model")
    # What the table says of the preprocessing goes with the weights.
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-B-16-SigLIP", json.loads(small_model.read_text()))
    found = load_encoder("pretrained:webli", "ViT-B-16-SigLIP")
    assert isinstance(found, OpenCLIPEncoder)
    config = openclip.preprocess_config(found.model)
    assert (tuple(config["mean"]), config["resize_mode"]) == ((0.5, 0.5, 0.5), "squash")
    weights = load_file(tmp_path / "model" / openclip.WEIGHTS_FILE)
    assert torch.equal(found.model.state_dict()["visual.conv1.weight"], weights["visual.conv1.weight"])


@pytest.fixture
def siglip(small_model, tmp_path):
    """A description as OpenCLIP's of SigLIP, with a tokenizer of transformers beside it."""
    found = json.loads(small_model.read_text())
    local_encoders._letters().save_pretrained(tmp_path / "tokens")
    found["text_cfg"] |= {
        "vocab_size": 54,
        "hf_tokenizer_name": "tokens",
        "tokenizer_kwargs": {"clean": "canonicalize"},
    }
    found["text_cfg"] |= {"no_causal_mask": True, "pool_type": "last", "proj_bias": True}
    found |= {"init_logit_bias": -10, "custom_text": True}
    (tmp_path / "siglip.json").write_text(json.dumps(found))
    return tmp_path / "siglip.json"


def test_siglip_is_built_saved_and_scored(siglip, tmp_path):
    blueprint = Blueprint(architecture(str(siglip)), PICTURES)
    made = blueprint.build(3)
    assert made.state_dict()["logit_bias"].item() == -10
    blueprint.save(made, tmp_path / "model")
    # The folder holds its tokenizer: OpenCLIP's own way of loading needs nothing else.
    shutil.rmtree(tmp_path / "tokens")
    encoder = load_encoder(tmp_path / "model")
    theirs, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tmp_path / 'model'}")
    tokens = open_clip.get_tokenizer(f"local-dir:{tmp_path / 'model'}")([SAMPLE.captions[0]])
    with torch.inference_mode():
        text = theirs.eval().encode_text(tokens, normalize=True)
        image = theirs.encode_image(preprocess(SAMPLE.media[Modality.IMAGE])[None], normalize=True)
    torch.testing.assert_close(embedded(encoder)[Modality.TEXT], text, atol=1e-6, rtol=0)
    torch.testing.assert_close(embedded(encoder)[Modality.IMAGE], image, atol=1e-6, rtol=0)


def test_a_checkpoint_without_siglips_bias_embeds_the_same(siglip, tmp_path):
    made = Blueprint(architecture(str(siglip)), PICTURES).build(3)
    torch.save(made.state_dict(), tmp_path / "with.pt")
    torch.save({name: own for name, own in made.state_dict().items() if name != "logit_bias"}, tmp_path / "without.pt")
    one, other = (embedded(load_encoder(tmp_path / f"{name}.pt", str(siglip))) for name in ("with", "without"))
    assert torch.equal(one[Modality.TEXT], other[Modality.TEXT])


def test_a_tokenizer_that_is_not_there(siglip, tmp_path):
    shutil.rmtree(tmp_path / "tokens")
    message = "the tokenizer 'tokens' is not on disk, and Vestige downloads nothing"
    with pytest.raises(VestigeError, match=message):
        _ = Blueprint(architecture(str(siglip)), PICTURES).tokenizer


def test_captions_are_counted_whatever_stands_for_nothing(siglip):
    """SigLIP's tokenizers fill up with a token that is not 0."""
    tokenize = openclip.tokenizer(architecture(str(siglip)))
    assert openclip.count_cut(["a" * 10, "a" * 11, "a", ""], tokenize, 12) == 1


def test_coca_is_built_saved_and_scored(tmp_path):
    blueprint = Blueprint(COCA, PICTURES)
    made, again = blueprint.build(2), blueprint.build(2)
    assert all(torch.equal(own, again.state_dict()[name]) for name, own in made.state_dict().items())
    blueprint.save(made, tmp_path / "model")
    encoder = load_encoder(tmp_path / "model")
    theirs, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tmp_path / 'model'}")
    tokens = open_clip.get_tokenizer(f"local-dir:{tmp_path / 'model'}")([SAMPLE.captions[0]])
    with torch.inference_mode():
        expected = theirs.eval().encode_text(tokens)
        image = theirs.encode_image(preprocess(SAMPLE.media[Modality.IMAGE])[None])
    torch.testing.assert_close(embedded(encoder)[Modality.TEXT], expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(embedded(encoder)[Modality.IMAGE], image, atol=1e-6, rtol=0)
    message = refused(tmp_path / "model" / openclip.WEIGHTS_FILE, "nano")
    assert "is of another architecture" in message


def test_text_towers_of_transformers_are_built_from_disk(small_model, tmp_path, hub):
    found = json.loads(small_model.read_text())
    folder = tmp_path / "bert"
    transformers.BertConfig(**local_encoders.BERT).save_pretrained(folder)
    local_encoders._tokenizer(folder).save_pretrained(folder)
    found["text_cfg"] = {"hf_model_name": "someone/bert", "hf_tokenizer_name": str(folder), "hf_proj_type": "mlp"}
    found["text_cfg"] |= {"context_length": 12, "hf_pooler_type": "mean_pooler"}
    path = tmp_path / "bert.json"
    path.write_text(json.dumps(found))
    with pytest.raises(VestigeError, match=r"someone/bert: no config\.json of it in the Hugging Face cache"):
        Blueprint(architecture(str(path)), PICTURES).build(0)
    hub("someone/bert", folder)
    blueprint = Blueprint(architecture(str(path)), PICTURES)
    blueprint.save(blueprint.build(0), tmp_path / "model")
    found = embedded(load_encoder(tmp_path / "model"))
    assert found[Modality.TEXT].shape == found[Modality.IMAGE].shape == (1, 16)


def test_texts_in_the_old_layout(model, small_model, tmp_path):
    """Weights of a plain CLIP in a model whose text tower is a part of its own."""
    description = architecture(str(small_model)) | {"custom_text": True}
    (tmp_path / "custom.json").write_text(json.dumps(description))
    torch.save(model.state_dict(), tmp_path / "plain.pt")
    one = embedded(load_encoder(tmp_path / "plain.pt", str(tmp_path / "custom.json")))
    other = embedded(load_encoder(tmp_path / "plain.pt", str(small_model)))
    torch.testing.assert_close(one[Modality.TEXT], other[Modality.TEXT])


def test_the_papers_sizes_are_openclips():
    for name in ("ViT-B-32", "ViT-B-16", "ViT-L-14"):
        assert Blueprint(architecture(name), PICTURES).inputs[Modality.IMAGE].size == 224
    assert read_json(
        openclip_names.Path(open_clip.__file__).parent / "model_configs" / "ViT-B-32.json"
    ) == architecture("ViT-B-32")
