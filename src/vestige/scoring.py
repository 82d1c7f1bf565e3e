"""Score samples with models that somebody trained: two models, data, and a held-out set."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from vestige.data import Source
from vestige.data.media import UnreadableMedia, encoded
from vestige.designs import Design, Role
from vestige.embeddings import EmbeddingConfig, Embeddings, JoinedEmbeddings, all_keys, embed
from vestige.errors import VestigeError
from vestige.models import Encoder
from vestige.samples import Sample
from vestige.scores import align, heldout_rows, score_table

HELD_OUT = "heldout:"
"""What leads the keys of held-out samples in a table: a key may stand in both collections for different samples."""


def score(
    f: Encoder,
    g: Encoder,
    data: Source,
    heldout: Source | None = None,
    *,
    metrics: Sequence[str] = ("clipmem",),
    embedding: EmbeddingConfig | None = None,
    membership: Design | None = None,
    directory: Path | None = None,
    seed: int = 0,
) -> pa.Table:
    """How much f memorized of each sample, against g, which did not see it.

    Args:
        f: the model that saw the samples.
        g: the reference model, trained alike on other samples.
        data: the samples to score.
        heldout: samples that neither model saw; their own scores, in the role `external`, are the null. Not needed
            where `membership` keeps samples of the data external.
        metrics: names of `vestige.scores.METRICS`.
        embedding: how the samples are embedded.
        membership: which of the data each model saw, where that is not "all by f, none by g"; its first model is f,
            its second g.
        directory: where to keep the embeddings; a call that was killed goes on from there.
        seed: of the views.

    Returns:
        `vestige.scores.score_table` with the columns `caption` and `planted` (false): a row for every sample of
        `data` that could be read, then one for every held-out sample, its key led by `heldout:`.

    Raises:
        VestigeError: f and g are the same model, a held-out sample is among the data, or nothing is held out.
    """
    if f.fingerprint == g.fingerprint:
        raise VestigeError("f and g are the same model, and a model is not contrasted with itself: give two")
    if heldout is not None:
        _no_overlap(data, heldout)
    config = embedding or EmbeddingConfig()
    encoders = {"f": f, "g": g}
    with TemporaryDirectory() if directory is None else nullcontext(directory) as folder:
        stores = embed(encoders, data, Path(folder) / "data", config, seed=seed)
        away = (
            None
            if heldout is None
            else embed(encoders, heldout, Path(folder) / "heldout", config, seed=seed, label="embedding held-out")
        )
        table = score_embeddings(stores, away, metrics=metrics, membership=membership)
    captions = {sample.key: sample.captions for sample in data.samples(data.keys())}
    if heldout is not None:
        captions |= {HELD_OUT + sample.key: sample.captions for sample in heldout.samples(heldout.keys())}
    shown = [next(iter(captions[key]), "") for key in table["key"].to_pylist()]
    return table.append_column("caption", pa.array(shown)).append_column("planted", pa.array([False] * len(table)))


def score_embeddings(
    data: Mapping[str, Embeddings],
    heldout: Mapping[str, Embeddings] | None = None,
    *,
    metrics: Sequence[str] = ("clipmem",),
    membership: Design | None = None,
) -> pa.Table:
    """`score`, from embeddings: of the data and of the held-out set, by the name of the model.

    Args:
        data: by model; the first is f, the second g. More models need a `membership`.
        heldout: by model, of samples that no model saw; or None where `membership` keeps samples external.
        metrics: names of `vestige.scores.METRICS`.
        membership: which of the data each model saw, its models in the order of `data`.

    Raises:
        VestigeError: nothing is held out, embeddings of other samples than the membership's, or of other models.
    """
    names = tuple(data)
    if heldout is not None and set(heldout) != set(names):
        raise VestigeError(
            f"embeddings of the data are of {', '.join(names)}, of the held-out set of {', '.join(heldout)}"
        )
    keys = all_keys(data[names[0]])
    groups, member = _membership(membership, names, keys)
    away = [] if heldout is None else [HELD_OUT + key for key in all_keys(heldout[names[0]])]
    design = Design(
        name=membership.name if membership else "given",
        keys=(*keys, *away),
        groups=(*groups, *away),
        models=names,
        member=np.concatenate([member, np.zeros((len(names), len(away)), dtype=np.bool_)], axis=1),
        blocks=tuple(range(len(names))),
        seed=membership.seed if membership else 0,
    )
    joined = {
        name: JoinedEmbeddings((own, ""), *(() if heldout is None else ((heldout[name], HELD_OUT),)))
        for name, own in data.items()
    }
    external = [key for key, role in zip(design.keys, design.roles(), strict=True) if role == Role.EXTERNAL]
    return score_table(design, align(joined, heldout_rows(joined, away or external), design, metrics))


def _membership(
    membership: Design | None, names: Sequence[str], keys: Sequence[str]
) -> tuple[Sequence[str], np.ndarray]:
    """Groups [N] and membership [M, N] of the data: of the design, or all by the first model and none by the others."""
    if membership is None:
        if len(names) != 2:
            raise VestigeError(f"{len(names)} models need a membership that says which of them saw what")
        return keys, np.stack([np.ones(len(keys), dtype=np.bool_), np.zeros(len(keys), dtype=np.bool_)])
    if len(membership.models) != len(names):
        raise VestigeError(f"the membership is of {len(membership.models)} models, and {len(names)} are given")
    position = {key: sample for sample, key in enumerate(membership.keys)}
    unknown = [key for key in keys if key not in position]
    if unknown:
        raise VestigeError(
            f"{len(unknown)} of {len(keys)} samples are not in the membership, the first is {unknown[0]!r}: give the"
            " membership of these data"
        )
    rows = [position[key] for key in keys]
    return [membership.groups[row] for row in rows], membership.member[:, rows]


def _no_overlap(data: Source, heldout: Source) -> None:
    """A key may stand in both for different samples (0001.jpg); the same sample may not."""
    both = set(data.keys()) & set(heldout.keys())
    shared = [key for key in heldout.keys() if key in both]
    for one, other in zip(data.samples(shared), heldout.samples(shared), strict=True):
        if one.captions == other.captions and _content(one) == _content(other):
            raise VestigeError(
                f"the held-out set and the data share the sample {one.key!r}: held-out samples are seen by no model"
            )


def _content(sample: Sample) -> list[bytes]:
    try:
        return [encoded(medium) for medium in sample.media.values()]
    except UnreadableMedia:
        return []
