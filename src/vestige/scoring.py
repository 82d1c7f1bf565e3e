"""Score samples with models that somebody trained: two or more models, data, and a held-out set.

One pass over the data and one forward of each model per view serve all the metrics that are asked for.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from vestige.alignments import METRICS, Alignments, Heldout, Metric, align, heldout_rows, metrics_named
from vestige.classification import LABELMEM, LabelTest
from vestige.curation.suspicion import SUSPICION, with_suspicion
from vestige.data import Source
from vestige.data.media import UnreadableMedia, content_of
from vestige.designs import Design, Role
from vestige.embeddings import EmbeddingConfig, Embeddings, EmbeddingStore, JoinedEmbeddings, all_keys, embed
from vestige.errors import VestigeError
from vestige.keys import positions
from vestige.metrics import population_gaps, sample_gaps
from vestige.models import Encoder
from vestige.recovery import ObjectRecoveryTest, RecoveryConfig, recovery_of, rows_of
from vestige.retrieved import retrieved
from vestige.samples import Sample
from vestige.scores import NULL, score_table
from vestige.units import unit_table, units_of_samples
from vestige.unseen import heldout_of

HELD_OUT = "heldout:"
"""What leads the keys of held-out samples in a table: a key may stand in both collections for different samples."""

UNITMEM, DEJAVU = "unitmem", "dejavu"
ALL_METRICS = (*METRICS, LABELMEM, UNITMEM, DEJAVU, SUSPICION)
# Columns of the alignments from which gaps are computed, and which are no score of a sample.
RECOVERY_PARTS = ("dejavu_correct", "dejavu_predicted", "dejavu_distance")


@dataclass(frozen=True)
class ScoreResult:
    """What scoring gives.

    Attributes:
        columns: names of the score columns, in the order of the metrics asked for.
        table: `vestige.scores.score_table` with the columns `caption` and `planted` (false); with `unitmem` also
            `units_<model>`, how many units of the model answer to the sample most; with `suspicion`
            the columns of `vestige.curation.suspicion`.
        units: with `unitmem`, for every model a row a unit (`vestige.units.unit_table`).
        dejavu: with `dejavu`, population and sample-level gaps of the candidates (`object_gaps`), else None.
        retrieved: with `dejavu` and the samples at hand, what the models retrieved (`vestige.retrieved`), else None.
    """

    columns: tuple[str, ...]
    table: pa.Table
    units: Mapping[str, pa.Table]
    dejavu: Mapping[str, Any] | None
    retrieved: pa.Table | None = None

    def _repr_html_(self) -> str:
        """In a notebook: the most memorized samples; `vestige.show(result.table, data)` has their pictures too."""
        from vestige.report.notebook import show

        if not self.columns:
            return "<p>No score of samples was asked for: see <code>units</code>.</p>"
        return show(self.table, metric=self.columns[0])._repr_html_()


def score(f: Encoder, g: Encoder, data: Source, heldout: Source | None = None, **options: Any) -> ScoreResult:
    """How much f memorized of each sample, against g, which did not see it: `score_models` of {"f": f, "g": g}.

    Raises:
        VestigeError: f and g are the same model, or as `score_models`.
    """
    if f.fingerprint == g.fingerprint:
        raise VestigeError("f and g are the same model, and a model is not contrasted with itself: give two")
    return score_models({"f": f, "g": g}, data, heldout, **options)


def score_models(
    encoders: Mapping[str, Encoder],
    data: Source,
    heldout: Source | None = None,
    *,
    metrics: Sequence[str] = ("clipmem",),
    embedding: EmbeddingConfig | None = None,
    membership: Design | None = None,
    public: Source | None = None,
    recovery: RecoveryConfig | None = None,
    null: Sequence[str] = NULL,
    directory: Path | None = None,
    seed: int = 0,
) -> ScoreResult:
    """Score samples with any number of models.

    Args:
        encoders: the models by name; with two, the first saw the samples and the second did not.
        data: the samples to score.
        heldout: samples that no model saw; their own scores, in the role `external`, are the null. Not needed where
            `membership` keeps samples of the data external.
        metrics: names among `ALL_METRICS`.
        embedding: how the samples are embedded.
        membership: which of the data each model saw, where that is not "all by the first, none by the second"; its
            models in the order of `encoders`. UnitMem is taken over what a model saw, or over all without it.
        public: for `dejavu`, samples with objects that no model saw.
        recovery: how `dejavu` recovers objects.
        null: the roles whose scores are the null of the p-values.
        directory: where to keep the embeddings; a call that was killed goes on from there.
        seed: of the views.

    Returns:
        `ScoreResult`; its table has a row for every sample of `data` that could be read, then one for every held-out
        sample, its key led by `heldout:`.

    Raises:
        VestigeError: a held-out sample is among the data, nothing is held out, a metric that does not exist or lacks
            what it needs, or a membership of other samples or models.
    """
    unknown = [name for name in metrics if name not in ALL_METRICS]
    if unknown or not metrics:
        raise VestigeError(f"unknown metric {', '.join(unknown) or '(none given)'}: known are {', '.join(ALL_METRICS)}")
    if DEJAVU in metrics and public is None:
        raise VestigeError("dejavu needs a public set, samples with objects that no model saw: name one with --public")
    if heldout is not None:
        _no_overlap(data, heldout, "the held-out set", "held-out samples are seen by no model")
    if DEJAVU in metrics and public is not None:
        _no_overlap(data, public, "the public set", "public samples are seen by no model")
    config = embedding or EmbeddingConfig()
    watched = watched_samples(encoders, data, membership) if UNITMEM in metrics else None
    with TemporaryDirectory() if directory is None else nullcontext(directory) as folder:
        place = Path(folder)
        stores = embed(encoders, data, place / "data", config, seed=seed, watched=watched)
        away = None
        if heldout is not None:
            away = embed(encoders, heldout, place / "heldout", config, seed=seed, label="embedding held-out")
        test = None
        if DEJAVU in metrics and public is not None:
            # Views are for targets; public samples are looked up as they are.
            plain = replace(config, views=0, captions="first")
            kept = embed(encoders, public, place / "public", plain, seed=seed, label="embedding public")
            test = ObjectRecoveryTest(kept, _objects(public), _objects(data), recovery or RecoveryConfig())
        more = {} if test is None else {DEJAVU: test.metric()}
        if LABELMEM in metrics:
            more[LABELMEM] = LabelTest.of(
                encoders, {"": data} | ({} if heldout is None else {HELD_OUT: heldout})
            ).metric()
        result = score_embeddings(stores, away, metrics=metrics, membership=membership, null=null, more=more)
        if test is not None and public is not None:
            result = replace(result, retrieved=retrieved(result.table, stores, test, data, public))
        if UNITMEM in metrics:
            result = _with_units(result, stores, data.keys())
    captions = {sample.key: sample.captions for sample in data.samples(data.keys())}
    if heldout is not None:
        captions |= {HELD_OUT + sample.key: sample.captions for sample in heldout.samples(heldout.keys())}
    keys = result.table["key"].to_pylist()
    table = result.table.append_column(
        "caption", pa.array([next(iter(captions[key]), "") for key in keys], pa.string())
    )
    return replace(result, table=table.append_column("planted", pa.array([False] * len(keys), pa.bool_())))


def score_embeddings(
    data: Mapping[str, Embeddings],
    heldout: Mapping[str, Embeddings] | None = None,
    *,
    metrics: Sequence[str] = ("clipmem",),
    membership: Design | None = None,
    null: Sequence[str] = NULL,
    more: Mapping[str, Metric] | None = None,
) -> ScoreResult:
    """`score_models`, from embeddings: of the data and of the held-out set, by the name of the model.

    Args:
        data: by model; the first is f, the second g. More models need a `membership`.
        heldout: by model, of samples that no model saw; or None where `membership` keeps samples external.
        metrics: names among `ALL_METRICS`; `unitmem` has no columns here, its state lies in a store.
        membership: which of the data each model saw, its models in the order of `data`.
        null: the roles whose scores are the null of the p-values.
        more: metrics made for these samples, by name: `labelmem`, `dejavu`.

    Raises:
        VestigeError: nothing is held out, embeddings of other samples than the membership's, or of other models.
    """
    names = tuple(data)
    if heldout is not None and set(heldout) != set(names):
        raise VestigeError(
            f"embeddings of the data are of {', '.join(names)}, of the held-out set of {', '.join(heldout)}"
        )
    keys, groups, member = _membership(membership, names, all_keys(data[names[0]]))
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
    contrasted = [name for name in metrics if name in METRICS]
    chosen = metrics_named(contrasted) if contrasted else {}
    chosen |= more or {}
    needed = any(metric.needs_heldout for metric in chosen.values())
    rows = Heldout((), {})
    if needed:
        rows = heldout_rows(joined, away) if away or membership is None else heldout_of(joined, design)
    alignments = align(joined, rows, design, {name: chosen[name] for name in metrics if name in chosen})
    scored = {name: own for name, own in alignments.columns.items() if name not in RECOVERY_PARTS}
    table = score_table(design, replace(alignments, columns=scored), null=null)
    if SUSPICION in metrics:
        table = with_suspicion(table, joined, design)
    return ScoreResult(tuple(scored), table, {}, object_gaps(alignments, design) if DEJAVU in chosen else None)


def object_gaps(alignments: Alignments, design: Design) -> dict[str, Any]:
    """Deja Vu of the candidates: what the first model recovers of their objects beyond the second.

    Returns:
        `population`: PPG, PRG and AUCG with standard errors, of the candidates and, as null, of the external samples;
        `samples`: by order ("distance", "correct", "gap") the mean gaps over the top samples with the interval of
        their null. Empty for a role without samples that have objects.
    """
    role = dict(zip(design.keys, design.roles(), strict=True))
    found: dict[str, Any] = {"population": {}, "samples": {}}
    for chosen in (Role.CANDIDATE, Role.EXTERNAL):
        at = [row for row, key in enumerate(alignments.keys) if role[key] == chosen]
        a, b = (rows_of(recovery_of(alignments.columns, model), at) for model in (0, 1))
        if not len(at) or bool(a.recall.isnan().all()):
            continue
        found["population"][str(chosen)] = _plain(population_gaps(a, b))
        if chosen == Role.CANDIDATE:
            distance = alignments.columns["dejavu_distance"][0, at]
            for order in ("distance", "correct", "gap"):
                gaps = sample_gaps(a, b, order=order, distance=distance if order == "distance" else None)
                found["samples"][order] = _plain(gaps)
    return found


def _plain(value: Any) -> Any:
    """Results of metrics as what JSON holds; NaN is None."""
    if isinstance(value, torch.Tensor):
        return [_plain(item) for item in value.tolist()]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, int | str) or value is None:
        return value
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return {name: _plain(getattr(value, name)) for name in value.__slots__}


def _with_units(result: ScoreResult, stores: Mapping[str, EmbeddingStore], keys: Sequence[str]) -> ScoreResult:
    units = {model: unit_table(store.units(), keys) for model, store in stores.items()}
    table = result.table
    for model, own in units.items():
        counts = units_of_samples(own, table["key"].to_pylist())
        table = table.append_column(f"units_{model}", pa.array(counts, pa.int32()))
    return replace(result, table=table, units=units)


def watched_samples(
    encoders: Mapping[str, Encoder], data: Source, membership: Design | None
) -> dict[str, Sequence[str]]:
    """The samples over which each model's units are watched: what it saw."""
    if membership is None:
        return dict.fromkeys(encoders, data.keys())
    return {
        name: [key for key, saw in zip(membership.keys, row, strict=True) if saw]
        for name, row in zip(encoders, membership.member, strict=True)
    }


