"""The table of scores: the same numbers as the pure functions on whole tensors, whatever the shards."""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from vestige import designs
from vestige.alignments import align, heldout_rows, metrics_named
from vestige.designs import Design, Role
from vestige.embeddings import TensorEmbeddings
from vestige.errors import VestigeError
from vestige.metrics import (
    benjamini_hochberg,
    clip_alignment,
    clip_heldout_se,
    cross_modal_consistency,
    memorization,
    null_p_values,
)
from vestige.scores import mixed_p_and_q_values, score_table
from vestige.scoring import score_embeddings

N, D, V = 90, 8, 3
KEYS = [f"k{number}" for number in range(N)]


class Sharded:
    """Embeddings in memory, in shards of seven."""

    def __init__(self, keys, tensors):
        self._keys, self._tensors = keys, tensors

    def shard_keys(self):
        return [self._keys[start : start + 7] for start in range(0, len(self._keys), 7)] + [[]]

    def shard(self, number):
        return {name: tensor[7 * number : 7 * number + 7] for name, tensor in self._tensors.items()}


def unit(*shape, seed):
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


@pytest.fixture
def design():
    groups = [f"g{number // 2}" for number in range(N)]
    return designs.roles(KEYS, groups, candidates=16, external=24, seed=0)


@pytest.fixture
def tensors():
    made = {}
    for seed, model in enumerate("fg"):
        x = {m: unit(N, D, seed=10 * seed + k) for k, m in enumerate(("image", "text"))}
        views = unit(N, V, D, seed=10 * seed + 5)
        made[model] = x | {"image_views": views, "image_mean": views.mean(1)}
        made[model] |= {"image_ssl": -torch.rand(N), "image_ssl_anchor": -torch.rand(N)}
    return made


def stores(tensors):
    return {
        model: Sharded(KEYS, {name: t for name, t in own.items() if name != "image_views"})
        for model, own in tensors.items()
    }


def external(design):
    return [key for key, role in zip(design.keys, design.roles(), strict=True) if role == Role.EXTERNAL]


def whole(tensors, design, function):
    """A pure function on the whole tensors of each model, [M, N]."""
    held = np.flatnonzero(np.array(design.roles()) == Role.EXTERNAL)
    index = torch.full((N,), -1)
    index[held] = torch.arange(len(held))
    return torch.stack([function(tensors[model], held, index) for model in design.models])


def clipmem(own, held, index):
    image, text = own["image"], own["text"]
    views = own["image_views"]
    return clip_alignment(image, text, image[held], text[held], image_views=views, heldout_index=index)


def test_the_table_is_what_the_functions_say(design, tensors):
    table = score_table(
        design,
        align(stores(tensors), heldout_rows(stores(tensors), external(design)), design, metrics_named(["clipmem"])),
    )
    alignment = whole(tensors, design, clipmem)
    contrast = memorization(alignment, torch.from_numpy(design.member))
    roles = np.array(design.roles())
    score = (alignment[0] - alignment[1]).numpy()
    found = table.to_pydict()
    assert table.column_names[:4] == ["key", "group", "role", "clipmem"]
    assert found["key"] == KEYS
    assert found["role"] == [str(role) for role in roles]
    np.testing.assert_allclose(found["clipmem"], score, atol=1e-6)
    np.testing.assert_allclose(found["align_f"], alignment[0], atol=1e-6)
    for name in ("align_in", "align_out"):
        expected = [None if np.isnan(value) else value for value in getattr(contrast, name).tolist()]
        assert [value is None for value in found[name]] == [value is None for value in expected]
    memory = np.array([np.nan if value is None else value for value in found["memorization"]])
    np.testing.assert_array_equal(np.isnan(memory), np.isin(roles, [Role.SHARED, Role.EXTERNAL]))
    np.testing.assert_allclose(memory[roles == Role.CANDIDATE], score[roles == Role.CANDIDATE], atol=1e-6)
    np.testing.assert_allclose(memory[roles == Role.INDEPENDENT], -score[roles == Role.INDEPENDENT], atol=1e-6)


def test_p_values_are_against_the_external_samples(design, tensors):
    table = score_table(
        design,
        align(stores(tensors), heldout_rows(stores(tensors), external(design)), design, metrics_named(["clipmem"])),
    )
    score, roles = torch.tensor(table["clipmem"].to_pylist()), np.array(design.roles())
    null = score[torch.from_numpy(roles == Role.EXTERNAL)]
    for role, tail in ((Role.CANDIDATE, "greater"), (Role.INDEPENDENT, "less")):
        rows = np.flatnonzero(roles == role)
        p = null_p_values(score[rows], null, alternative=tail)
        np.testing.assert_allclose([table["p_value"][int(row)].as_py() for row in rows], p, atol=1e-9)
        np.testing.assert_allclose(
            [table["q_value"][int(row)].as_py() for row in rows], benjamini_hochberg(p), atol=1e-9
        )
    rest = np.flatnonzero(np.isin(roles, [Role.SHARED, Role.EXTERNAL]))
    assert all(table["p_value"][int(row)].as_py() is None for row in rest)


