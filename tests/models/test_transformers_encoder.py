"""Every family of transformers' dual encoders against the library's own embeddings, and what cannot be read."""

import json
import shutil
import sys

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import local_encoders
from clips import RATE, film, tone
from drawings import draw
from vestige.data.film import decode_frames
from vestige.data.memory import SampleList
from vestige.data.sound import decode_sound
from vestige.data.views import View
from vestige.embeddings import EmbeddingConfig, embed
from vestige.errors import VestigeError
from vestige.models import CanvasEncoder, TextCutter, UnitEncoder
from vestige.models.blueprint import load_encoder
from vestige.models.families import FAMILIES
from vestige.models.transformers_encoder import TransformersEncoder
from vestige.samples import Modality, Sample

IMAGE, TEXT, AUDIO, VIDEO = Modality.IMAGE, Modality.TEXT, Modality.AUDIO, Modality.VIDEO
CAPTIONS = ["a red disc", "the green square on a blue cross on the stripe", "blue"]
BUILDERS = {**local_encoders.PICTURE_MODELS, **local_encoders.SOUND_MODELS, "xclip": local_encoders.xclip}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A function from a builder's name to a folder that it wrote, once."""
    written = {}

    def folder(name):
        if name not in written:
            written[name] = BUILDERS[name](tmp_path_factory.mktemp("models") / name)
        return written[name]

    return folder


def samples(count=3):
    made = []
    for n in range(count):
        picture, _ = draw(n)
        media = {IMAGE: picture.resize((40, 30)) if n else picture, AUDIO: tone(n, 0.4 + 0.1 * n), VIDEO: film(n)}
        made.append(Sample(f"{n}", f"{n}", media, (CAPTIONS[n % 3],)))
    return made


def embedded(encoder, found, view=None):
    prepared = [encoder.prepare(sample, view) for sample in found]
    return encoder.encode({m: torch.stack([own[m] for own in prepared]) for m in encoder.modalities})


def unit(tensor):
    return torch.nn.functional.normalize(tensor, dim=-1)


def theirs(folder):
    """The library's model and a function to its embeddings of texts, both as its own examples use them."""
    config = transformers.AutoConfig.from_pretrained(folder)
    retrieval = "BlipForImageTextRetrieval" in config.architectures
    kind = transformers.BlipForImageTextRetrieval if retrieval else transformers.AutoModel
    return kind.from_pretrained(folder).eval(), retrieval


def pooled(output):
    return output.pooler_output[:, 0] if output.pooler_output.ndim == 3 else output.pooler_output


def test_every_family_is_tried():
    names = {"blip_retrieval": "blip", "fused_clap": "clap", "vision_text": "vision-text-dual-encoder"}
    assert {names.get(name, name) for name in BUILDERS} == set(FAMILIES)


@pytest.mark.parametrize("name", local_encoders.PICTURE_MODELS)
def test_pictures_and_texts_are_embedded_as_the_library_does(folders, name):
    encoder = load_encoder(folders(name))
    assert isinstance(encoder, TransformersEncoder)
    assert encoder.modalities == (IMAGE, TEXT)
    found = embedded(encoder, samples())
    model, retrieval = theirs(folders(name))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folders(name))
    padding = "max_length" if name.startswith("siglip") else True
    texts = tokenizer(CAPTIONS, padding=padding, truncation=True, max_length=16, return_tensors="pt")
    if "blip" in name:
        texts.pop("token_type_ids", None)
    processor = transformers.AutoImageProcessor.from_pretrained(folders(name))
    pictures = processor(images=[sample.media[IMAGE] for sample in samples()], return_tensors="pt")
    with torch.inference_mode():
        if retrieval:
            # What the model itself compares: cosines of all pictures with all texts.
            cosines = model(**texts, **pictures, use_itm_head=False).itm_score
            torch.testing.assert_close(found[IMAGE] @ found[TEXT].T, cosines, atol=1e-6, rtol=0)
            return
        expected = {IMAGE: pooled(model.get_image_features(**pictures)), TEXT: pooled(model.get_text_features(**texts))}
    assert expected[IMAGE].shape == expected[TEXT].shape
    for modality, own in expected.items():
        torch.testing.assert_close(found[modality], unit(own), atol=1e-6, rtol=0)
    assert float((found[TEXT][0] - found[TEXT][1]).norm()) > 1e-4


