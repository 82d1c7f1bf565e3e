"""Encoders of any callables: sounds, films, pictures and texts, with views, and with units where there is a model."""

import numpy as np
import pytest
import torch
from torch import nn

from clips import film, tone
from drawings import draw
from vestige.data.film import decode_frames
from vestige.data.memory import SampleList
from vestige.data.sound import decode_sound
from vestige.data.views import View
from vestige.embeddings import EmbeddingConfig, embed
from vestige.errors import VestigeError
from vestige.models import Encoder, UnitEncoder
from vestige.models.callables import CallableEncoder, Callables, WatchedEncoder
from vestige.samples import Modality, Sample

SAMPLES = [
    Sample(
        f"{n}", f"{n}", {Modality.IMAGE: draw(n)[0], Modality.AUDIO: tone(n, 0.5), Modality.VIDEO: film(n)}, ("abc",)
    )
    for n in range(4)
]


def summary(medium):
    """Three numbers of a medium that change with what of it is read."""
    if isinstance(medium, str):
        return torch.tensor([float(len(medium)), 1.0, 2.0])
    if isinstance(medium, np.ndarray):
        return torch.tensor([float(len(medium)), float(np.abs(medium).mean()), 1.0])
    frames = medium if isinstance(medium, list) else [medium]
    pixels = np.concatenate([np.asarray(frame.resize((8, 8)), dtype=np.float32).reshape(-1, 3) for frame in frames])
    return torch.from_numpy(pixels.mean(axis=0))


def encoder(prepare=summary, **settings):
    towers = {modality: Callables(prepare, lambda x: x + 1, **settings) for modality in Modality}
    return CallableEncoder.of(towers, name="f")


def test_every_modality_reaches_its_callable(tmp_path):
    read = []

    def noted(medium):
        read.append(medium)
        return summary(medium)

    made = encoder(noted, rate=4000, seconds=0.25, frames=2)
    assert isinstance(made, Encoder)
    assert not isinstance(made, UnitEncoder)
    assert made.modalities == tuple(Modality)
    tensors = made.prepare(SAMPLES[1], None)
    picture, text, sound, frames = read
    assert text == "abc"
    np.testing.assert_array_equal(np.asarray(picture), np.asarray(draw(1)[0]))
    np.testing.assert_array_equal(sound, decode_sound(tone(1, 0.5), 4000)[500:1500])
    kept = decode_frames(film(1), 4)
    np.testing.assert_array_equal([np.asarray(own) for own in frames], [np.asarray(kept[place]) for place in (1, 3)])
    found = made.encode({modality: own[None] for modality, own in tensors.items()})
    for own in found.values():
        torch.testing.assert_close(own.norm(dim=1), torch.ones(1))
    store = embed({"f": made}, SampleList(SAMPLES), tmp_path, EmbeddingConfig(views=2), seed=0)["f"].shard(0)
    assert {"image", "text", "audio", "video", "audio_mean", "video_ssl"} <= set(store)
    assert all(store[str(modality)].shape == (4, 3) for modality in Modality)


def test_views_depend_on_seed_and_epoch_alone():
    made = encoder(rate=4000, seconds=0.25, frames=2)
    for modality in (Modality.IMAGE, Modality.AUDIO, Modality.VIDEO):
        plain, one, same, other = (
            made.prepare(SAMPLES[2], view)[modality] for view in (None, View(0, 1), View(0, 1), View(0, 2))
        )
        assert torch.equal(one, same)
        assert not torch.equal(one, other)
        assert not torch.equal(one, plain)


def test_preparations_that_differ_are_not_shared():
    one, other, same = (
        CallableEncoder.of({Modality.AUDIO: Callables(summary, lambda x: x, rate=rate)}) for rate in (4000, 8000, 4000)
    )
    assert one.preprocessing == same.preprocessing != other.preprocessing
    assert one.fingerprint != same.fingerprint


def test_units_of_the_model_behind_the_callables(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 4))
    plain = CallableEncoder.of({Modality.IMAGE: Callables(summary, model)}, name="f")
    with pytest.raises(VestigeError, match="units of f cannot be watched"):
        embed({"f": plain}, SampleList(SAMPLES), tmp_path / "a", EmbeddingConfig(), seed=0, watched={"f": ["0"]})
    made = WatchedEncoder(plain, model)
    assert isinstance(made, UnitEncoder)
    batch = torch.stack([made.prepare(sample, None)[Modality.IMAGE] for sample in SAMPLES])
    found, units = made.encode_with_units({Modality.IMAGE: batch})
    torch.testing.assert_close(found[Modality.IMAGE], plain.encode({Modality.IMAGE: batch})[Modality.IMAGE])
    torch.testing.assert_close(units["1"], model[:2](batch).detach())
    watched = {"f": [sample.key for sample in SAMPLES]}
    store = embed({"f": made}, SampleList(SAMPLES), tmp_path / "b", EmbeddingConfig(), seed=0, watched=watched)["f"]
    torch.testing.assert_close(store.units()["1"].max, units["1"].max(dim=0).values, check_dtype=False)


def test_nothing_to_embed_with():
    with pytest.raises(ValueError, match="one modality or more"):
        CallableEncoder.of({})
