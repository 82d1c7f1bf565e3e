"""Embeddings: what is kept of each sample is what its definition says, shard by shard, once."""

import numpy as np
import pytest
import torch

from vestige.data import open_source
from vestige.data.views import View
from vestige.embeddings import (
    EmbeddingConfig,
    EmbeddingStore,
    JoinedEmbeddings,
    TensorEmbeddings,
    all_keys,
    chosen_rows,
    embed,
)
from vestige.errors import VestigeError
from vestige.models import openclip
from vestige.models.architectures import architecture
from vestige.models.callables import CallableEncoder
from vestige.models.openclip import OpenCLIPEncoder
from vestige.samples import Modality, Sample


@pytest.fixture
def encoders(small_model):
    description = architecture(str(small_model))
    return {
        name: OpenCLIPEncoder(openclip.build(description, seed=seed), description)
        for name, seed in (("f", 1), ("g", 2))
    }


@pytest.fixture
def source(make_folder):
    folder = make_folder(11)
    for number in (2, 5, 9):
        with (folder / f"{number:04d}.txt").open("a", encoding="utf-8") as lines:
            lines.write("another caption\nand a third\n" if number == 5 else "another caption\n")
    return open_source(f"folder:{folder}")


def one(encoder, sample: Sample, modality: Modality, view: View | None = None) -> torch.Tensor:
    return encoder.encode({modality: encoder.prepare(sample, view)[modality][None]})[modality][0]


def test_what_is_kept_is_what_it_says(encoders, source, tmp_path):
    config = EmbeddingConfig(views=3, captions="pool", batch_size=4, shard_size=5)
    stores = embed(encoders, source, tmp_path, config, seed=7)
    samples = list(source.samples(source.keys()))
    for name, store in stores.items():
        assert [len(keys) for keys in store.shard_keys()] == [5, 5, 1]
        kept = chosen_rows(store, range(11))
        for row, sample in enumerate(samples):
            x = one(encoders[name], sample, Modality.IMAGE)
            views = torch.stack([one(encoders[name], sample, Modality.IMAGE, View(7, epoch)) for epoch in range(3)])
            torch.testing.assert_close(kept["image"][row], x, atol=1e-5, rtol=0)
            torch.testing.assert_close(kept["image_mean"][row], views.mean(0), atol=1e-5, rtol=0)
            distances = [(views[a] - views[b]).norm() for a, b in ((0, 1), (0, 2), (1, 2))]
            torch.testing.assert_close(kept["image_ssl"][row], -torch.stack(distances).mean(), atol=1e-4, rtol=0)
            anchored = -(views - x).norm(dim=1).mean()
            torch.testing.assert_close(kept["image_ssl_anchor"][row], anchored, atol=1e-4, rtol=0)
            texts = [Sample("", "", {}, (caption,)) for caption in sample.captions]
            pool = torch.stack([one(encoders[name], text, Modality.TEXT) for text in texts])
            torch.testing.assert_close(kept["text"][row], pool[0], atol=1e-5, rtol=0)
            torch.testing.assert_close(kept["text_mean"][row], pool.mean(0), atol=1e-5, rtol=0)
            assert torch.isnan(kept["text_ssl"][row]) == (len(pool) == 1)


def test_without_views_nothing_else_is_kept(encoders, source, tmp_path):
    store = embed(encoders, source, tmp_path, EmbeddingConfig(), seed=0)["f"]
    assert set(store.shard(0)) == {"image", "text"}


def test_killed_and_taken_up_again(encoders, source, tmp_path, monkeypatch):
    config = EmbeddingConfig(views=2, shard_size=4, batch_size=3)
    whole = embed(encoders, source, tmp_path / "whole", config, seed=0)
    embed(encoders, source, tmp_path / "cut", config, seed=0)
    for file in ("00001.parquet", "00001.safetensors", "00002.parquet"):
        (tmp_path / "cut" / "g" / file).unlink()
    (tmp_path / "cut" / "f" / "00002.safetensors").write_bytes(b"half")
    done = (tmp_path / "cut" / "f" / "00000.safetensors").stat().st_mtime_ns
    again = embed(encoders, source, tmp_path / "cut", config, seed=0)
    assert (tmp_path / "cut" / "f" / "00000.safetensors").stat().st_mtime_ns == done
    for name in "fg":
        first, second = chosen_rows(whole[name], range(11)), chosen_rows(again[name], range(11))
        assert all(torch.equal(first[tensor], second[tensor]) for tensor in first)