@pytest.mark.parametrize("name", local_encoders.SOUND_MODELS)
def test_sounds_are_embedded_as_the_library_does(folders, name):
    encoder = load_encoder(folders(name))
    assert encoder.modalities == (TEXT, AUDIO)
    found = embedded(encoder, samples())
    model, _ = theirs(folders(name))
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folders(name))
    texts = transformers.AutoTokenizer.from_pretrained(folders(name))(CAPTIONS, padding=True, return_tensors="pt")
    texts.pop("token_type_ids")
    assert extractor.sampling_rate == RATE
    # One by one: of a batch without long sounds, the library takes one at random for long.
    sounds = [decode_sound(sample.media[AUDIO], RATE) for sample in samples()]
    with torch.inference_mode():
        each = [extractor(sound, sampling_rate=RATE, return_tensors="pt") for sound in sounds]
        expected = torch.cat([pooled(model.get_audio_features(**own)) for own in each])
        torch.testing.assert_close(found[TEXT], unit(pooled(model.get_text_features(**texts))), atol=1e-6, rtol=0)
    torch.testing.assert_close(found[AUDIO], unit(expected), atol=1e-6, rtol=0)
    assert float((found[AUDIO][0] - found[AUDIO][1]).norm()) > 1e-5


def test_of_long_sounds_the_middle_is_read_and_nothing_is_drawn_twice(folders):
    encoder = load_encoder(folders("clap"))
    long = Sample("a", "a", {AUDIO: tone(3, 2.5)}, ("a",))
    once, again = (encoder.prepare(long, None)[AUDIO] for _ in range(2))
    assert torch.equal(once, again)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folders("clap"))
    middle = decode_sound(long.media[AUDIO], RATE)[6000:14000]
    expected = extractor(middle, sampling_rate=RATE, return_tensors="pt")["input_features"][0]
    torch.testing.assert_close(once[: expected.numel()], expected.float().flatten())
    short = Sample("a", "a", {AUDIO: tone(3, 0.3)}, ("a",))
    for sample in (long, short):
        plain, one, same, other = (
            encoder.prepare(sample, view)[AUDIO] for view in (None, View(0, 1), View(0, 1), View(0, 2))
        )
        assert torch.equal(one, same)
        assert one.shape == plain.shape
        assert not torch.equal(one, other)
        assert not torch.equal(one, plain)


def test_films_are_embedded_as_the_library_does(folders):
    encoder = load_encoder(folders("xclip"))
    assert encoder.modalities == (TEXT, VIDEO)
    found = embedded(encoder, samples())
    model, _ = theirs(folders("xclip"))
    processor = transformers.AutoImageProcessor.from_pretrained(folders("xclip"))
    # The middle one of each of four runs of two frames.
    frames = [[decode_frames(sample.media[VIDEO], 8)[place] for place in (1, 3, 5, 7)] for sample in samples()]
    with torch.inference_mode():
        pixels = torch.cat([processor(own, return_tensors="pt")["pixel_values"] for own in frames])
        expected = pooled(model.get_video_features(pixel_values=pixels))
    torch.testing.assert_close(found[VIDEO], unit(expected), atol=1e-6, rtol=0)
    one, same, other = (embedded(encoder, samples(), view)[VIDEO] for view in (View(0, 1), View(0, 1), View(0, 2)))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("name", ["clip", "siglip2", "align"])
def test_views_are_crops_drawn_by_key(folders, name):
    encoder = load_encoder(folders(name))
    (sample,) = samples(1)
    plain, one, same, other = (
        encoder.prepare(sample, view)[IMAGE] for view in (None, View(0, 1), View(0, 1), View(0, 2))
    )
    assert torch.equal(one, same)
    assert one.shape == plain.shape
    assert not torch.equal(one, other)
    assert not torch.equal(one, plain)


@pytest.mark.parametrize("name", ["clip", "siglip", "blip_retrieval", "groupvit", "clap", "fused_clap", "xclip"])
def test_units_have_a_row_a_sample(folders, name):
    encoder = load_encoder(folders(name))
    assert isinstance(encoder, UnitEncoder)
    assert isinstance(encoder, CanvasEncoder)
    found = samples()
    prepared = [encoder.prepare(sample, None) for sample in found]
    for modality in encoder.modalities:
        together, units = encoder.encode_with_units({modality: torch.stack([own[modality] for own in prepared])})
        torch.testing.assert_close(together[modality], embedded(encoder, found)[modality])
        assert units
        if name != "fused_clap":
            _, alone = encoder.encode_with_units({modality: prepared[2][modality][None]})
            assert set(alone) == set(units)
            # Texts are padded to the longest of their batch, whose activations are averaged over all places.
            if modality != TEXT:
                for layer, own in units.items():
                    torch.testing.assert_close(own[2], alone[layer][0], atol=1e-5, rtol=1e-4)
        assert all(own.shape[0] == 3 for own in units.values())


