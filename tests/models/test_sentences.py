"""Encoders of texts alone: sentence encoders against the sentence they stand for, and spellings."""

import json
import shutil

import pytest
import torch
import transformers

import local_encoders
from vestige.errors import VestigeError
from vestige.models import Encoder, TextCutter
from vestige.models.lexical import LexicalEncoder
from vestige.models.sentences import SentenceEncoder
from vestige.samples import Modality, Sample

TEXT = Modality.TEXT
CAPTIONS = ["a red disc", "the green square on a blue cross on the stripe", "blue"]


def embedded(encoder, captions):
    prepared = [encoder.prepare(Sample("k", "k", {}, (caption,)), None)[TEXT] for caption in captions]
    return encoder.encode({TEXT: torch.stack(prepared)})[TEXT]


def refused(folder) -> str:
    with pytest.raises(VestigeError) as caught:
        SentenceEncoder.load(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("pooling", [{}, {"pooling_mode_mean_tokens": True}, {"pooling_mode_cls_token": True}])
def test_tokens_are_joined_as_the_folder_says(tmp_path, pooling):
    folder = local_encoders.sentences(tmp_path / "bert", **pooling)
    encoder = SentenceEncoder.load(folder)
    assert isinstance(encoder, Encoder)
    assert isinstance(encoder, TextCutter)
    found = embedded(encoder, CAPTIONS)
    model = transformers.BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for row, caption in enumerate(CAPTIONS):
        with torch.inference_mode():
            # Alone, a text has no padding: the mean is over what there is.
            tokens = model(**tokenizer([caption], return_tensors="pt")).last_hidden_state[0]
        joined = tokens[0] if "pooling_mode_cls_token" in pooling else tokens.mean(dim=0)
        torch.testing.assert_close(found[row], torch.nn.functional.normalize(joined, dim=0), atol=1e-6, rtol=0)
    assert encoder.prepare(Sample("k", "k", {}), None) == {}
    assert encoder.count_cut(["a " * 30, "a"]) == 1


def test_a_prompt_stands_before_every_text(tmp_path):
    folder = local_encoders.sentences(tmp_path / "bert")
    plain = SentenceEncoder.load(folder)
    about = {"prompts": {"query": "the red "}, "default_prompt_name": "query"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(about))
    prompted = SentenceEncoder.load(folder)
    torch.testing.assert_close(embedded(prompted, ["disc"]), embedded(plain, ["the red disc"]))
    assert prompted.preprocessing != plain.preprocessing


def test_folders_that_are_no_sentence_encoders(tmp_path):
    assert "there is no such folder" in refused(tmp_path / "none")
    folder = local_encoders.sentences(tmp_path / "bert", pooling_mode_max_tokens=True)
    assert "its pooling (max_tokens) is not known" in refused(folder)
    shutil.rmtree(folder / "1_Pooling")
    steps = [{"type": "sentence_transformers.models.Transformer"}, {"type": "sentence_transformers.models.Dense"}]
    (folder / "modules.json").write_text(json.dumps(steps))
    assert "its step 'Dense' is not known" in refused(folder)
    assert "a CLIP is no model of texts alone: name it with --g" in refused(local_encoders.clip(tmp_path / "clip"))
    vision = transformers.ViTModel(transformers.ViTConfig(**local_encoders.VISION))
    assert "cannot be read" in refused(local_encoders._save(tmp_path / "vit", vision, local_encoders._letters()))


def test_spellings_bring_captions_together_that_share_words():
    colours, shapes = ("red", "green", "blue", "yellow", "violet"), ("square", "circle", "triangle", "star", "hexagon")
    texts = [f"a {colour} {shape}" for colour in colours for shape in shapes]
    encoder = LexicalEncoder(texts, dimensions=10)
    assert isinstance(encoder, Encoder)
    one, close, far = embedded(encoder, ["one green hexagon", "the green hexagons", "two yellow circles"])
    assert float(one @ close) > 0.8 > 0.4 > float(one @ far)
    torch.testing.assert_close(embedded(encoder, texts).norm(dim=1), torch.ones(len(texts)))
    again = LexicalEncoder(list(reversed(texts)), dimensions=10)
    assert again.fingerprint == encoder.fingerprint
    assert torch.equal(embedded(again, texts), embedded(encoder, texts))
    assert LexicalEncoder(texts[1:], dimensions=10).fingerprint != encoder.fingerprint
    # Nothing in common with what it knows: the zero vector, which is finite.
    assert torch.equal(embedded(encoder, ["木木木"]), torch.zeros(1, 10))


def test_what_spellings_cannot_be_fitted_to():
    for texts in ([], ["a", "a", "b"]):
        with pytest.raises(VestigeError, match="the lexical reference is fitted to captions, found"):
            LexicalEncoder(texts)
    with pytest.raises(VestigeError, match="cannot be fitted"):
        LexicalEncoder(["", " ", "  "])