def test_unfinished_stores_are_not_read(encoders, source, tmp_path):
    embed(encoders, source, tmp_path, EmbeddingConfig(shard_size=4), seed=0)
    (tmp_path / "f" / "00001.parquet").unlink()
    with pytest.raises(VestigeError, match="2 of 3 shards"):
        EmbeddingStore(tmp_path / "f")
    with pytest.raises(VestigeError, match="no embeddings there"):
        EmbeddingStore(tmp_path / "none")


def test_a_store_of_another_model_or_setting_is_refused(encoders, source, tmp_path):
    embed(encoders, source, tmp_path, EmbeddingConfig(), seed=0)
    with pytest.raises(VestigeError, match="views: 0 there, 2 now"):
        embed(encoders, source, tmp_path, EmbeddingConfig(views=2), seed=0)
    with pytest.raises(VestigeError, match="fingerprint"):
        embed({"f": encoders["g"]}, source, tmp_path, EmbeddingConfig(), seed=0)


def test_unreadable_samples_are_left_out_and_listed(encoders, make_folder, tmp_path):
    folder = make_folder(5)
    (folder / "0002.png").write_bytes(b"no picture")
    source = open_source(f"folder:{folder}")
    store = embed(encoders, source, tmp_path / "e", EmbeddingConfig(shard_size=2), seed=0)["f"]
    assert all_keys(store) == ["0000", "0001", "0003", "0004"]
    ((key, reason),) = store.skipped
    assert (key, reason.split(":")[0]) == ("0002", "not a readable picture")
    rows = chosen_rows(store, [3, 0])["image"]
    (sample,) = source.samples(["0004"])
    torch.testing.assert_close(rows[0], one(encoders["f"], sample, Modality.IMAGE), atol=1e-5, rtol=0)


def test_half_precision_storage(encoders, source, tmp_path):
    full = chosen_rows(embed(encoders, source, tmp_path / "a", EmbeddingConfig(views=2), seed=0)["f"], range(11))
    half = chosen_rows(
        embed(encoders, source, tmp_path / "b", EmbeddingConfig(views=2, storage="float16"), seed=0)["f"], range(11)
    )
    assert half["image"].dtype == half["image_mean"].dtype == torch.float16
    assert half["image_ssl"].dtype == torch.float32
    torch.testing.assert_close(half["image"].float(), full["image"], atol=5e-4, rtol=0)


def test_encoders_with_their_own_preprocessing(source, tmp_path):
    """Two callables as encoder, and each of two preprocessings given its own tensors."""

    def encoder(size: int, name: str) -> CallableEncoder:
        def preprocess(picture):
            return torch.from_numpy(np.array(picture.resize((size, size)), dtype=np.float32)).flatten() / 255 + 0.1

        def tokenize(texts):
            return torch.tensor([[float(len(text)), 1.0, 2.0] for text in texts])

        return CallableEncoder(lambda x: x[:, :3] * 5, lambda x: x, preprocess, tokenize, name=name)

    stores = embed({"f": encoder(2, "f"), "g": encoder(3, "g")}, source, tmp_path, EmbeddingConfig(views=2), seed=0)
    for store in stores.values():
        rows = chosen_rows(store, range(11))
        torch.testing.assert_close(rows["image"].norm(dim=1), torch.ones(11))
        torch.testing.assert_close(rows["text"].norm(dim=1), torch.ones(11))


def test_models_that_give_nan_are_refused(source, tmp_path):
    broken = CallableEncoder(
        lambda x: x * torch.nan, lambda x: x, lambda p: torch.ones(3), lambda t: torch.ones(len(t), 3), name="x"
    )
    with pytest.raises(VestigeError, match="image embeddings hold NaN"):
        embed({"x": broken}, source, tmp_path, EmbeddingConfig(), seed=0)


