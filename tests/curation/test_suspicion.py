"""Suspicion: evidence combined, and as columns of the table of scores."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy import stats
from torch.nn.functional import normalize

from metrics.cases import numbers, same
from vestige import designs
from vestige.curation.combination import combined, normal_scores
from vestige.curation.neighbours import neighbour_agreement
from vestige.curation.pairloss import pair_loss
from vestige.curation.suspicion import suspicion, with_suspicion
from vestige.designs import Design
from vestige.embeddings import TensorEmbeddings
from vestige.errors import VestigeError
from vestige.metrics import auc

N = 60


def test_normal_scores_are_those_of_the_ranks() -> None:
    """Ties share the mean of their ranks."""
    values = numbers(3, 25, tied=True)
    ranks = stats.rankdata(values.numpy())
    same(normal_scores(values), stats.norm.ppf((ranks - 0.5) / 25).tolist())


def test_combination_is_the_rank_of_the_mean_normal_score_among_alike() -> None:
    """Samples with two pieces, with one, with none."""
    evidence = torch.stack([numbers(1, 20), numbers(2, 20, tied=True)])
    evidence[1, 12:] = torch.nan
    evidence[0, 18:] = torch.nan
    found = combined(evidence)
    both = [stats.norm.ppf((stats.rankdata(own[:12].numpy()) - 0.5) / 12) for own in evidence]
    same(found[:12], ((stats.rankdata(np.round(both[0] + both[1], 9)) - 0.5) / 12).tolist())
    same(found[12:18], ((stats.rankdata(evidence[0, 12:18].numpy()) - 0.5) / 6).tolist())
    assert found[18:].isnan().all()


def test_only_the_order_of_evidence_counts() -> None:
    """One piece on another scale."""
    evidence = numbers(1, 3, 30)
    stretched = torch.stack([evidence[0].exp(), 1e6 * evidence[1] - 3, evidence[2]])
    assert torch.equal(combined(evidence), combined(stretched))


@pytest.fixture
def design() -> Design:
    keys = [f"k{number:02d}" for number in range(N)]
    return designs.halves(keys, [key[:2] + str(int(key[1:]) // 2) for key in keys], pairs=2, external=10, seed=0)


def made(design: Design, modalities=("image", "text"), noise: float = 0.3) -> dict[str, TensorEmbeddings]:
    """Six topics; the texts of the first four samples are of another topic."""
    generator = torch.Generator().manual_seed(0)
    stores = {}
    for model in design.models:
        topics = torch.randn(6, 8, generator=generator)
        tensors = {}
        for modality in modalities:
            topic = torch.arange(N) // 2 % 6
            if modality == "text":
                topic[:4] = (topic[:4] + 3) % 6
            tensors[modality] = normalize(topics[topic] + noise * torch.randn(N, 8, generator=generator), dim=-1)
        stores[model] = TensorEmbeddings(list(design.keys), tensors)
    return stores


def test_columns_are_means_over_models_that_saw_the_sample_and_that_did_not(design: Design) -> None:
    """Against the pure functions, sample by sample."""
    stores = made(design)
    table = suspicion(stores, design)
    assert table.column_names == [
        *("key", "neighbour_agreement_in", "neighbour_agreement_out", "pair_loss_in", "suspicion")
    ]
    group = torch.tensor([list(dict.fromkeys(design.groups)).index(own) for own in design.groups])
    agreement, loss = {}, {}
    for model, store in stores.items():
        image, text = store.shard(0)["image"], store.shard(0)["text"]
        agreement[model], loss[model] = neighbour_agreement(image, text, group), pair_loss(image, text, group)
    for place, row in enumerate(table.to_pylist()):
        saw = [model for model, own in zip(design.models, design.member[:, place], strict=True) if own]
        rest = [model for model in design.models if model not in saw]
        for name, values, models in (
            ("neighbour_agreement_in", agreement, saw),
            ("neighbour_agreement_out", agreement, rest),
            ("pair_loss_in", loss, saw),
        ):
            expected = np.mean([float(values[model][place]) for model in models]) if models else None
            assert row[name] == pytest.approx(expected, abs=1e-6)
    evidence = [-_numbers(table, "neighbour_agreement_in"), -_numbers(table, "neighbour_agreement_out")]
    same(_numbers(table, "suspicion"), combined(torch.stack([*evidence, _numbers(table, "pair_loss_in")])).tolist())


def test_wrong_captions_are_suspicious(design: Design) -> None:
    """With several models, and with one that saw everything."""
    wrong = torch.arange(N) < 4
    assert auc(_numbers(suspicion(made(design), design), "suspicion"), wrong).value > 0.95
    one = designs.subsets(design.keys, design.groups, models=1, share=1, external=10, seed=0)
    assert one.member.sum() == N - 10
    table = suspicion(made(one), one)
    external = torch.from_numpy(~one.member[0])
    assert _numbers(table, "neighbour_agreement_out").isnan().equal(~external)
    assert _numbers(table, "neighbour_agreement_in").isnan().equal(external)
    seen = ~external
    assert auc(_numbers(table, "suspicion")[seen], wrong[seen]).value > 0.95


def test_missing_modalities_and_pairs(design: Design) -> None:
    """Three modalities: a suspicion a pair, means over the pairs a sample has, nothing for a sample with one."""
    stores = made(design, ("image", "text", "audio"))
    for store in stores.values():
        store.shard(0)["audio"][5:] = torch.nan
        store.shard(0)["text"][50:] = torch.nan
    table = suspicion(stores, design)
    two = suspicion(
        {
            m: TensorEmbeddings(list(design.keys), {j: s.shard(0)[j] for j in ("image", "text")})
            for m, s in stores.items()
        },
        design,
    )
    assert [name for name in table.column_names if name.startswith("suspicion")] == [
        *("suspicion", "suspicion_image_text", "suspicion_image_audio", "suspicion_text_audio")
    ]
    assert _numbers(table, "suspicion")[50:].isnan().all()
    assert not _numbers(table, "suspicion")[:50].isnan().any()
    assert _numbers(table, "suspicion_image_audio").isnan().equal(torch.arange(N) >= 5)
    same(_numbers(table, "suspicion_image_text"), _numbers(two, "suspicion").tolist())
    same(_numbers(table, "pair_loss_in")[5:], _numbers(two, "pair_loss_in")[5:].tolist())


def test_few_references(design: Design) -> None:
    """Fewer than there are samples: other numbers, for all samples."""
    stores = made(design)
    few, all_ = (_numbers(suspicion(stores, design, references=own), "suspicion") for own in (30, N))
    assert not few.isnan().any()
    assert not few.equal(all_)
    assert auc(few, torch.arange(N) < 4).value > 0.9


def test_joins_a_table_by_key(design: Design) -> None:
    """In the table's order."""
    stores = made(design)
    found = suspicion(stores, design)
    table = with_suspicion(pa.table({"key": list(reversed(design.keys))}), stores, design)
    assert table["suspicion"].to_pylist() == list(reversed(found["suspicion"].to_pylist()))


def test_refusals(design: Design) -> None:
    """Stores of other samples; models without two modalities in common."""
    stores = made(design)
    stores["g1"] = TensorEmbeddings(list(reversed(design.keys)), dict(stores["g1"].shard(0)))
    with pytest.raises(VestigeError, match="not of the same samples in the same order"):
        suspicion(stores, design)
    with pytest.raises(VestigeError, match="the models have no two in common"):
        suspicion(made(design, ("image",)), design)


def _numbers(table: pa.Table, name: str) -> torch.Tensor:
    return torch.from_numpy(table[name].cast(pa.float64()).to_numpy().copy())
