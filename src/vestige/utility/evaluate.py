"""What models are still good for: tasks by name, on any source, for any encoder."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from vestige.data import Source
from vestige.embeddings import EmbeddingConfig
from vestige.errors import VestigeError
from vestige.models import Encoder
from vestige.utility.embedded import Embedder, Part
from vestige.utility.facts import facts_of
from vestige.utility.figures import Figure
from vestige.utility.job import Found, Job
from vestige.utility.probe_task import probe_figures
from vestige.utility.prompts import Prompts
from vestige.utility.retrieval_task import retrieval_figures
from vestige.utility.settings import UtilityConfig
from vestige.utility.zero_shot_task import zero_shot_figures

RUNNERS: Mapping[str, Callable[[Mapping[str, Encoder], Job], Found]] = {
    "probe": probe_figures,
    "zero-shot": zero_shot_figures,
    "retrieval": retrieval_figures,
}


def task_named(name: str) -> str:
    """The name, where it is that of a task.

    Raises:
        VestigeError: no such task.
    """
    if name not in RUNNERS:
        raise VestigeError(f"unknown task {name!r}: known are {', '.join(RUNNERS)}")
    return name


def evaluate_encoder(
    encoder: Encoder,
    source: Source,
    task: str,
    *,
    train: Source | None = None,
    config: UtilityConfig | None = None,
    prompts: Prompts | None = None,
    embedding: EmbeddingConfig | None = None,
    directory: Path | None = None,
    data: str = "data",
) -> list[Figure]:
    """Figures of one model on one source. See to it that the model saw none of the samples it is tested on.

    Args:
        encoder: the model.
        source: the samples it is tested on; for a probe without `train`, divided by groups.
        task: probe, zero-shot or retrieval.
        train: the samples a probe is trained on.
        config: how.
        prompts: the words of classes.
        embedding: batch size and device.
        directory: where to keep the embeddings; a call that was killed goes on from there.
        data: the name of the source in the figures.

    Raises:
        VestigeError: samples or a model that do not fit the task.
    """
    task_named(task)
    with TemporaryDirectory() if directory is None else nullcontext(directory) as folder:
        job = Job(
            data,
            Part(source, facts_of(source)),
            None if train is None else Part(train, facts_of(train)),
            config or UtilityConfig(),
            prompts or Prompts(),
            Embedder(Path(folder), embedding or EmbeddingConfig()),
        )
        return next(iter(RUNNERS[task]({"model": encoder}, job)))[1]
