"""The numbers that the report and the terminal show: a mean with its interval for every role, and what was found."""

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from vestige.alignments import Heldout
from vestige.designs import Role
from vestige.metrics import auc, grouped_mean_interval
from vestige.samples import Modality
from vestige.scores import LEAST_NULL
from vestige.utility.retrieval import chance, retrieval, text_identity

KS = (1, 5, 10)
FALSE_DISCOVERY_RATE = 0.05
# With fewer candidates than this, an interval for their mean says little.
FEW = 30
# Share of the samples of a role in one group above which the mean of the role is that group's.
LARGEST_GROUP = 0.2


def summarise(scores: pa.Table, models: Sequence[str]) -> dict[str, Any]:
    """Summary of a table of scores.

    Args:
        scores: `vestige.scores.score_table`, with the columns `caption` and `planted`.
        models: names of the models that were contrasted.

    Returns:
        `metric` (the first one), `samples`, `groups`, `models`; `roles`: for each role `n, mean, se, low, high`, its
        95% interval over samples, groups taken as units; `planted`: means and the AUC of the score, or None;
        `memorized`: how many candidates at a false discovery rate of 0.05; `retrieval`: None (`held_out_retrieval`);
        `warnings`.
    """
    metric = scores.column_names[3]
    score, group, role = _numbers(scores[metric]), _codes(scores["group"])[0], _role_of(scores)
    planted = torch.from_numpy(scores["planted"].to_numpy())
    by_role = means_by_role(scores, [metric])[metric]
    scored = str(Role.CANDIDATE if Role.CANDIDATE in by_role else Role.MIXED)
    return {
        "metric": metric,
        "samples": len(scores),
        "groups": len(group.unique()),
        "models": list(models),
        "roles": by_role,
        "planted": _planted(score, group, planted, role(scored)),
        "memorized": _memorized(_numbers(scores["q_value"])[role(Role.CANDIDATE)]),
        "retrieval": None,
        "warnings": [*_warnings(by_role, scored), *_unbalanced(score, group, role(scored), scored)],
    }


def means_by_role(scores: pa.Table, columns: Sequence[str]) -> dict[str, dict[str, Any]]:
    """For every one of these columns and every role, `n, mean, se, low, high` as in `summarise`."""
    group, role = _codes(scores["group"])[0], _role_of(scores)
    found: dict[str, dict[str, Any]] = {}
    for name in columns:
        score = _numbers(scores[name])
        found[name] = {str(own): _interval(score, group, role(own)) for own in Role if role(own).any()}
    return found


def _numbers(column: pa.ChunkedArray) -> Tensor:
    """A column as float64, NaN where it is null."""
    return torch.from_numpy(column.cast(pa.float64()).to_numpy().copy())


def _codes(column: pa.ChunkedArray) -> tuple[Tensor, pa.Array]:
    """A column of text as (number of its value [N], values): millions of rows without a Python string for each."""
    encoded = column.combine_chunks().dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    return torch.from_numpy(encoded.indices.to_numpy().astype(np.int64)), encoded.dictionary


def _role_of(scores: pa.Table) -> Callable[[str], Tensor]:
    """A function from a role to the rows that have it, bool [N]."""
    code, values = _codes(scores["role"])
    names = values.to_pylist()
    return lambda role: code == names.index(role) if role in names else torch.zeros(len(code), dtype=torch.bool)


def _interval(score: Tensor, group: Tensor, rows: Tensor) -> dict[str, Any]:
    rows = rows & ~score.isnan()
    if not rows.any():
        return {"n": 0, "mean": None, "se": None, "low": None, "high": None}
    found = grouped_mean_interval(score[rows], group[rows])
    return {"n": found.n} | {name: _number(getattr(found, name)) for name in ("mean", "se", "low", "high")}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _planted(score: Tensor, group: Tensor, planted: Tensor, rows: Tensor) -> dict[str, Any] | None:
    rows = rows & ~score.isnan()
    if not (planted & rows).any() or not (~planted & rows).any():
        return None
    wrong, clean = _interval(score, group, rows & planted), _interval(score, group, rows & ~planted)
    found = auc(score[rows], planted[rows])
    return {
        "n": wrong["n"],
        **{name: wrong[name] for name in ("mean", "low", "high")},
        **{f"clean_{name}": clean[name] for name in ("mean", "low", "high")},
        "auc": found.value,
        "auc_low": _number(found.low),
        "auc_high": _number(found.high),
    }