def test_fingerprints_follow_weights_and_preprocessing(folders, tmp_path):
    folder = folders("clip")
    one, again = TransformersEncoder.load(folder), TransformersEncoder.load(folder)
    assert (one.fingerprint, one.preprocessing) == (again.fingerprint, again.preprocessing)
    weights = shutil.copytree(folder, tmp_path / "weights") / "model.safetensors"
    tensors = load_file(weights)
    tensors["visual_projection.weight"] = tensors["visual_projection.weight"] + 1e-3
    save_file(tensors, weights, {"format": "pt"})
    other = TransformersEncoder.load(weights.parent)
    assert other.preprocessing == one.preprocessing
    assert other.fingerprint != one.fingerprint
    settings = shutil.copytree(folder, tmp_path / "settings") / "preprocessor_config.json"
    about = json.loads(settings.read_text())
    settings.write_text(json.dumps(about | {"image_mean": [0.1, 0.1, 0.1]}))
    changed = TransformersEncoder.load(settings.parent)
    assert changed.preprocessing != one.preprocessing
    assert float((embedded(changed, samples())[IMAGE] - embedded(one, samples())[IMAGE]).norm()) > 1e-4


def test_captions_that_are_cut_are_counted(folders, tmp_path, capsys):
    encoder = load_encoder(folders("clip"))
    assert isinstance(encoder, TextCutter)
    # Letter by letter, with a sign before and one after: 14 letters fit into 16 tokens.
    assert encoder.count_cut(["a" * 14, "a" * 15, "a", "b" * 40]) == 2
    picture, _ = draw(0)
    source = SampleList([Sample(f"{n}", f"{n}", {IMAGE: picture}, ("a" * (12 + n),)) for n in range(5)])
    embed({"f": encoder}, source, tmp_path, EmbeddingConfig(), seed=0)
    assert "2 captions are longer than f reads" in capsys.readouterr().err


def refused(folder) -> str:
    with pytest.raises(VestigeError) as caught:
        load_encoder(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_models_that_are_not_read(tmp_path):
    transformers.ViTConfig().save_pretrained(tmp_path)
    message = refused(tmp_path)
    assert "the type 'vit' is not read for embeddings" in message
    assert "siglip2" in message
    assert "CallableEncoder" in message


def test_folders_that_are_damaged(folders, tmp_path, monkeypatch):
    def copy(name):
        return shutil.copytree(folders("clip"), tmp_path / name)

    weights = copy("unfit")
    tensors = load_file(weights / "model.safetensors")
    del tensors["text_projection.weight"]
    tensors["visual_projection.weight"] = torch.ones(3, 16)
    save_file(tensors, weights / "model.safetensors", {"format": "pt"})
    message = refused(weights)
    assert "visual_projection.weight: the model has [8, 16], the checkpoint [3, 16]" in message
    assert "text_projection.weight: missing in the checkpoint" in message
    pickled = copy("pickled")
    torch.save(load_file(pickled / "model.safetensors"), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    assert "has no *.safetensors: convert" in refused(pickled)
    code = copy("code")
    (code / "modeling.py").write_text("raise SystemExit('code of a folder was run')")
    assert "comes with code of its own" in refused(code)
    bare = copy("bare")
    for path in bare.glob("*"):
        if path.name not in ("config.json", "model.safetensors"):
            path.unlink()
    assert "cannot be read" in refused(bare)
    cut = copy("cut")
    (cut / "model.safetensors").write_bytes((cut / "model.safetensors").read_bytes()[:1000])
    assert "cannot be read" in refused(cut)
    shaped = copy("shaped")
    about = json.loads((shaped / "preprocessor_config.json").read_text())
    (shaped / "preprocessor_config.json").write_text(json.dumps(about | {"do_center_crop": False}))
    assert "keeps the shape of pictures (3x16x25 and 3x25x16)" in refused(shaped)
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert "pip install 'vestige[hf]'" in refused(folders("clip"))


def test_a_medium_that_a_sample_lacks_is_left_out(folders):
    encoder = load_encoder(folders("clap"))
    assert set(encoder.prepare(Sample("a", "a", {IMAGE: draw(0)[0]}, ("a",)), None)) == {TEXT}
    assert set(encoder.prepare(Sample("a", "a", {AUDIO: tone(0)}), None)) == {AUDIO}
    assert np.isfinite(embedded(encoder, samples())[AUDIO].numpy()).all()
