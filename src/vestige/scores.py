"""The table of scores: the contrast of models that saw a sample and models that did not, with its p- and q-values."""

from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Literal

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from vestige.alignments import Alignments
from vestige.designs import Design, Role
from vestige.keys import positions
from vestige.metrics import Contrast, benjamini_hochberg, memorization, null_p_values

# Fewer null scores than this cannot give a p-value below 0.05 after a look at more than one sample.
LEAST_NULL = 20
NULL = (str(Role.EXTERNAL),)
STREAM = int.from_bytes(b"null", "little")
"""What leads these draws apart from others of the same seed."""


def score_table(design: Design, alignments: Alignments, *, null: Sequence[str] = NULL) -> pa.Table:
    """The table of scores, a row a sample, in the order of the design.

    Args:
        design: who saw what.
        alignments: of the design's samples; those that were not embedded get no row.
        null: the roles whose scores are the null (`p_and_q_values`).

    Columns: `key`, `group`, `role`; for each column of the metrics, `<column>`: with two models f minus g for every
    role (S_C positive, S_I negative, S_S and S_E the null), else the mean over the models that saw the sample minus
    the mean over those that did not; `<column>_se`, its standard error over models, and `<metric>_heldout_se`, that
    over held-out sets; and of the first column `memorization` (seen minus not seen, missing where no or every model
    saw the sample), `align_in`, `align_out`, `align_<model>` (two models), `p_value` and `q_value`.
    """
    row = positions(design.keys, alignments.keys)
    known = row >= 0
    order = torch.from_numpy(row[known])
    member = torch.from_numpy(design.member[:, known])
    roles = np.array([role.value for role in design.roles()], dtype=object)[known]
    table: dict[str, Sequence[object] | Tensor] = {
        "key": list(compress(design.keys, known)),
        "group": list(compress(design.groups, known)),
        "role": roles.tolist(),
    }
    first: Tensor | None = None
    for name, alignment in alignments.columns.items():
        own = alignment[:, order]
        contrast = memorization(own, member)
        score = own[0] - own[1] if len(own) == 2 else contrast.score
        table |= {name: score, f"{name}_se": contrast.se}
        if name in alignments.heldout_errors:
            table[f"{name}_heldout_se"] = alignments.heldout_errors[name][order]
        if first is None:
            first = own
            pair = len(own) == 2
            found = (
                p_and_q_values(score, roles, null) if pair else mixed_p_and_q_values(own, member, roles, design.seed)
            )
            table |= _primary(design, own, contrast, found)
    arrays = {name: _array(column) for name, column in table.items()}
    return pa.table({name: arrays[name] for name in _order(arrays)})


def _primary(
    design: Design, alignment: Tensor, contrast: Contrast, p_and_q: tuple[Tensor, Tensor]
) -> dict[str, Sequence[object] | Tensor]:
    p, q = p_and_q
    columns: dict[str, Sequence[object] | Tensor] = {
        "memorization": contrast.score,
        "align_in": contrast.align_in,
        "align_out": contrast.align_out,
    }
    if len(design.models) == 2:
        columns |= {f"align_{model}": own for model, own in zip(design.models, alignment, strict=True)}
    return columns | {"n_in": contrast.n_in, "n_out": contrast.n_out, "p_value": p, "q_value": q}


def p_and_q_values(score: Tensor, roles: np.ndarray, null: Sequence[str] = NULL) -> tuple[Tensor, Tensor]:
    """p-values of candidates (upper tail) and independent samples (lower tail) against the null, and q-values of each.

    The null is S_E alone unless S_S is asked for. A sample f saw and did not memorize is to f as one it never saw,
    which is what S_E is; S_S, whose samples both models fitted, spreads several times less, and with it in the null
    nearly every candidate is called memorized.

    Args:
        score: f minus g, [N].
        roles: the role of every sample, [N].
        null: the roles whose scores are the null: `external`, `shared`, or both.

    Returns:
        (p, q), [N] each; NaN for all other roles, and for all where fewer than `LEAST_NULL` null scores exist.
    """
    p, q = torch.full_like(score, torch.nan), torch.full_like(score, torch.nan)
    chance = score[torch.from_numpy(np.isin(roles, list(null)))]
    chance = chance[~chance.isnan()]
    if len(chance) < LEAST_NULL:
        return p, q
    tails: dict[Role, Literal["greater", "less"]] = {Role.CANDIDATE: "greater", Role.INDEPENDENT: "less"}
    for role, alternative in tails.items():
        rows = torch.from_numpy(roles == role)
        if rows.any():
            p[rows] = null_p_values(score[rows], chance, alternative=alternative)
            q[rows] = benjamini_hochberg(p[rows])
    return p, q


def mixed_p_and_q_values(alignment: Tensor, member: Tensor, roles: np.ndarray, seed: int) -> tuple[Tensor, Tensor]:
    """p-values of samples that some of more than two models saw, and q-values of them all together.

    An external sample has no contrast of its own. Given the membership of a scored sample, drawn at random, it has one
    in which nothing was seen: the score of a sample that no model memorized, over as many models on both sides.

    Args:
        alignment: [M, N].
        member: bool [M, N].
        roles: the role of every sample, [N].
        seed: of the draw.

    Returns:
        (p, q), [N] each; NaN where the role is not `mixed`, and for all with fewer than `LEAST_NULL` external samples.
    """
    score = memorization(alignment, member).score
    p, q = torch.full_like(score, torch.nan), torch.full_like(score, torch.nan)
    mixed, external = (np.flatnonzero(roles == role) for role in (Role.MIXED, Role.EXTERNAL))
    if len(external) < LEAST_NULL or not len(mixed):
        return p, q
    lent = torch.from_numpy(np.random.Generator(np.random.Philox([seed, STREAM])).choice(mixed, len(external)))
    chance = memorization(alignment[:, torch.from_numpy(external)], member[:, lent]).score
    chance = chance[~chance.isnan()]
    if len(chance) >= LEAST_NULL:
        rows = torch.from_numpy(mixed)
        p[rows] = null_p_values(score[rows], chance)
        q[rows] = benjamini_hochberg(p[rows])
    return p, q


def _array(column: Sequence[object] | Tensor) -> pa.Array:
    if isinstance(column, Tensor):
        # Missing is null, never NaN: every reader of Parquet then leaves it out of means.
        return pa.array(column.numpy(), from_pandas=True)
    return pa.array(column)


def _order(columns: Mapping[str, pa.Array]) -> list[str]:
    """Identity, then scores, then the rest; a column of standard errors that are all missing says nothing."""
    kept = [name for name, array in columns.items() if not name.endswith("_se") or array.null_count < len(array)]
    lead = ["key", "group", "role"]
    return lead + [name for name in kept if name not in lead]
