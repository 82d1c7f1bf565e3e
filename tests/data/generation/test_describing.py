"""Captions by an image-to-text model from disk: tiny and untrained, in the files of real ones."""

import sys

import pytest
import torch
from safetensors.torch import load_file

from drawings import draw
from local_models import blip, encoder_decoder
from vestige.captioning import CaptionConfig, write_captions
from vestige.data.generation.describing import DescribeConfig, Describer
from vestige.errors import VestigeError
from vestige.files import read_table
from vestige.samples import Modality, Sample


@pytest.fixture(scope="module", params=[blip, encoder_decoder])
def model(request, tmp_path_factory):
    return request.param(tmp_path_factory.mktemp("models") / request.param.__name__)


@pytest.fixture
def samples():
    made = [Sample(str(n), str(n), {Modality.IMAGE: draw(n)[0]}, (draw(n)[1],)) for n in range(5)]
    broken = Sample("broken", "broken", {Modality.IMAGE: b""}, ("x",))
    return [made[0], broken, *made[1:], Sample("sound", "sound", {}, ("y",))]


def test_writes_for_every_picture_it_can_read(model, samples):
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    describer = Describer(DescribeConfig(model, batch_size=3, max_tokens=6))
    written = describer.write(samples, 3)
    assert torch.equal(state, torch.random.get_rng_state())
    for sample, new in zip(samples, written, strict=True):
        if sample.key == "broken":
            assert new.reason.startswith("the file is empty")
        elif sample.key == "sound":
            assert new.reason == "the sample has no picture"
        else:
            # Untrained, a model ends a caption before its first word now and then.
            assert 2 <= len(new.captions) <= 3
            assert (new.reason is None) == (len(new.captions) == 3)
    # Sampled anew for every picture, by the seed and nothing else.
    assert len({new.captions for new in written}) == 6
    assert describer.write(samples, 3) == written
    assert Describer(DescribeConfig(model, batch_size=3, max_tokens=6), seed=1).write(samples, 3) != written


def test_provenance_names_the_weights(model, tmp_path):
    describer = Describer(DescribeConfig(model, max_tokens=6), seed=4)
    assert describer.provenance.startswith(f"described by {model.name} ")
    assert "top_p 0.9, at most 6 tokens, seed 4" in describer.provenance
    assert load_file(model / "model.safetensors")


def test_a_prompt_begins_the_caption(tmp_path, samples):
    describer = Describer(DescribeConfig(blip(tmp_path / "blip"), prompt="red square", max_tokens=6))
    for caption in describer.write(samples[:1], 2)[0].captions:
        assert caption.startswith("red square")


def test_the_verb(make_folder, tmp_path):
    config = CaptionConfig(
        data=f"folder:{make_folder(5)}",
        by="describe",
        out=tmp_path / "c.parquet",
        count=2,
        shard=2,
        describe=DescribeConfig(blip(tmp_path / "blip"), max_tokens=5),
    )
    result = write_captions(config)
    assert result.samples == 5
    assert result.captions + len(result.short) == 10
    assert set(read_table(config.out)["provenance"].to_pylist()) == {result.provenance}


def test_refusals(tmp_path, monkeypatch):
    def refused(path, **settings):
        with pytest.raises(VestigeError) as error:
            Describer(DescribeConfig(path, **settings))
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "there is no such folder" in refused(tmp_path / "none")
    folder = blip(tmp_path / "blip")
    assert "batch_size and max_tokens" in refused(folder, batch_size=0)
    (folder / "modeling_own.py").write_text("raise SystemExit")
    assert "code of its own" in refused(folder)
    (folder / "modeling_own.py").unlink()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "no *.safetensors" in refused(folder)
    (folder / "model.safetensors").write_bytes(b"nothing")
    assert "cannot be read" in refused(folder)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    assert "cannot be read" in refused(folder)
    (folder / "config.json").unlink()
    assert "has no config.json" in refused(folder)
    fine = encoder_decoder(tmp_path / "fine")
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert "pip install 'vestige[hf]'" in refused(fine)
