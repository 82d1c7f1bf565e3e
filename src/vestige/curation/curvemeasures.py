"""What the points of a removal curve are measured on: what the first model is good for, and what it memorized.

- `retrieval`: among the run's own held-out samples;
- `probe:SOURCE`, `zero-shot:SOURCE`: as `vestige evaluate` does it (`vestige.evaluation`);
- always the mean memorization of what the first model still saw.

Of a source those samples are tested on that no model of the run saw, at every point: a sample that was taken out does
not join them, or two points would be measured on different samples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vestige.curation.ranking import MEMORIZATION
from vestige.data import FORMATS
from vestige.designs import Design
from vestige.embeddings import EmbeddingConfig
from vestige.errors import VestigeError
from vestige.evaluated import Models, evaluated_parts
from vestige.evaluation import figures_claimed, kept_at, task_rows
from vestige.files import read_json, read_table
from vestige.leakage import Seen
from vestige.models.blueprint import load_encoder
from vestige.openrun import OpenRun
from vestige.utility.embedded import Embedder, Part
from vestige.utility.job import Job
from vestige.utility.prompts import Prompts
from vestige.utility.settings import UtilityConfig

RETRIEVAL = "retrieval"
ON_SOURCES = ("probe", "zero-shot")


@dataclass(frozen=True)
class CurveTask:
    """A task, and the source it is done on; None for the run's own held-out samples."""

    task: str
    source: str | None = None


def tasks_named(names: str) -> list[CurveTask]:
    """Tasks from one string; a comma within the name of a source (webdataset:a.tar,b.tar) does not part it.

    Raises:
        VestigeError: none, an unknown task, a source that is missing or one too many.
    """
    found: list[CurveTask] = []
    for piece in names.split(","):
        task, colon, source = piece.strip().partition(":")
        last = found[-1] if found else None
        if task in ON_SOURCES and source:
            found.append(CurveTask(task, source))
        elif task in ON_SOURCES:
            raise VestigeError(f"--task {task}: name the source it is done on, as {task}:fashion-mnist")
        elif task == RETRIEVAL and not colon:
            found.append(CurveTask(RETRIEVAL))
        elif last is not None and last.source is not None and last.source.partition(":")[0] in FORMATS:
            found[-1] = CurveTask(last.task, f"{last.source},{piece}")
        else:
            raise VestigeError(
                f"--task is {RETRIEVAL}, {' or '.join(f'{task}:SOURCE' for task in ON_SOURCES)}, joined by commas, not"
                f" {piece.strip()!r}"
            )
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Measures:
    """What is measured, with the samples it is measured on.

    Attributes:
        design: of the run.
        tasks: what the first model is measured on.
        parts: by source, the samples that are tested on, and those that a probe is trained on where they are others.
        device: where models compute.
    """

    design: Design
    tasks: Sequence[CurveTask]
    parts: Mapping[str, tuple[Part, Part | None]]
    device: str

    @classmethod
    def of(cls, tasks: Sequence[CurveTask], run: OpenRun, directory: Path) -> "Measures":
        """Open the sources, and look for what the models of the run have seen of them.

        Raises:
            VestigeError: no such source, or the run was trained on all of it.
        """
        sources = dict.fromkeys(task.source for task in tasks if task.source is not None)
        seen = Seen.by(directory, run.design) if sources else None
        models = Models(run.encoders, directory, run.config, seen)
        parts = {source: evaluated_parts(source, {}, models) for source in sources}
        return cls(run.design, tasks, parts, run.config.embedding.device)

    def at(self, folder: Path) -> dict[str, float]:
        """All measures of the finished run in a folder, by name."""
        found = self._retrieval(folder) if CurveTask(RETRIEVAL) in self.tasks else {}
        found |= self.on_sources(folder)
        own = Design.load(folder / "membership.parquet")
        seen = dict(zip(own.keys, own.member[0].tolist(), strict=True))
        scores = read_table(folder / "scores.parquet", ["key", MEMORIZATION])
        rows = zip(scores["key"].to_pylist(), scores[MEMORIZATION].to_pylist(), strict=True)
        values = [value for key, value in rows if seen[key] and value is not None]
        if values:
            found[MEMORIZATION] = float(np.mean(values))
        return found

    def on_sources(self, folder: Path) -> dict[str, float]:
        """What the first model of a folder is good for on the sources; figures are kept there, and made once.

        Raises:
            VestigeError: samples or a model that do not fit a task.
        """
        sourced = [(own.task, own.source) for own in self.tasks if own.source is not None]
        if not sourced:
            return {}
        first = self.design.models[0]
        encoder = load_encoder(folder / "models" / first, device=self.device)
        rows: list[dict[str, Any]] = []
        with figures_claimed(folder):
            for task, source in sourced:
                embedder = Embedder(kept_at(folder, source, {}), EmbeddingConfig(device=self.device))
                job = Job(source, *self.parts[source], UtilityConfig(), Prompts(), embedder)
                rows += task_rows(job, task, {first: encoder})
        return {f"{row['task']} {row['data']} {row['measure']}": row["value"] for row in rows}

    def _retrieval(self, folder: Path) -> dict[str, float]:
        """What the first model retrieves among the held-out samples."""
        retrieval: Mapping[str, Any] | None = read_json(folder / "summary.json")["retrieval"]
        if retrieval is None:
            return {}
        a, b = retrieval["pair"]
        found: dict[str, float] = {}
        for name, value in retrieval["models"][self.design.models[0]].items():
            queries, targets = (a, b) if name[0] == b[0].upper() else (b, a)
            found[f"{name} {queries}->{targets}"] = value
        return found
