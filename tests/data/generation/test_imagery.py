"""Pictures from captions by a tiny untrained diffusion model, in the files of a real one."""

import json
import sys
import warnings

import pytest

from vestige.data import open_source
from vestige.data.generation.imagery import TABLE, GeneratedPictures, ImageryConfig, generate_pictures
from vestige.data.media import decode_picture
from vestige.data.memory import SampleList
from vestige.errors import VestigeError
from vestige.samples import Modality, Sample

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    diffusers = pytest.importorskip("diffusers")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from local_models import diffusion

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return diffusion(tmp_path_factory.mktemp("models") / "diffusion")


SOURCE = SampleList(
    [Sample("a/../b", "g", captions=("red square", "other")), Sample("none", "n"), Sample("c", "c", captions=("disc",))]
)


def pixels(folder):
    return {path.name: decode_picture(path).tobytes() for path in sorted(folder.glob("*.png"))}


def test_makes_pictures_that_say_what_made_them(model, tmp_path):
    config = ImageryConfig(model, count=2, steps=2, size=16, shard=1)
    made = generate_pictures(SOURCE, config, tmp_path / "one")
    assert list(made.keys()) == ["a/../b~generated1", "a/../b~generated2", "c~generated1", "c~generated2"]
    assert made.skipped() == (("none", "the sample has no caption to make a picture from"),)
    sample = next(made.samples(["a/../b~generated2"]))
    assert (sample.group, sample.captions) == ("g", ("red square",))
    assert sample.generated["image"].startswith("made by diffusion ")
    assert decode_picture(sample.media[Modality.IMAGE]).size == (16, 16)
    assert len(set(pixels(tmp_path / "one").values())) == 4
    # Any order and any cut into shards gives the same; the folder is a source of its own.
    turned = SampleList(reversed(list(SOURCE.samples(SOURCE.keys()))))
    generate_pictures(turned, ImageryConfig(model, count=2, steps=2, size=16), tmp_path / "two")
    assert pixels(tmp_path / "two") == pixels(tmp_path / "one")
    plain = open_source(f"folder:{tmp_path / 'one'}")
    assert {sample.captions for sample in plain.samples(plain.keys())} == {("red square",), ("disc",)}
    before = (tmp_path / "one" / TABLE).stat().st_mtime_ns
    generate_pictures(SOURCE, config, tmp_path / "one")
    assert (tmp_path / "one" / TABLE).stat().st_mtime_ns == before
    with pytest.raises(VestigeError, match="with other pipeline"):
        generate_pictures(SOURCE, ImageryConfig(model, count=2, steps=2, size=16, shard=1, seed=1), tmp_path / "one")


def test_refusals(model, tmp_path, monkeypatch):
    with pytest.raises(VestigeError, match=r"no generated\.parquet in it"):
        GeneratedPictures(tmp_path)
    with pytest.raises(VestigeError, match="count, steps and shard are at least 1"):
        generate_pictures(SOURCE, ImageryConfig(model, count=0), tmp_path)
    with pytest.raises(VestigeError, match="there is no such folder"):
        generate_pictures(SOURCE, ImageryConfig(tmp_path / "none"), tmp_path)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "part.safetensors").write_bytes(b"")
    (foreign / "model_index.json").write_text(json.dumps({"_class_name": "X", "unet": ["my_unet", "UNet"]}))
    with pytest.raises(VestigeError, match="its part 'unet' is code of its own"):
        generate_pictures(SOURCE, ImageryConfig(foreign), tmp_path)
    (foreign / "model_index.json").write_text("{")
    with pytest.raises(VestigeError, match=r"cannot be read"):
        generate_pictures(SOURCE, ImageryConfig(foreign), tmp_path)
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(VestigeError, match=r"pip install 'vestige\[generation\]'"):
        generate_pictures(SOURCE, ImageryConfig(model), tmp_path)
