"""Which samples are on the page, their neighbours, and the modality to blame."""

import numpy as np
import pytest
import torch

from report.cases import summary, table, write
from vestige.embeddings import TensorEmbeddings
from vestige.report.blame import blamed
from vestige.report.neighbours import nearest
from vestige.report.options import ReportConfig
from vestige.report.rows import DRAWN, chosen_rows
from vestige.samples import Modality


def chosen(n: int, limit: int, planted=(), seed: int = 1) -> list[int]:
    score = np.linspace(1, 0, n)
    wrong = np.isin(np.arange(n), list(planted))
    return chosen_rows(score, np.array(["candidate"] * n, object), wrong, ("candidate",), limit, seed).tolist()


def test_what_fits_is_all_there() -> None:
    assert chosen(7, 7) == list(range(7))


def test_past_the_limit_the_planted_and_both_ends_stay() -> None:
    rows = chosen(1000, 40, planted=[500, 501, 502, 503])
    assert len(rows) == len(set(rows)) == 40
    assert rows == sorted(rows)
    assert {*range(12), *range(988, 1000), 500, 501, 502, 503} <= set(rows)
    between = set(rows) - {*range(12), *range(988, 1000), 500, 501, 502, 503}
    assert len(between) == 12
    assert chosen(1000, 40, planted=[500, 501, 502, 503]) == rows
    assert chosen(1000, 40, planted=[500, 501, 502, 503], seed=2) != rows
    assert len(chosen(1000, 3, planted=range(100))) == 3


def test_missing_scores_are_at_no_end() -> None:
    score = np.array([np.nan] * 50 + [3.0, 2.0, 1.0] + [np.nan] * 50)
    nobody = np.zeros(103, bool)
    rows = chosen_rows(score, np.array(["candidate"] * 103, object), nobody, ("candidate",), 9, 0).tolist()
    assert rows[0] == 50
    assert {50, 52} <= set(rows)
    assert len(rows) == 9


def test_other_roles_are_drawn() -> None:
    roles = np.array(["candidate", "shared", "independent"] * 500, object)
    rows = chosen_rows(np.zeros(1500), roles, np.zeros(1500, bool), ("candidate", "independent"), 600, 3)
    assert [role for role, _ in zip(["candidate"] * 500 + ["independent"] * 100, rows, strict=False)] == [
        roles[row] for row in rows[:600]
    ]
    assert [roles[row] for row in rows[600:]] == ["shared"] * DRAWN


class Shards:
    """Embeddings in several shards."""

    def __init__(self, *shards: TensorEmbeddings) -> None:
        self.shards = shards

    def shard_keys(self) -> list[list[str]]:
        return [keys for shard in self.shards for keys in shard.shard_keys()]

    def shard(self, number: int) -> dict[str, torch.Tensor]:
        return self.shards[number].shard(0)


def random_store(seed: int, n: int = 40, d: int = 6) -> tuple[Shards, torch.Tensor]:
    """N samples in shards of 15; the text of number 7 is missing."""
    generator = torch.Generator().manual_seed(seed)
    image, text = (torch.nn.functional.normalize(torch.randn(n, d, generator=generator), dim=1) for _ in "it")
    text[7] = torch.nan
    keys = [f"key-{row}" for row in range(n)]
    parts = [slice(start, start + 15) for start in range(0, n, 15)]
    return Shards(*(TensorEmbeddings(keys[p], {"image": image[p], "text": text[p]}) for p in parts)), image