def test_heldout_errors_are_of_both_models(design, tensors):
    table = score_table(
        design,
        align(stores(tensors), heldout_rows(stores(tensors), external(design)), design, metrics_named(["clipmem"])),
    )
    held = np.flatnonzero(np.array(design.roles()) == Role.EXTERNAL)
    index = torch.full((N,), -1)
    index[held] = torch.arange(len(held))
    image, text = ([tensors[model][name] for model in "fg"] for name in ("image", "text"))
    expected = clip_heldout_se(
        image, text, [t[held] for t in image], [t[held] for t in text], torch.tensor([1.0, -1.0]), heldout_index=index
    )
    np.testing.assert_allclose(table["clipmem_heldout_se"].to_pylist(), expected, atol=1e-6)


def test_several_metrics_are_columns_of_one_table(design, tensors):
    made = stores(tensors)
    metrics = ["multimem", "clipmem", "sslmem"]
    table = score_table(design, align(made, heldout_rows(made, external(design)), design, metrics_named(metrics)))
    assert table.column_names[3] == "multimem"
    cmc = whole(
        tensors,
        design,
        lambda own, held, index: cross_modal_consistency(
            {m: own[m] for m in ("image", "text")},
            {m: own[m][held] for m in ("image", "text")},
            views={"image": own["image_views"]},
            heldout_index=index,
        ),
    )
    np.testing.assert_allclose(table["multimem"].to_pylist(), cmc[0] - cmc[1], atol=1e-6)
    # With two modalities the mean over pairs is CLIPMem.
    np.testing.assert_allclose(table["multimem_mean_pair"].to_pylist(), table["clipmem"].to_pylist(), atol=1e-6)
    np.testing.assert_allclose(table["multimem_image_text"].to_pylist(), table["clipmem"].to_pylist(), atol=1e-6)
    ssl = tensors["f"]["image_ssl"] - tensors["g"]["image_ssl"]
    np.testing.assert_allclose(table["sslmem_image"].to_pylist(), ssl, atol=1e-6)


def test_many_models(tensors):
    groups = KEYS
    design = designs.subsets(KEYS, groups, models=5, share=0.6, external=20, seed=0)
    many = {
        name: {m: unit(N, D, seed=100 * seed + k) for k, m in enumerate(("image", "text"))}
        for seed, name in enumerate(design.models)
    }
    made = {name: TensorEmbeddings(KEYS, own) for name, own in many.items()}
    table = score_table(design, align(made, heldout_rows(made, external(design)), design, metrics_named(["clipmem"])))

    def plain(own, held, index):
        return clip_alignment(own["image"], own["text"], own["image"][held], own["text"][held], heldout_index=index)

    contrast = memorization(whole(many, design, plain), torch.from_numpy(design.member))
    for column, expected in (
        ("clipmem", contrast.score),
        ("clipmem_se", contrast.se),
        ("align_out", contrast.align_out),
    ):
        found = torch.tensor([np.nan if value is None else value for value in table[column].to_pylist()])
        torch.testing.assert_close(found, expected.float(), equal_nan=True, atol=1e-5, rtol=0)
    assert "align_m0" not in table.column_names
    assert table["n_in"].to_pylist() == design.member.sum(axis=0).tolist()


def test_samples_that_were_not_embedded_are_not_in_the_table(design, tensors):
    kept = [row for row in range(N) if row % 5]
    made = {
        name: TensorEmbeddings([KEYS[row] for row in kept], {m: own[m][kept] for m in ("image", "text")})
        for name, own in tensors.items()
    }
    table = score_table(design, align(made, heldout_rows(made, external(design)), design, metrics_named(["clipmem"])))
    assert table["key"].to_pylist() == [KEYS[row] for row in kept]


def test_embeddings_somebody_made(tensors):
    data = {
        name: TensorEmbeddings(KEYS[:60], {m: own[m][:60] for m in ("image", "text")}) for name, own in tensors.items()
    }
    held = {
        name: TensorEmbeddings(KEYS[:30], {m: own[m][60:] for m in ("image", "text")}) for name, own in tensors.items()
    }
    table = score_embeddings(data, held).table
    expected = [
        clip_alignment(own["image"][:60], own["text"][:60], own["image"][60:], own["text"][60:])
        for own in tensors.values()
    ]
    np.testing.assert_allclose(table["clipmem"].to_pylist()[:60], expected[0] - expected[1], atol=1e-6)
    assert table["key"].to_pylist()[60] == "heldout:k0"
    assert table["role"].to_pylist() == ["candidate"] * 60 + ["external"] * 30


