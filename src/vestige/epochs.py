"""Memorization and utility over the epochs of a training, from the models that were kept on the way.

A row of `epochs.parquet` is a number after an epoch:

    epoch, role, metric, mean, low, high

with the mean score of the samples of a role and its 95% interval (groups taken as units), and for the role `heldout`
the retrieval rates of each model among the held-out samples (`f T@1`, ...), with Wilson's interval, as if the pairs
were independent. Embeddings are taken without views, so the numbers of the last epoch differ from those of the report
where that has views.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from vestige.alignments import align, heldout_rows, metrics_named
from vestige.config import RunConfig
from vestige.embeddings import EmbeddingStore, embed
from vestige.files import read_table, remove, write_table
from vestige.material import Material
from vestige.models import CanvasEncoder
from vestige.models.blueprint import load_encoder
from vestige.scores import score_table
from vestige.summary import held_out_retrieval, means_by_role
from vestige.training.job import EPOCHS
from vestige.unseen import heldout_of
from vestige.utility.shares import wilson

FILE = "epochs.parquet"
SCHEMA = pa.schema(
    [
        ("epoch", pa.int64()),
        ("role", pa.string()),
        ("metric", pa.string()),
        ("mean", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
    ]
)
HELDOUT = "heldout"


def score_epochs(material: Material, config: RunConfig, metrics: Sequence[str], directory: Path) -> pa.Table | None:
    """Score the epochs whose models a run has kept; what was scored is not scored again.

    Args:
        material: what the run trained on.
        config: of the run.
        metrics: the run's; SSLMem is left out, for it compares views.
        directory: of the run.

    Returns:
        The table; None if no epoch was kept. Epochs that only some of the models reached are left out.
    """
    if (directory / FILE).exists():
        return read_table(directory / FILE)
    names = material.design.models
    kept = kept_epochs(directory, names)
    if not kept:
        return None
    parts = []
    for folder in kept:
        path = folder / "figures.parquet"
        if not path.exists():
            encoders = {n: load_encoder(folder / n, device=config.embedding.device) for n in names}
            rows = figures(encoders, material, config, metrics, folder / "embeddings", f"epoch {int(folder.name)}")
            write_table(path, pa.Table.from_pylist([{"epoch": int(folder.name), **row} for row in rows], SCHEMA))
            # Models stay; what was made of them can be made again.
            remove(folder / "embeddings")
        parts.append(read_table(path))
    table = pa.concat_tables(parts)
    write_table(directory / FILE, table)
    return table


def kept_epochs(directory: Path, models: Sequence[str]) -> list[Path]:
    """The folders of the epochs that a run has kept of all these models, in order; each is named by its number."""
    folders = sorted((directory / EPOCHS).glob("[0-9]*"))
    return [folder for folder in folders if all((folder / name).is_dir() for name in models)]


def figures(
    encoders: Mapping[str, CanvasEncoder],
    material: Material,
    config: RunConfig,
    metrics: Sequence[str],
    directory: Path,
    label: str = "embedding",
) -> list[dict[str, Any]]:
    """The rows of one epoch, without `epoch`; embeddings go to `directory`."""
    without_views = replace(config.embedding, views=0, captions="first")
    stores = embed(encoders, material.samples, directory, without_views, seed=config.seed, label=label)
    used = [name for name in metrics if name != "sslmem"] or ["multimem"]
    heldout = heldout_of(stores, material.design)
    alignments = align(stores, heldout, material.design, metrics_named(used))
    scores = score_table(material.design, alignments, null=config.null)
    rows = [
        {"role": role, "metric": metric, "mean": own["mean"], "low": own["low"], "high": own["high"]}
        for metric, by_role in means_by_role(scores, used).items()
        for role, own in by_role.items()
        if own["mean"] is not None
    ]
    return rows + (list(_retrieval(stores, material)) if material.external() else [])


def _retrieval(stores: Mapping[str, EmbeddingStore], material: Material) -> Iterator[dict[str, Any]]:
    heldout = heldout_rows(stores, material.external())
    texts = dict(zip(material.catalogue.keys, material.catalogue.captions, strict=True))
    found = held_out_retrieval(heldout, [next(iter(texts[key]), "") for key in heldout.keys])
    if found is None:
        return
    n = found["n"]
    for name, rates in found["models"].items():
        for measure, rate in rates.items():
            low, high = wilson(rate, n)
            yield {"role": HELDOUT, "metric": f"{name} {measure}", "mean": rate, "low": low, "high": high}
