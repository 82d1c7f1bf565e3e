"""Scoring with models somebody trained: from Python, with callables, on samples in memory."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import vestige
from drawings import draw
from vestige.embeddings.store import TensorEmbeddings
from vestige.metrics import clip_alignment
from vestige.samples import Modality, Sample
from vestige.scoring import score_embeddings


def samples(first: int, count: int) -> vestige.SampleList:
    made = []
    for number in range(first, first + count):
        picture, caption = draw(number)
        made.append(Sample(f"{number - first}", f"{number}", {Modality.IMAGE: picture}, (caption,)))
    return vestige.SampleList(made)


def preprocess(picture):
    return torch.from_numpy(np.array(picture.resize((4, 4)), dtype=np.float32)).flatten() / 255 + 0.01


def tokenize(texts):
    return torch.tensor([[len(text), text.count("r"), text.count("e"), ord(text[2])] for text in texts]).float()


def encoder(seed: int) -> vestige.CallableEncoder:
    image, text = (torch.randn(n, 5, generator=torch.Generator().manual_seed(seed + n)) for n in (48, 4))
    return vestige.CallableEncoder(lambda x: x @ image, lambda x: x @ text, preprocess, tokenize)


def test_five_lines():
    f, g = encoder(1), encoder(2)
    data, heldout = samples(0, 12), samples(12, 25)
    table = vestige.score(f, g, data, heldout).table

    def alignment(model):
        def embedded(source):
            prepared = [model.prepare(sample, None) for sample in source.samples(source.keys())]
            return model.encode({m: torch.stack([p[m] for p in prepared]) for m in (Modality.IMAGE, Modality.TEXT)})

        own, away = embedded(data), embedded(heldout)
        return clip_alignment(own["image"], own["text"], away["image"], away["text"])

    expected = alignment(f) - alignment(g)
    np.testing.assert_allclose(table["clipmem"].to_pylist()[:12], expected, atol=1e-5)
    assert table["caption"].to_pylist()[0] == "a red square number 0"
    assert table["key"].to_pylist()[12] == "heldout:0"
    assert table["p_value"].null_count == 25


def test_unreadable_samples_are_left_out():
    broken = Sample("broken", "broken", {Modality.IMAGE: b"no picture"}, ("x",))
    data = vestige.SampleList([*samples(0, 3).samples(["0", "1", "2"]), broken])
    table = vestige.score(encoder(1), encoder(2), data, samples(12, 4)).table
    assert table["key"].to_pylist()[:4] == ["0", "1", "2", "heldout:0"]


def test_held_out_samples_may_not_be_among_the_data():
    with pytest.raises(vestige.VestigeError, match="share the sample '0'"):
        vestige.score(encoder(1), encoder(2), samples(0, 3), samples(0, 3))
    # The same key for another sample is no overlap.
    vestige.score(encoder(1), encoder(2), samples(0, 3), samples(3, 3))


def test_a_model_is_not_contrasted_with_itself():
    f = encoder(1)
    with pytest.raises(vestige.VestigeError, match="same model"):
        vestige.score(f, f, samples(0, 3), samples(3, 3))


def test_two_samples_of_one_key():
    (one,) = samples(0, 1).samples(["0"])
    (other,) = samples(5, 1).samples(["0"])
    with pytest.raises(vestige.VestigeError, match="share the key '0'"):
        vestige.SampleList([one, other])


def tagged(source: vestige.SampleList) -> vestige.SampleList:
    return vestige.SampleList(
        replace(sample, objects=tuple(sample.captions[0].split()[1:3])) for sample in source.samples(source.keys())
    )


def test_one_model_and_a_reference_of_texts_alone():
    """The one-model test of Deja Vu: no second model of pictures, and no held-out set."""
    f = encoder(1)
    text = torch.randn(4, 5, generator=torch.Generator().manual_seed(9))
    reference = vestige.CallableEncoder(None, lambda x: x @ text, None, tokenize)
    data, public = tagged(samples(0, 12)), tagged(samples(20, 30))
    recovery = vestige.RecoveryConfig(neighbours=3, reference_index="text")
    result = vestige.score(f, reference, data, metrics=["dejavu"], public=public, recovery=recovery)
    assert result.columns == ("dejavu_recall", "dejavu_precision")
    gaps = torch.tensor(result.table["dejavu_recall"].to_pylist())
    assert result.dejavu is not None
    population = result.dejavu["population"]["candidate"]
    assert population["aucg"] == pytest.approx(float(gaps.double().mean()))
    assert population["prg"] == pytest.approx(float(gaps.sign().double().mean()))
    with pytest.raises(vestige.VestigeError, match="g embeds no image: set"):
        vestige.score(
            f, reference, data, metrics=["dejavu"], public=public, recovery=vestige.RecoveryConfig(neighbours=3)
        )


def test_an_encoder_of_pictures_needs_their_preprocessing():
    with pytest.raises(ValueError, match="give both"):
        vestige.CallableEncoder(lambda x: x, lambda x: x, None, tokenize)


def units(rows: int, seed: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(rows, 5, generator=torch.Generator().manual_seed(seed)), dim=1)


def embedded(first: int, count: int, names: tuple[str, ...]) -> TensorEmbeddings:
    keys = [f"{number}" for number in range(first, first + count)]
    return TensorEmbeddings(keys, {name: units(count, seed) for seed, name in enumerate(names)})


@pytest.mark.parametrize(
    ("f", "g", "metric", "said"),
    [
        (
            ("image", "text", "audio"),
            ("image", "text"),
            "multimem",
            "one embeds image, text, audio, another image, text;",
        ),
        (("text", "audio"), ("text", "audio"), "clipmem", "the models embed no image: use multimem"),
    ],
)
def test_models_of_modalities_that_do_not_go_together_are_one_line(f, g, metric, said):
    data = {"f": embedded(0, 6, f), "g": embedded(0, 6, g)}
    heldout = {"f": embedded(6, 25, f), "g": embedded(6, 25, g)}
    with pytest.raises(vestige.VestigeError, match=said):
        score_embeddings(data, heldout, metrics=(metric,))
    # Pictures and texts of both are compared whatever else one of them embeds.
    if "image" in f:
        assert score_embeddings(data, heldout, metrics=("clipmem",)).columns == ("clipmem",)


def test_held_out_samples_that_all_lack_a_modality_are_one_line():
    names = ("image", "text", "audio")
    data, heldout = ({m: embedded(first, count, names) for m in "fg"} for first, count in ((0, 6), (6, 25)))
    for store in heldout.values():
        store.shard(0)["audio"].fill_(torch.nan)
    with pytest.raises(vestige.VestigeError, match="no held-out sample has audio"):
        score_embeddings(data, heldout, metrics=("multimem",))