def test_a_membership_without_a_held_out_set(design, tensors):
    made = {name: TensorEmbeddings(KEYS, {m: own[m] for m in ("image", "text")}) for name, own in tensors.items()}
    ours = score_table(design, align(made, heldout_rows(made, external(design)), design, metrics_named(["clipmem"])))
    assert score_embeddings(made, membership=design).table.equals(ours)


def test_what_does_not_fit_is_one_line(design, tensors):
    made = stores(tensors)
    rows = heldout_rows(made, external(design))
    with pytest.raises(VestigeError, match="unknown clipmen; known are clipmem"):
        metrics_named(["clipmen"])
    plain = {name: Sharded(KEYS, {m: own[m] for m in ("image", "text")}) for name, own in tensors.items()}
    with pytest.raises(VestigeError, match=r"set embedding\.views"):
        align(plain, rows, design, metrics_named(["sslmem"]))
    with pytest.raises(VestigeError, match="no held-out samples"):
        heldout_rows(made, [])
    with pytest.raises(VestigeError, match="not of the same samples"):
        align({"f": made["f"], "g": Sharded(KEYS[::-1], tensors["g"])}, rows, design, metrics_named(["clipmem"]))
    with pytest.raises(VestigeError, match="samples that the design does not have"):
        align(made, rows, design.without(KEYS[80:]), metrics_named(["clipmem"]))
    with pytest.raises(VestigeError, match="3 models need a membership"):
        score_embeddings(dict.fromkeys("abc", made["f"]), dict.fromkeys("abc", made["f"]))
    with pytest.raises(VestigeError, match="embeddings of the data are of f, of the held-out set of g"):
        score_embeddings({"f": made["f"]}, {"g": made["g"]})
    other = Design("x", ("a",), ("a",), ("f", "g"), np.array([[True], [False]]), (0, 0), 0)
    with pytest.raises(VestigeError, match="90 of 90 samples are not in the membership"):
        score_embeddings(made, membership=other)


def test_the_null_may_take_in_the_shared_samples(design, tensors):
    alignments = align(
        stores(tensors), heldout_rows(stores(tensors), external(design)), design, metrics_named(["clipmem"])
    )
    table = score_table(design, alignments, null=("external", "shared"))
    score, roles = torch.tensor(table["clipmem"].to_pylist()), np.array(design.roles())
    null = score[torch.from_numpy(np.isin(roles, [Role.EXTERNAL, Role.SHARED]))]
    rows = np.flatnonzero(roles == Role.CANDIDATE)
    found = [table["p_value"][int(row)].as_py() for row in rows]
    np.testing.assert_allclose(found, null_p_values(score[rows], null), atol=1e-9)


def test_p_values_of_samples_that_some_of_many_models_saw():
    n, models = 3000, 6
    rng = np.random.default_rng(0)
    design = designs.halves(
        [f"{i}" for i in range(n)], [f"{i}" for i in range(n)], pairs=models // 2, external=1000, seed=0
    )
    member, roles = torch.from_numpy(design.member), np.array([str(role) for role in design.roles()], dtype=object)
    # How hard a sample is differs much more than how well a model does on it by chance.
    noise = torch.from_numpy(rng.normal(size=(models, n)) * 0.1 + rng.normal(size=n))
    p, q = mixed_p_and_q_values(noise, member, roles, 0)
    mixed = torch.from_numpy(roles == "mixed")
    assert bool(p[~mixed].isnan().all())
    assert float((p[mixed] <= 0.05).double().mean()) == pytest.approx(0.05, abs=0.02)
    assert float(p[mixed].mean()) == pytest.approx(0.5, abs=0.03)
    assert int((q[mixed] <= 0.05).sum()) == 0
    remembered = torch.from_numpy(rng.random(n) < 0.1) & mixed
    p, q = mixed_p_and_q_values(noise + 0.6 * (member & remembered), member, roles, 0)
    called = q <= 0.1
    assert float(called[remembered].double().mean()) > 0.9
    assert float((called & ~remembered).sum() / called.sum()) < 0.15


def test_too_few_external_samples_give_no_p_values():
    design = designs.halves([f"{i}" for i in range(60)], [f"{i}" for i in range(60)], pairs=2, external=19, seed=0)
    roles = np.array([str(role) for role in design.roles()], dtype=object)
    p, q = mixed_p_and_q_values(torch.randn(4, 60), torch.from_numpy(design.member), roles, 0)
    assert bool(p.isnan().all() and q.isnan().all())
