"""The numbers that the report and the terminal show: a mean with its interval for every role, and what was found."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from vestige.designs import Role
from vestige.metrics import auc, grouped_mean_interval
from vestige.samples import Modality
from vestige.scores import LEAST_NULL, Heldout
from vestige.utility.retrieval import chance, retrieval

KS = (1, 5, 10)
FALSE_DISCOVERY_RATE = 0.05
# With fewer candidates than this, an interval for their mean says little.
FEW = 30


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
    columns = scores.select([metric, "group", "role", "planted", "q_value"]).to_pydict()
    score = torch.tensor([math.nan if value is None else value for value in columns[metric]], dtype=torch.float64)
    group = torch.from_numpy(np.unique(np.array(columns["group"], dtype=object), return_inverse=True)[1])
    roles = np.array(columns["role"], dtype=object)
    planted = torch.tensor(columns["planted"], dtype=torch.bool)
    by_role = means_by_role(scores, [metric])[metric]
    scored = str(Role.CANDIDATE if Role.CANDIDATE in by_role else Role.MIXED)
    return {
        "metric": metric,
        "samples": len(scores),
        "groups": len(group.unique()),
        "models": list(models),
        "roles": by_role,
        "planted": _planted(score, group, planted, torch.from_numpy(roles == scored)),
        "memorized": _memorized(columns["q_value"], roles == Role.CANDIDATE),
        "retrieval": None,
        "warnings": list(_warnings(by_role, scored)),
    }


def means_by_role(scores: pa.Table, columns: Sequence[str]) -> dict[str, dict[str, Any]]:
    """For every one of these columns and every role, `n, mean, se, low, high` as in `summarise`."""
    group = torch.from_numpy(np.unique(np.array(scores["group"].to_pylist(), dtype=object), return_inverse=True)[1])
    roles = np.array(scores["role"].to_pylist(), dtype=object)
    found: dict[str, dict[str, Any]] = {}
    for name in columns:
        score = torch.tensor([math.nan if v is None else v for v in scores[name].to_pylist()], dtype=torch.float64)
        found[name] = {
            str(role): _interval(score, group, torch.from_numpy(roles == role))
            for role in Role
            if (roles == role).any()
        }
    return found


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


def _memorized(q_values: Sequence[float | None], candidates: np.ndarray) -> dict[str, Any] | None:
    known = [q for q, candidate in zip(q_values, candidates, strict=True) if candidate and q is not None]
    if not known:
        return None
    return {"fdr": FALSE_DISCOVERY_RATE, "count": sum(q <= FALSE_DISCOVERY_RATE for q in known), "of": len(known)}


def held_out_retrieval(heldout: Heldout, captions: Sequence[str]) -> dict[str, Any] | None:
    """R@k of captions by pictures (T@k) and of pictures by captions (I@k); equal captions are equally correct.

    Args:
        heldout: the held-out set under every model.
        captions: the caption of every held-out sample.

    Returns:
        `n`, `chance` and `models` (by name), rates by `T@k` and `I@k`; None for models without images or texts.
    """
    shards = list(heldout.shards.values())
    if any(modality not in shard for shard in shards for modality in (Modality.IMAGE, Modality.TEXT)):
        return None
    identity = torch.from_numpy(np.unique(np.array(captions, dtype=object), return_inverse=True)[1])

    def both(shard) -> dict[str, float]:
        image, text = shard[Modality.IMAGE], shard[Modality.TEXT]
        texts, images = retrieval(image, text, identity, KS), retrieval(text, image, identity, KS)
        return {f"T@{k}": texts[k] for k in KS} | {f"I@{k}": images[k] for k in KS}

    guess = chance(identity, KS)
    return {
        "n": len(captions),
        "chance": {f"{side}@{k}": guess[k] for side in "TI" for k in KS},
        "models": {name: both(shard) for name, shard in heldout.shards.items()},
    }


def _warnings(roles: dict[str, Any], scored: str):
    if roles.get(scored, {}).get("n", 0) < FEW:
        yield f"only {roles.get(scored, {}).get('n', 0)} samples have a score: the interval of their mean is rough"
    external = roles.get(str(Role.EXTERNAL), {"n": 0})
    if external["n"] < LEAST_NULL:
        yield f"only {external['n']} external samples: too few for p-values, {LEAST_NULL} are needed"
    elif external["low"] is not None and not external["low"] <= 0 <= external["high"]:
        yield (
            f"the null is not centred: the mean of the external samples is {external['mean']:.3f}"
            f" ({external['low']:.3f} to {external['high']:.3f}); one of the models generalises better than the other"
        )
