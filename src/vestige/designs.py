"""Designs: which model is trained on which samples.

Every metric of memorization is a contrast between models that saw a sample and models that did not, so the design is
the experiment. Membership is decided per group, never per sample, and stored with the models.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vestige.errors import VestigeError
from vestige.files import read_table, write_table


class UnfillableSize(VestigeError):
    """No choice of whole groups makes a set of the size that was asked for."""


class Role(StrEnum):
    """What a sample is in a design (CLIPMem, section 4.1: S_S, S_C, S_I, S_E)."""

    SHARED = "shared"
    """Seen by every model."""
    CANDIDATE = "candidate"
    """Seen by the first model of a pair, not by the second."""
    INDEPENDENT = "independent"
    """Seen by the second model of a pair, not by the first."""
    EXTERNAL = "external"
    """Seen by no model."""
    MIXED = "mixed"
    """Seen by some of more than two models."""


@dataclass(frozen=True)
class Design:
    """Membership of N samples in M models.

    Attributes:
        name: the kind of design.
        keys, groups: key and group of every sample.
        models: names of the models.
        member: was sample i in model m's training set? bool [M, N].
        blocks: models of one block are trained matched: same initialisation, same draws, batch by batch. [M].
        seed: what the membership was drawn from.

    Raises:
        ValueError: lengths that do not fit, a key twice, a group of which a model saw a part.
    """

    name: str
    keys: tuple[str, ...]
    groups: tuple[str, ...]
    models: tuple[str, ...]
    member: NDArray[np.bool_]
    blocks: tuple[int, ...]
    seed: int

    def __post_init__(self) -> None:
        if self.member.shape != (len(self.models), len(self.keys)) or self.member.dtype != np.bool_:
            raise ValueError(
                f"member: expected bool [models, samples] = {[len(self.models), len(self.keys)]},"
                f" found {self.member.dtype} {list(self.member.shape)}"
            )
        if len(self.groups) != len(self.keys) or len(self.blocks) != len(self.models):
            raise ValueError(
                f"expected a group for each of {len(self.keys)} samples and a block for each of {len(self.models)}"
                f" models, found {len(self.groups)} and {len(self.blocks)}"
            )
        if len(set(self.keys)) != len(self.keys):
            raise ValueError("keys: every key stands for one sample, found one twice")
        first: dict[str, int] = {}
        firsts = np.array([first.setdefault(group, sample) for sample, group in enumerate(self.groups)], dtype=np.int64)
        parted = np.flatnonzero((self.member != self.member[:, firsts]).any(axis=0))
        if len(parted):
            sample = int(parted[0])
            raise ValueError(
                f"member: the group {self.groups[sample]!r} is parted: {self.keys[firsts[sample]]!r} and"
                f" {self.keys[sample]!r} are in different models"
            )

    def roles(self) -> list[Role]:
        """The role of every sample."""
        known = {0: Role.EXTERNAL, len(self.models): Role.SHARED}
        apart = {True: Role.CANDIDATE, False: Role.INDEPENDENT}
        pair = len(self.models) == 2
        seen, by_first = self.member.sum(axis=0).tolist(), self.member[0].tolist()
        return [
            known.get(count) or (apart[saw] if pair else Role.MIXED) for count, saw in zip(seen, by_first, strict=True)
        ]

    def unscored(self) -> dict[str, str]:
        """Samples without a memorization score, and why."""
        reasons = {0: "no model saw it", len(self.models): "every model saw it"}
        seen = self.member.sum(axis=0).tolist()
        return {key: reasons[count] for key, count in zip(self.keys, seen, strict=True) if count in reasons}

    def slots(self) -> NDArray[np.int64]:
        """The sample in every training slot of every model, [M, S]; -1 where a model has fewer samples than S.

        Batches are drawn over slots, so models of a block see the samples they share in the same batches: a slot
        holds a shared sample in both, or the k-th sample that only the first saw and the k-th that only the other
        saw (matched training).

        Raises:
            VestigeError: a model that sees no sample cannot be trained.
        """
        empty = [model for model, row in zip(self.models, self.member, strict=True) if not row.any()]
        if empty:
            raise VestigeError(f"the design gives the model {empty[0]!r} no sample to train on")
        width = int(self.member.sum(axis=1).max())
        slots = np.full((len(self.models), width), -1, dtype=np.int64)
        reference: dict[int, NDArray[np.int64]] = {}
        for model, block in enumerate(self.blocks):
            own = np.flatnonzero(self.member[model])
            if block not in reference:
                slots[model, : len(own)] = own
                reference[block] = slots[model]
                continue
            shared = np.isin(reference[block], own) & (reference[block] >= 0)
            slots[model, shared] = reference[block][shared]
            rest = np.setdiff1d(own, reference[block])
            slots[model, np.flatnonzero(~shared)[: len(rest)]] = rest
        return slots

    def without(self, keys: Collection[str]) -> "Design":
        """The same design on fewer samples: who sees what is left does not change."""
        left = np.array([key not in keys for key in self.keys], np.bool_)
        rest = np.flatnonzero(left).tolist()
        return replace(
            self,
            keys=tuple(self.keys[sample] for sample in rest),
            groups=tuple(self.groups[sample] for sample in rest),
            member=self.member[:, left],
        )

    def save(self, path: Path) -> None:
        """Write the membership as Parquet: key, group, role and a column `in_<model>` for every model."""
        columns = {"key": list(self.keys), "group": list(self.groups), "role": [str(role) for role in self.roles()]}
        columns |= {f"in_{model}": row for model, row in zip(self.models, self.member, strict=True)}
        about = {"name": self.name, "models": self.models, "blocks": self.blocks, "seed": self.seed}
        table = pa.table(columns).replace_schema_metadata({"vestige.design": json.dumps(about)})
        write_table(path, table)

    @classmethod
    def load(cls, path: Path) -> "Design":
        """Read what `save` wrote.

        Raises:
            VestigeError: the file is not the membership of a design.
        """
        table = read_table(path)
        about = json.loads((table.schema.metadata or {}).get(b"vestige.design", b"null"))
        if about is None:
            raise VestigeError(f"{path}: not the membership of a design (no metadata 'vestige.design')")
        keys = table["key"].to_pylist()
        # Most groups are named after their only sample: one string then serves both.
        groups = (key if key == group else group for key, group in zip(keys, table["group"].to_pylist(), strict=True))
        return cls(
            name=about["name"],
            keys=tuple(keys),
            groups=tuple(groups),
            models=tuple(about["models"]),
            member=np.stack([table[f"in_{model}"].to_numpy() for model in about["models"]]),
            blocks=tuple(about["blocks"]),
            seed=about["seed"],
        )


def roles(
    keys: Sequence[str], groups: Sequence[str], *, candidates: int, external: int, seed: int,
    independent: int | None = None,
) -> Design:  # fmt: skip
    """The design of CLIPMem and MultiMem: f on S_S + S_C, g on S_S + S_I, S_E in neither.

    Args:
        keys, groups: the samples.
        candidates, external: sizes of S_C and S_E, in samples.
        seed: of the draw.
        independent: size of S_I; the same as S_C when not given, so that f and g see equally many samples.

    Raises:
        VestigeError: more samples asked for than there are, or groups too large to fill the sizes exactly.
    """
    independent = candidates if independent is None else independent
    shared = len(keys) - candidates - independent - external
    sizes = {"candidate": candidates, "independent": independent, "external": external, "shared": shared}
    if shared < 0 or candidates < 1 or independent < 1 or external < 0:
        wanted = ", ".join(f"{size} {name}" for name, size in sizes.items() if name != "shared")
        raise VestigeError(
            f"the design asks for {wanted} samples and the data have {len(keys)}: ask for at least one candidate and"
            " no more in all than there are"
        )
    parts = partition(groups, list(sizes.values()), seed)
    member = np.stack([np.isin(parts, (0, 3)), np.isin(parts, (1, 3))])
    return Design("roles", tuple(keys), tuple(groups), ("f", "g"), member, (0, 0), seed)


def halves(keys: Sequence[str], groups: Sequence[str], *, pairs: int, external: int, seed: int) -> Design:
    """Complementary halves: f_k on one half, g_k on the other. Every sample but the external ones gets a score.

    The halves are as equal in size as whole groups allow.

    Args:
        keys, groups: the samples.
        pairs: how often the samples are halved, 2 models each.
        external: samples kept out of every model, as held-out set and null distribution.
        seed: of the draw.

    Raises:
        VestigeError: as `roles`.
    """
    _positive("pairs", pairs)
    rest = _without_external(keys, groups, external, seed)
    inner = [groups[sample] for sample in map(int, rest)]
    member = np.zeros((2 * pairs, len(keys)), dtype=np.bool_)
    for pair in range(pairs):
        parts = _halved(inner, seed + 1 + pair)
        for half in (0, 1):
            member[2 * pair + half, rest[parts == half]] = True
    names = ("f", "g") if pairs == 1 else tuple(f"{side}{pair}" for pair in range(pairs) for side in "fg")
    blocks = tuple(pair for pair in range(pairs) for _ in "fg")
    return Design("halves", tuple(keys), tuple(groups), names, member, blocks, seed)


def subsets(
    keys: Sequence[str], groups: Sequence[str], *, models: int, share: float, external: int, seed: int
) -> Design:
    """Random subsets (Feldman and Zhang, 2020): every model sees its own share of the samples, each its own block.

    Args:
        keys, groups: the samples.
        models: how many models; the paper trains thousands, on a share of 0.7.
        share: of the samples that are not external, above 0; 1 where one model is to see all of them. There is then
            no contrast and no memorization, and what one model's embeddings tell of a pair alone.
        external: samples kept out of every model.
        seed: of the draw.

    Raises:
        VestigeError: as `roles`.
    """
    _positive("models", models)
    if not 0 < share <= 1:
        raise VestigeError(f"subsets: share lies above 0 and is at most 1, not {share}")
    rest = _without_external(keys, groups, external, seed)
    inner = [groups[sample] for sample in map(int, rest)]
    size = min(max(round(share * len(rest)), 1), len(rest))
    member = np.zeros((models, len(keys)), dtype=np.bool_)
    for model in range(models):
        member[model, rest[partition(inner, [size, len(rest) - size], seed + 1 + model) == 0]] = True
    names = tuple(f"m{model}" for model in range(models))
    return Design("subsets", tuple(keys), tuple(groups), names, member, tuple(range(models)), seed)


def disjoint(keys: Sequence[str], groups: Sequence[str], *, size: int, seed: int) -> Design:
    """Disjoint training sets A and B of one size (Jayaraman et al., 2024); what is left is external.

    Raises:
        VestigeError: as `roles`.
    """
    _positive("size", size)
    if 2 * size > len(keys):
        raise VestigeError(f"the design asks for two sets of {size} samples and the data have {len(keys)}: lower size")
    parts = partition(groups, [size, size, len(keys) - 2 * size], seed)
    member = np.stack([parts == 0, parts == 1])
    return Design("disjoint", tuple(keys), tuple(groups), ("f", "g"), member, (0, 0), seed)


def leave_out(
    keys: Sequence[str], groups: Sequence[str], *, candidates: Sequence[str], external: int, seed: int
) -> Design:
    """Literal leave-one-out, for tiny sets: f sees all, and a model for every candidate sees all but its group.

    Args:
        keys, groups: the samples.
        candidates: keys to leave out, one model each.
        external: samples kept out of every model; never a candidate's group.
        seed: of the draw of the external samples.

    Raises:
        VestigeError: a candidate that is not there, or as `roles`.
    """
    position = {key: sample for sample, key in enumerate(keys)}
    unknown = [key for key in candidates if key not in position]
    if unknown or not candidates:
        found = f"{unknown[0]!r} is not among the samples" if unknown else "none was named"
        raise VestigeError(f"leave_out: candidates to leave out are keys of the data: {found}")
    held = {groups[position[key]] for key in candidates}
    free = np.array([sample for sample, group in enumerate(groups) if group not in held], dtype=np.int64)
    if external >= len(free):
        raise VestigeError(f"leave_out: {external} external samples asked for, {len(free)} are free: lower external")
    parts = partition([groups[sample] for sample in map(int, free)], [external, len(free) - external], seed)
    everything = np.ones(len(keys), dtype=np.bool_)
    everything[free[parts == 0]] = False
    group_of = np.array(groups)
    rows = [everything] + [everything & (group_of != groups[position[key]]) for key in candidates]
    names = ("f", *(f"g{number}" for number in range(len(candidates))))
    return Design("leave_out", tuple(keys), tuple(groups), names, np.stack(rows), (0,) * len(rows), seed)


def partition(groups: Sequence[str], sizes: Sequence[int], seed: int) -> NDArray[np.int64]:
    """Part samples into sets of exactly these sizes, at random, never parting a group.

    Args:
        groups: the group of every sample, [N].
        sizes: size of every part, in samples; they add up to N.
        seed: of the draw.

    Returns:
        The part of every sample, [N].

    Raises:
        UnfillableSize: no choice of whole groups was found that fills the sizes exactly.
    """
    names, inverse, counts = np.unique(np.asarray(groups, dtype=object), return_inverse=True, return_counts=True)
    order = np.random.Generator(np.random.Philox(seed)).permutation(len(names))
    part_of_group = np.full(len(names), -1, dtype=np.int64)
    # The part with most room is filled last, by what is left: it never has to be matched exactly.
    for part in sorted(range(len(sizes)), key=lambda part: sizes[part])[:-1] if len(sizes) > 1 else []:
        free = order[part_of_group[order] < 0]
        part_of_group[free[_exact_fill(counts[free], sizes[part])]] = part
    last = max(range(len(sizes)), key=lambda part: (sizes[part], part))
    part_of_group[part_of_group < 0] = last
    return part_of_group[inverse]


def _halved(groups: Sequence[str], seed: int) -> NDArray[np.int64]:
    """Two parts, as equal in size as whole groups allow: off by no more than the largest group."""
    n = len(groups)
    for less in range(max(Counter(groups).values()) + 1):
        try:
            return partition(groups, [n // 2 - less, n - n // 2 + less], seed)
        except UnfillableSize:
            continue
    raise VestigeError(f"the {n} samples cannot be halved: one group holds most of them")


def _exact_fill(counts: NDArray[np.int64], size: int) -> list[int]:
    """Positions of groups, in order, whose counts add up to exactly `size`: a random prefix, then an exact search."""
    total = np.cumsum(counts)
    # The search gets the last stretch, long enough to hold small groups and short enough to stay cheap.
    slack = min(size, 64 * int(counts.max(initial=1)))
    prefix = int(np.searchsorted(total, size - slack, side="right"))
    chosen = list(range(prefix))
    need = size - (int(total[prefix - 1]) if prefix else 0)
    if need == 0:
        return chosen
    # reach[i]: bit s is set when some of the first i pool groups add up to s.
    pool, reach, window = [], [1], (1 << (need + 1)) - 1
    for position in range(prefix, len(counts)):
        pool.append(position)
        reach.append((reach[-1] | reach[-1] << int(counts[position])) & window)
        if reach[-1] >> need & 1:
            return chosen + list(_traced(counts, pool, reach, need))
    near = next((s for s in range(need, 0, -1) if reach[-1] >> s & 1), 0) + size - need
    advice = f"ask for {near}" if near else "byte-identical media and equal names of groups make one group; look there"
    raise UnfillableSize(
        f"no choice of whole groups makes a set of exactly {size} samples (the groups have up to {int(counts.max())}):"
        f" {advice}"
    )


def _traced(counts: NDArray[np.int64], pool: Sequence[int], reach: Sequence[int], need: int) -> Iterator[int]:
    for step in range(len(pool), 0, -1):
        if not reach[step - 1] >> need & 1:
            yield pool[step - 1]
            need -= int(counts[pool[step - 1]])


def _without_external(keys: Sequence[str], groups: Sequence[str], external: int, seed: int) -> NDArray[np.int64]:
    """The samples that are left when the external ones are drawn."""
    if not 0 <= external < len(keys) - 1:
        raise VestigeError(
            f"the design keeps {external} external samples of {len(keys)} out of every model: leave at least two"
        )
    parts = partition(groups, [external, len(keys) - external], seed)
    return np.flatnonzero(parts == 1)


def _positive(name: str, value: int) -> None:
    if value < 1:
        raise VestigeError(f"{name} must be 1 or more, not {value}")