def _objects(source: Source) -> dict[str, tuple[str, ...]]:
    return {sample.key: sample.objects for sample in source.samples(source.keys())}


def _membership(
    membership: Design | None, names: Sequence[str], keys: Sequence[str]
) -> tuple[Sequence[str], Sequence[str], np.ndarray]:
    """Keys and groups [N], and who saw what [M, N]: of the design, or all by the first model and none by the second."""
    if membership is None:
        if len(names) != 2:
            raise VestigeError(f"{len(names)} models need a membership that says which of them saw what")
        return keys, keys, np.stack([np.ones(len(keys), dtype=np.bool_), np.zeros(len(keys), dtype=np.bool_)])
    if len(membership.models) != len(names):
        raise VestigeError(f"the membership is of {len(membership.models)} models, and {len(names)} are given")
    rows = positions(keys, membership.keys)
    unknown = list(compress(keys, rows < 0))
    if unknown:
        raise VestigeError(
            f"{len(unknown)} of {len(keys)} samples are not in the membership, the first is {unknown[0]!r}: give the"
            " membership of these data"
        )
    # Its own keys, not those given: text that is there already.
    own, groups = ([text[row] for row in rows.tolist()] for text in (membership.keys, membership.groups))
    return own, groups, membership.member[:, rows]


def _no_overlap(data: Source, others: Source, name: str, why: str) -> None:
    """A key may stand in both for different samples (0001.jpg); the same sample may not."""
    both = set(data.keys()) & set(others.keys())
    shared = [key for key in others.keys() if key in both]
    for one, other in zip(data.samples(shared), others.samples(shared), strict=True):
        if one.captions == other.captions and _content(one) == _content(other):
            raise VestigeError(f"{name} and the data share the sample {one.key!r}: {why}")


def _content(sample: Sample) -> list[str]:
    try:
        return [content_of(medium) for medium in sample.media.values()]
    except UnreadableMedia:
        return []
