"""Every sample scored by two trainings: each model's held-out set is what it did not see."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vestige.alignments import align, heldout_rows, metrics_named
from vestige.config import DataConfig, DesignConfig, RunConfig
from vestige.designs import Design, halves
from vestige.embeddings import EmbeddingConfig, TensorEmbeddings
from vestige.errors import VestigeError
from vestige.runs import execute
from vestige.scores import score_table
from vestige.scoring import score_embeddings
from vestige.training.loop import TrainingConfig
from vestige.unseen import heldout_of

N, D = 12, 5
KEYS = tuple(f"{number:02d}" for number in range(N))
DESIGN = halves(KEYS, KEYS, pairs=1, external=0, seed=0)


def embeddings(seed: int) -> TensorEmbeddings:
    rng = torch.Generator().manual_seed(seed)

    def unit() -> torch.Tensor:
        x = torch.randn(N, D, generator=rng, dtype=torch.float64)
        return x / x.norm(dim=1, keepdim=True)

    return TensorEmbeddings(KEYS, {"image": unit(), "text": unit()})


STORES = {"f": embeddings(1), "g": embeddings(2)}


def literal(model: str, i: int) -> float:
    """CLIPMem's alignment, its means over the other samples that the model did not see."""
    own = STORES[model].shard(0)
    x, t = own["image"], own["text"]
    saw = DESIGN.member[DESIGN.models.index(model)]
    others = [j for j in range(N) if not saw[j] and j != i]
    return float(
        x[i] @ t[i] - sum(x[i] @ t[j] for j in others) / len(others) - sum(t[i] @ x[j] for j in others) / len(others)
    )


def test_the_score_is_the_printed_formula_over_what_each_model_did_not_see():
    table = score_table(DESIGN, align(STORES, heldout_of(STORES, DESIGN), DESIGN, metrics_named(["clipmem"])))
    assert table["memorization"].null_count == 0
    for i, own in enumerate(table.to_pylist()):
        difference = literal("f", i) - literal("g", i)
        expected = difference if own["role"] == "candidate" else -difference
        assert own["memorization"] == pytest.approx(expected, abs=1e-12)
    assert table["p_value"].null_count == N


def test_errors_of_sets_apart_add_up_in_squares():
    heldout = heldout_of(STORES, DESIGN)
    both = align(STORES, heldout, DESIGN, metrics_named(["clipmem"])).heldout_errors["clipmem"]
    squares = torch.zeros(N, dtype=torch.float64)
    for model in ("f", "g"):
        own = STORES[model].shard(0)
        x, t = own["image"], own["text"]
        saw = DESIGN.member[DESIGN.models.index(model)]
        for i in range(N):
            others = [j for j in range(N) if not saw[j] and j != i]
            terms = torch.stack([x[i] @ t[j] + t[i] @ x[j] for j in others])
            squares[i] += terms.var() / len(others)
    torch.testing.assert_close(both, squares.sqrt(), rtol=1e-6, atol=1e-9)


def test_external_samples_serve_all_models_where_there_are_any():
    design = halves(KEYS, KEYS, pairs=1, external=3, seed=0)
    rows = heldout_of(STORES, design)
    external = [key for key, seen in zip(KEYS, design.member.any(axis=0), strict=True) if not seen]
    assert (list(rows.keys), rows.own) == (external, {})


def test_a_large_set_is_thinned_evenly_and_holds_nothing_seen():
    rows = heldout_of(STORES, DESIGN, most=3)
    for model, member in zip(DESIGN.models, DESIGN.member, strict=True):
        unseen = [key for key, saw in zip(KEYS, member, strict=True) if not saw]
        assert list(rows.own[model]) == [unseen[0], unseen[2], unseen[5]]
        assert len(rows.shards[model]["image"]) == 3


def test_a_model_that_saw_everything_has_no_held_out_set():
    everything = replace(DESIGN, member=np.stack([np.ones(N, np.bool_), DESIGN.member[1]]))
    with pytest.raises(VestigeError, match="no held-out samples"):
        heldout_of(STORES, everything)


def test_embeddings_with_such_a_membership_are_scored_too():
    table = score_embeddings(STORES, membership=DESIGN).table
    assert table["memorization"].null_count == 0


def test_a_run_that_scores_every_sample(make_folder, small_model, tmp_path, capsys):
    pairs = 2
    config = RunConfig(
        data=DataConfig(source=f"folder:{make_folder(40)}"),
        design=DesignConfig(name="halves", external=0, pairs=pairs),
        model=str(small_model),
        training=TrainingConfig(epochs=1, batch_size=16, warmup_epochs=0),
        embedding=EmbeddingConfig(shard_size=16),
    )
    result = execute(config, tmp_path / "run")
    assert result.scores["memorization"].null_count == 0
    assert set(result.scores["n_in"].to_pylist()) == {pairs}
    assert result.summary["retrieval"] is None
    said = capsys.readouterr().err
    assert "every sample can get a score" in said
    assert f"training {2 * pairs} models" in said
    assert (tmp_path / "run" / "report.html").exists()
    assert Design.load(tmp_path / "run" / "membership.parquet").member.any(axis=0).all()


def test_shared_samples_still_need_external_ones(make_folder, small_model, tmp_path):
    config = RunConfig(
        data=DataConfig(source=f"folder:{make_folder(40)}"),
        design=DesignConfig(candidates=5, external=0),
        model=str(small_model),
    )
    with pytest.raises(VestigeError, match="keeps no external samples"):
        execute(config, tmp_path / "run")


def test_keys_that_were_not_embedded_are_not_held_out():
    fewer = {
        name: TensorEmbeddings(KEYS[:-1], {m: x[:-1] for m, x in own.shard(0).items()}) for name, own in STORES.items()
    }
    rows = heldout_of(fewer, DESIGN)
    assert all(KEYS[-1] not in own for own in rows.own.values())
    assert heldout_rows(fewer, KEYS).keys == KEYS[:-1]
