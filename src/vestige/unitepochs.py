"""UnitMem over the epochs of a training, of the models that were kept on the way."""

from pathlib import Path

from vestige.embeddings import EmbeddingConfig, embed
from vestige.epochs import kept_epochs
from vestige.files import remove, write_table
from vestige.models.blueprint import load_encoder
from vestige.openrun import open_run
from vestige.scoring import watched_samples
from vestige.units import by_model, unit_table

FILE = "units.parquet"


def score_unit_epochs(directory: Path, embedding: EmbeddingConfig) -> list[Path]:
    """Watch the units of every epoch that a finished run has kept, over what each model saw.

    Args:
        directory: of the run.
        embedding: how the samples are embedded; with views, an activation is the mean over them.

    Returns:
        `epochs/<n>/units.parquet` of every such epoch: a row a unit (`vestige.units.unit_table`) with its `model`.

    Raises:
        VestigeError: no finished run lies there, or the units of its models cannot be watched.
    """
    run = open_run(directory)
    written = []
    for folder in kept_epochs(directory, run.design.models):
        encoders = {name: load_encoder(folder / name, device=embedding.device) for name in run.design.models}
        watched = watched_samples(encoders, run.samples, run.design)
        work, label = folder / ".units", f"units of epoch {int(folder.name)}"
        stores = embed(encoders, run.samples, work, embedding, seed=run.config.seed, watched=watched, label=label)
        keys = run.samples.keys()
        write_table(folder / FILE, by_model({name: unit_table(store.units(), keys) for name, store in stores.items()}))
        remove(work)
        written.append(folder / FILE)
    return written
