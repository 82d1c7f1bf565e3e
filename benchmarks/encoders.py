"""What scoring costs beside the encoders: `python benchmarks/encoders.py`.

What `vestige score` does with two checkpoints once they are loaded (reading and decoding pictures, both models, the
metric, the table) against the bare forward passes of both models on the same batches, already decoded and in memory.
The ratio falls with the size of the model: decoding costs the same for all.
"""

import argparse
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from rich.console import Console
from rich.table import Table

from vestige import EmbeddingConfig, OpenCLIPEncoder, Source, open_source, score
from vestige.data.subset import Subset
from vestige.models import openclip
from vestige.models.architectures import architecture

# Enough samples that what is paid once (a few files) does not count; few enough for two cores.
SIZES = {"nano": 3584, "tiny": 1792, "small": 1024, "ViT-B-32": 96}
BATCH = 64
REPETITIONS = 3


def measure(name: str, samples: int, repetitions: int) -> tuple[float, float]:
    """Median seconds (of scoring, of the bare forward passes), measured in turn."""
    description = architecture(name)
    f, g = (OpenCLIPEncoder(openclip.build(description, seed=seed), description) for seed in (1, 2))
    source = open_source("twemoji")
    keys = list(source.keys())
    data, heldout = Subset(source, keys[:samples]), Subset(source, keys[samples : samples + max(32, samples // 10)])
    batches = prepared(f, data) + prepared(f, heldout)
    whole, bare = [], []
    for _ in range(repetitions):
        with TemporaryDirectory() as folder:
            start = time.perf_counter()
            score(f, g, data, heldout, embedding=EmbeddingConfig(batch_size=BATCH), directory=Path(folder))
            whole.append(time.perf_counter() - start)
        start = time.perf_counter()
        for batch in batches:
            f.encode(batch)
            g.encode(batch)
        bare.append(time.perf_counter() - start)
    return statistics.median(whole), statistics.median(bare)


def prepared(encoder: OpenCLIPEncoder, source: Source) -> list[dict]:
    """The batches of a source, decoded, as the encoder takes them."""
    tensors = [encoder.prepare(sample, None) for sample in source.samples(source.keys())]
    parts = [tensors[start : start + BATCH] for start in range(0, len(tensors), BATCH)]
    return [{modality: torch.stack([own[modality] for own in part]) for modality in part[0]} for part in parts]


def report(repetitions: int) -> None:
    """A row for each model."""
    title = f"scoring against bare forward passes: twemoji, clipmem, two models, {torch.get_num_threads()} threads"
    table = Table("model", title=title)
    for column in ("samples", "scoring (s)", "forward passes (s)", "ratio"):
        table.add_column(column, justify="right")
    for name, samples in SIZES.items():
        whole, bare = measure(name, samples, repetitions)
        table.add_row(name, f"{samples:,}", f"{whole:.2f}", f"{bare:.2f}", f"{whole / bare:.2f}")
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    report(parser.parse_args().repetitions)