def _memorized(q_values: Tensor) -> dict[str, Any] | None:
    known = q_values[~q_values.isnan()]
    if not len(known):
        return None
    return {"fdr": FALSE_DISCOVERY_RATE, "count": int((known <= FALSE_DISCOVERY_RATE).sum()), "of": len(known)}


def held_out_retrieval(heldout: Heldout, captions: Sequence[str]) -> dict[str, Any] | None:
    """R@k in both directions for a pair of modalities; equal captions (`text_identity`) are equally correct.

    For pictures and texts T@k is the rate of captions found by their pictures, and I@k of pictures by their captions.
    For other models the pair is the first that all embed and some sample has, texts preferred, and `pair` names it; the
    letters are the initials of what is found.

    Args:
        heldout: the held-out set under every model.
        captions: the caption of every held-out sample; "" for none.

    Returns:
        `n`, `pair`, `chance` and `models` (by name), rates by `T@k` and `I@k`; None where models share no pair, or
        no held-out sample has both.
    """
    shards = list(heldout.shards.values())
    shared = [m for m in Modality if shards and all(m in shard for shard in shards)]

    def having(pair: tuple[Modality, Modality]) -> Tensor:
        return torch.stack([~(shard[m][:, 0].isnan()) for shard in shards for m in pair]).all(dim=0)

    pairs = sorted(combinations(shared, 2), key=lambda pair: Modality.TEXT not in pair)
    found = next((pair for pair in pairs if having(pair).any()), None)
    if found is None:
        return None
    (a, b), both = found, having(found)
    # A sample without a caption is equal to itself alone.
    names = [text_identity(caption) or f"\0{row}" for row, caption in enumerate(captions)]
    identity = torch.from_numpy(np.unique(np.array(names, dtype=object), return_inverse=True)[1])[both]

    def rates(shard) -> dict[str, float]:
        x, y = shard[a][both], shard[b][both]
        of_b, of_a = retrieval(x, y, identity, KS), retrieval(y, x, identity, KS)
        return {f"{_letter(b)}@{k}": of_b[k] for k in KS} | {f"{_letter(a)}@{k}": of_a[k] for k in KS}

    guess = chance(identity, KS)
    return {
        "n": int(both.sum()),
        "pair": [str(a), str(b)],
        "chance": {f"{_letter(side)}@{k}": guess[k] for side in (b, a) for k in KS},
        "models": {name: rates(shard) for name, shard in heldout.shards.items()},
    }


def _letter(modality: Modality) -> str:
    return modality[0].upper()


def _warnings(roles: dict[str, Any], scored: str):
    if not any(found["n"] for found in roles.values()):
        yield "no sample has a score of memorization: none was seen by one model and not by another"
        return
    if roles.get(scored, {}).get("n", 0) < FEW:
        yield f"only {roles.get(scored, {}).get('n', 0)} samples have a score: the interval of their mean is rough"
    external = roles.get(str(Role.EXTERNAL), {"n": 0})
    if not external["n"]:
        yield f"no external samples: no p-values, {LEAST_NULL} are needed"
    elif external["n"] < LEAST_NULL:
        yield f"only {external['n']} external samples: too few for p-values, {LEAST_NULL} are needed"
    elif external["low"] is not None and not external["low"] <= 0 <= external["high"]:
        yield (
            f"the null is not centred: the mean of the external samples is {external['mean']:.3f}"
            f" ({external['low']:.3f} to {external['high']:.3f}); one of the models generalises better than the other"
        )


def _unbalanced(score: Tensor, group: Tensor, rows: Tensor, role: str):
    rows = rows & ~score.isnan()
    if int(rows.sum()) < FEW:
        return
    sizes = torch.bincount(group[rows])
    if int(sizes.max()) > LARGEST_GROUP * int(sizes.sum()):
        yield (
            f"the groups are unbalanced: one of {int((sizes > 0).sum())} holds {int(sizes.max())} of"
            f" {int(sizes.sum())} {role} samples, and their mean is much its own"
        )