def test_neighbours_are_the_nearest_under_all_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a search of everything finds them, in blocks and shards of any size; never the sample itself."""
    monkeypatch.setattr("vestige.report.neighbours.BLOCK", 4)
    (f, x), (g, y) = random_store(1), random_store(2, d=9)
    queries = [f"key-{row}" for row in (39, 0, 7, 16, 20, 21, 22)]
    found = nearest({"f": f, "g": g}, queries, 3)
    similarity = (x.double() @ x.double().T + y.double() @ y.double().T) / 2
    similarity.fill_diagonal_(-9)
    for place, query in enumerate(queries):
        own = similarity[int(query[4:])]
        expected = own.argsort(descending=True)[:3]
        assert found[Modality.IMAGE].rows[place].tolist() == expected.tolist()
        assert found[Modality.IMAGE].similarity[place].tolist() == pytest.approx(own[expected].tolist(), abs=1e-6)
    assert found[Modality.TEXT].rows[2].tolist() == [-1, -1, -1]
    assert 7 not in found[Modality.TEXT].rows
    assert nearest({"f": f}, queries, 0) == nearest({}, queries, 3) == {}


def test_neighbours_are_on_the_page(tmp_path) -> None:
    """Those that are not ranked follow, with a picture while there is room; fewer than asked for are fewer."""
    roles = ["candidate"] * 2 + ["shared"] * 400
    scores = table(roles, [2.0, 1.0] + [0.0] * 400)
    angle = torch.tensor([0.0, 0.5] + [3.0] * 400)
    angle[390], angle[391] = 0.01, 0.6
    image = torch.stack([angle.cos(), angle.sin()], 1)
    stores = {"f": TensorEmbeddings(scores["key"].to_pylist(), {"image": image})}
    page = write(tmp_path, scores, stores=stores, limits=ReportConfig(samples=2, neighbours=1))
    data = page.data
    first, second = data["neighbours"]["image"][:2]
    assert [data["key"][row] for ((row, _),) in (first, second)] == ["key-390", "key-391"]
    assert first[0][1] == pytest.approx(1.0, abs=1e-3)
    assert second[0][1] == pytest.approx(np.cos(0.1), abs=1e-3)
    assert data["listed"] == 2 + DRAWN
    assert len(page.media()) == data["pictured"] <= data["listed"] + 2
    assert all(media[0]["src"] for media in page.media())


def test_three_modalities_and_who_is_to_blame(tmp_path) -> None:
    """Samples whose sound was exchanged score high in the pairs of the sound: it is named in them, and rarely else."""
    random = np.random.default_rng(5)
    roles = np.array(["candidate"] * 200 + ["external"] * 200 + ["independent"] * 10, object)
    chance = random.normal(0, 0.1, (3, 410))
    usual = np.where(roles == "candidate", 1.0, 0.0) * np.array([[0.4], [0.1], [0.3]])
    scores = chance + usual
    wrong = np.arange(20)
    scores[1, wrong] += 0.5
    scores[2, wrong] += 0.5
    pairs = {("image", "text"): scores[0], ("image", "audio"): scores[1], ("text", "audio"): scores[2]}
    found = blamed(pairs, roles)
    assert sum(row in found and found[row].modality == "audio" for row in wrong) >= 18
    assert sum(row >= 20 for row in found) <= 0.09 * 180
    assert all(0 < own.p <= 0.05 for own in found.values())
    missing = {pair: np.where(np.arange(410) == 0, np.nan, own) for pair, own in pairs.items()}
    assert 0 not in blamed(missing, roles)
    assert blamed(pairs, np.where(roles == "external", "shared", roles)) == {}

    low = {pair: np.where(np.arange(410) < 20, usual[at] - 0.8, own) for at, (pair, own) in enumerate(pairs.items())}
    assert not {row for row in blamed(low, roles) if row < 20}

    table_of = table(roles.tolist(), scores[0].tolist())
    for (one, other), own in pairs.items():
        table_of = table_of.append_column(f"multimem_{one}_{other}", [own.tolist()])
    data = write(tmp_path, table_of, summary(), media=None).data
    blame = dict(zip(data["key"], data["blame"], strict=True))
    assert sum(blame[f"key-{row}"] is not None and blame[f"key-{row}"][0] == "audio" for row in wrong) >= 18
    assert [pair["name"] for pair in data["pairs"]] == [f"multimem_{a}_{b}" for a, b in pairs]


def test_two_modalities_have_none_to_blame(tmp_path) -> None:
    data = write(tmp_path).data
    assert (data["blame"], data["pairs"]) == (None, [])
