"""What scoring costs beside the encoders: `python benchmarks/encoders.py`.

What `vestige score` does with two checkpoints once they are loaded (reading and decoding pictures, both models, the
metric, the table) against the bare forward passes of both models on the same batches, already decoded and in memory.
The ratio falls with the size of the model: decoding costs the same for all. And what `vestige score` does with a run,
whose samples training has decoded and kept as canvases.
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
from vestige.data.canvases import canvas_of
from vestige.data.catalogue import open_canvases, read_catalogue
from vestige.data.decoded import DecodedSource
from vestige.data.examples import Examples
from vestige.data.subset import Subset
from vestige.models import openclip
from vestige.models.architectures import Architecture, architecture

# Enough samples that what is paid once (a few files) does not count; few enough for two cores.
SIZES = {"nano": 3584, "tiny": 1792, "small": 1024, "ViT-B-32": 96}
BATCH = 64
REPETITIONS = 3


def measure(name: str, samples: int, repetitions: int) -> tuple[float, float, float]:
    """Median seconds (of scoring, of scoring what is decoded, of the bare forward passes), measured in turn."""
    description = architecture(name)
    f, g = (OpenCLIPEncoder(openclip.build(description, seed=seed), description) for seed in (1, 2))
    source = open_source("twemoji")
    keys = list(source.keys())
    data, heldout = Subset(source, keys[:samples]), Subset(source, keys[samples : samples + max(32, samples // 10)])
    batches = prepared(f, data) + prepared(f, heldout)
    whole, kept, bare = [], [], []
    with TemporaryDirectory() as folder:
        canvases = [
            decoded(f, description, own, Path(folder) / str(number)) for number, own in enumerate((data, heldout))
        ]
        for _ in range(repetitions):
            whole.append(scored(f, g, data, heldout))
            kept.append(scored(f, g, *canvases))
            start = time.perf_counter()
            for batch in batches:
                f.encode(batch)
                g.encode(batch)
            bare.append(time.perf_counter() - start)
    return statistics.median(whole), statistics.median(kept), statistics.median(bare)


def scored(f: OpenCLIPEncoder, g: OpenCLIPEncoder, data: Source, heldout: Source) -> float:
    """Seconds that scoring takes."""
    with TemporaryDirectory() as folder:
        start = time.perf_counter()
        score(f, g, data, heldout, embedding=EmbeddingConfig(batch_size=BATCH), directory=Path(folder))
        return time.perf_counter() - start


def decoded(encoder: OpenCLIPEncoder, description: Architecture, source: Source, folder: Path) -> DecodedSource:
    """A source with its canvases, as training leaves them."""
    kinds = {modality: canvas_of(read) for modality, read in encoder.inputs.items()}
    catalogue = read_catalogue(source, folder, kinds)
    canvases = open_canvases(source, catalogue, folder, kinds)
    tokenize = openclip.tokenizer(description)
    examples = Examples(catalogue.keys, encoder.inputs, canvases, catalogue.sizes, catalogue.captions, tokenize)
    return DecodedSource(Subset(source, catalogue.keys), examples)


def prepared(encoder: OpenCLIPEncoder, source: Source) -> list[dict]:
    """The batches of a source, decoded, as the encoder takes them."""
    tensors = [encoder.prepare(sample, None) for sample in source.samples(source.keys())]
    parts = [tensors[start : start + BATCH] for start in range(0, len(tensors), BATCH)]
    return [{modality: torch.stack([own[modality] for own in part]) for modality in part[0]} for part in parts]


def report(repetitions: int) -> None:
    """A row for each model."""
    title = f"scoring against bare forward passes: twemoji, clipmem, two models, {torch.get_num_threads()} threads"
    table = Table("model", title=title)
    for column in ("samples", "scoring (s)", "decoded once (s)", "forward passes (s)", "ratio", "ratio, decoded once"):
        table.add_column(column, justify="right")
    for name, samples in SIZES.items():
        whole, kept, bare = measure(name, samples, repetitions)
        seconds, ratios = (whole, kept, bare), (whole / bare, kept / bare)
        table.add_row(name, f"{samples:,}", *(f"{own:.2f}" for own in (*seconds, *ratios)))
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    report(parser.parse_args().repetitions)
