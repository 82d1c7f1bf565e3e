"""Time and memory of scoring from disk, as the samples grow: `python benchmarks/growth.py`.

Embeddings of two models and two modalities of 512 dimensions, in half precision, are written to a temporary folder;
`vestige score` reads them in a process of its own, whose time (after imports) and peak memory (on Linux) are taken.
"""

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import save_file
from torch.nn.functional import normalize

from vestige.designs import Design
from vestige.files import write_json, write_table

WIDTH, EXTERNAL, SHARD = 512, 5000, 4096
SIZES = (10_000, 100_000, 1_000_000)

MEASURED = """
import json, sys, time
from vestige.scorefiles import ScoreConfig, score_files
from pathlib import Path
def peak():
    # Of this program alone: ru_maxrss would count what the process that started it held.
    with open("/proc/self/status") as lines:
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
before = peak()
start = time.perf_counter()
folder = Path(sys.argv[1])
stores = {"f": folder / "f", "g": folder / "g", "membership": folder / "membership.parquet"}
score_files(ScoreConfig(**stores, out=folder / "scores.parquet"))
print(json.dumps({"seconds": time.perf_counter() - start, "before": before, "peak": peak()}))
"""


def write(folder: Path, samples: int) -> None:
    """Stores of two models, and a membership with the last samples external."""
    keys = [f"{number:09d}" for number in range(samples)]
    external = min(EXTERNAL, samples // 2)
    member = np.ones((2, samples), dtype=bool)
    member[:, samples - external :] = False
    member[1, : samples // 10] = False
    Design("roles", tuple(keys), tuple(keys), ("f", "g"), member, (0, 0), 0).save(folder / "membership.parquet")
    for seed, model in enumerate("fg"):
        generator = torch.Generator().manual_seed(seed)
        (folder / model).mkdir()
        starts = range(0, samples, SHARD)
        for number, start in enumerate(starts):
            rows = min(SHARD, samples - start)
            tensors = {
                name: normalize(torch.randn(rows, WIDTH, generator=generator), dim=1).half()
                for name in ("image", "text")
            }
            save_file(tensors, folder / model / f"{number:05d}.safetensors")
            table = pa.table({"key": keys[start : start + rows], "reason": pa.nulls(rows, pa.string())})
            write_table(folder / model / f"{number:05d}.parquet", table)
        write_json(folder / model / "about.json", {"shards": len(starts), "modalities": ["image", "text"]})


def measure(samples: int) -> dict[str, float]:
    """Seconds, and bytes of memory before and at the peak, of scoring this many samples."""
    with TemporaryDirectory() as name:
        write(Path(name), samples)
        size = sum(path.stat().st_size for path in Path(name).rglob("*.safetensors"))
        done = subprocess.run([sys.executable, "-c", MEASURED, name], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1]) | {"bytes": size}


def report(sizes: Sequence[int]) -> None:
    """A row for each number of samples."""
    title = f"scoring from disk: clipmem, 2 models x 2 modalities x {WIDTH} x float16, {EXTERNAL:,} held out"
    table = Table("samples", title=title)
    for column in ("on disk (GB)", "seconds", "times the row above", "peak memory (GB)", "of it before scoring (GB)"):
        table.add_column(column, justify="right")
    last = math.nan
    for samples in sizes:
        found = measure(samples)
        grown = "" if math.isnan(last) else f"{found['seconds'] / last:.1f}x"
        sizes_in_gb = [f"{found[name] / 1e9:.2f}" for name in ("bytes", "peak", "before")]
        table.add_row(f"{samples:,}", sizes_in_gb[0], f"{found['seconds']:.2f}", grown, *sizes_in_gb[1:])
        last = found["seconds"]
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", type=int, nargs="*", default=SIZES)
    report(parser.parse_args().samples)