def test_joined_and_in_memory():
    one = TensorEmbeddings(["a", "b"], {"image": torch.eye(2)})
    two = TensorEmbeddings(["a"], {"image": torch.ones(1, 2)})
    joined = JoinedEmbeddings((one, ""), (two, "held:"))
    assert all_keys(joined) == ["a", "b", "held:a"]
    torch.testing.assert_close(chosen_rows(joined, [2, 0])["image"], torch.tensor([[1.0, 1], [1, 0]]))
    with pytest.raises(VestigeError, match="3 rows for 2 keys"):
        TensorEmbeddings(["a", "b"], {"image": torch.eye(3)})


@pytest.mark.parametrize(
    ("change", "said"), [({"captions": "all"}, "captions"), ({"views": -1}, "views"), ({"storage": "int8"}, "storage")]
)
def test_settings_that_cannot_be(change, said):
    with pytest.raises(VestigeError, match=said):
        EmbeddingConfig(**change)


def activations(encoder, batch) -> dict[str, torch.Tensor]:
    """Literal: the output of every GELU, token by token, on one sample."""
    kept, hooks = {}, []
    for name, module in encoder.model.named_modules():
        if isinstance(module, torch.nn.GELU):
            hooks.append(
                module.register_forward_hook(lambda _m, _i, out, name=name: kept.update({name: out[0].clone()}))
            )
    encoder.encode(batch)
    for hook in hooks:
        hook.remove()
    return {name: sum(tokens for tokens in out) / len(out) for name, out in kept.items()}


def test_units_are_watched_over_views_and_named_samples(encoders, source, tmp_path):
    encoder, keys = encoders["f"], source.keys()
    watched = [key for key in keys if key != "0003"]
    config = EmbeddingConfig(views=2, shard_size=4, batch_size=3)
    store = embed({"f": encoder}, source, tmp_path, config, seed=7, watched={"f": watched})["f"]
    found = store.units()
    rows = {name: [] for name in found}
    for sample in source.samples(watched):
        crops = [encoder.prepare(sample, View(7, epoch))[Modality.IMAGE][None] for epoch in range(2)]
        images = [activations(encoder, {Modality.IMAGE: crop}) for crop in crops]
        text = activations(encoder, {Modality.TEXT: encoder.prepare(sample, None)[Modality.TEXT][None]})
        for name in found:
            own = text[name] if name in text else torch.stack([seen[name] for seen in images]).mean(0)
            rows[name].append(own)
    assert any(name.startswith("visual") for name in found)
    assert any(not name.startswith("visual") for name in found)
    for name, state in found.items():
        stacked = torch.stack(rows[name]).double()
        torch.testing.assert_close(state.max, stacked.amax(0), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(state.sum, stacked.sum(0), atol=1e-4, rtol=1e-4)
        assert state.n == 10
        assert [keys[row] for row in state.argmax.tolist()] == [watched[row] for row in stacked.argmax(0).tolist()]


def test_units_of_a_killed_pass_are_counted_once(encoders, source, tmp_path):
    config = EmbeddingConfig(shard_size=4)
    whole = embed(encoders, source, tmp_path / "whole", config, seed=0, watched={"g": source.keys()})["g"].units()
    embed(encoders, source, tmp_path / "cut", config, seed=0, watched={"g": source.keys()})
    (tmp_path / "cut" / "g" / "00001.parquet").unlink()
    again = embed(encoders, source, tmp_path / "cut", config, seed=0, watched={"g": source.keys()})["g"].units()
    for name, state in whole.items():
        assert (again[name].n, again[name].sum.tolist()) == (state.n, state.sum.tolist())


def test_models_without_units_say_so(source, tmp_path):
    plain = CallableEncoder(
        lambda x: x, lambda x: x, lambda p: torch.ones(3), lambda t: torch.ones(len(t), 3), name="x"
    )
    with pytest.raises(VestigeError, match="the units of x cannot be watched"):
        embed({"x": plain}, source, tmp_path, EmbeddingConfig(), seed=0, watched={"x": source.keys()})
