"""Pictures a second from archives and folders, beside OpenCLIP's loader and `datasets`: `python benchmarks/data.py`.

All read the same JPEGs (256 to 640 pixels, about as large as photographs) in the same order, in two threads or two
worker processes, and turn them into the same float tensors of 224 x 224 with OpenCLIP's transform; without texts. Each
pass runs in a process of its own, in turn with the others; its time is that of one epoch after imports, opening the
collection included (for `datasets` the table it writes first is not). Vestige's own side prepares pictures as its
encoders do, to the bits of OpenCLIP's transform. Then what Vestige does in training: the first pass, which decodes, and
epochs over the canvases that it keeps.

Needs `pip install 'webdataset<=0.2.86' open_clip_torch[training] datasets`.
"""

import argparse
import io
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, cast

import numpy as np
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table

SIDE, BATCH, WORKERS, SHARD = 224, 64, 2, 250
PASSES = 5


def photograph(random: np.random.Generator) -> Image.Image:
    """Smooth colours, some shapes with edges, and a little noise."""
    width, height = (int(random.integers(256, 641)) for _ in range(2))
    coarse = Image.fromarray(random.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    picture = coarse.resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    for _ in range(12):
        x, y = int(random.integers(0, width)), int(random.integers(0, height))
        shape = draw.ellipse if random.random() < 0.5 else draw.rectangle
        far = (x + int(random.integers(9, 200)), y + int(random.integers(9, 200)))
        shape((x, y, *far), fill=tuple(random.integers(0, 256, 3).tolist()))
    grain = random.normal(0, 6, (height, width, 1))
    return Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8))


def write(folder: Path, count: int) -> int:
    """The pictures as archives and as a folder with metadata; the bytes of all JPEGs."""
    import tarfile

    random = np.random.default_rng(0)
    (folder / "tars").mkdir()
    (folder / "pictures").mkdir()
    total = 0
    with (folder / "pictures" / "metadata.jsonl").open("w", encoding="utf-8") as lines:
        for first in range(0, count, SHARD):
            with tarfile.open(folder / "tars" / f"{first // SHARD:05d}.tar", "w") as tar:
                for number in range(first, min(first + SHARD, count)):
                    stream = io.BytesIO()
                    photograph(random).save(stream, "JPEG", quality=90)
                    for ending, data in (("jpg", stream.getvalue()), ("txt", f"picture {number}".encode())):
                        info = tarfile.TarInfo(f"{number:09d}.{ending}")
                        info.size = len(data)
                        tar.addfile(info, io.BytesIO(data))
                    (folder / "pictures" / f"{number:09d}.jpg").write_bytes(stream.getvalue())
                    lines.write(json.dumps({"file_name": f"{number:09d}.jpg", "text": f"picture {number}"}) + "\n")
                    total += len(stream.getvalue())
    return total


def transform() -> Callable[..., Any]:
    from open_clip.transform import image_transform

    return cast("Any", image_transform(SIDE, is_train=False))


def vestige(spec: str) -> Iterable:
    """As `vestige score` reads pictures: whole, for a checkpoint somebody trained."""
    from concurrent.futures import ThreadPoolExecutor
    from itertools import islice

    import torch
    from open_clip.transform import PreprocessCfg

    from vestige.ahead import ahead
    from vestige.data import open_source
    from vestige.data.media import decode_picture
    from vestige.models.openclip_inputs import picture_transform
    from vestige.samples import Modality, Sample

    # What `OpenCLIPEncoder` prepares pictures with: the bits of OpenCLIP's transform.
    prepare = picture_transform(PreprocessCfg(size=SIDE))
    source = open_source(spec)
    with ThreadPoolExecutor(WORKERS) as pool:
        samples = source.samples(source.keys())

        def made(some: Sequence[Sample]) -> torch.Tensor:
            pictures = (sample.media[Modality.IMAGE] for sample in some)
            return torch.stack(list(pool.map(lambda medium: prepare(decode_picture(medium)), pictures)))

        yield from ahead(made, iter(lambda: list(islice(samples, BATCH)), []))


def openclip(folder: Path) -> Iterable:
    """OpenCLIP's own loader of archives, as it evaluates (all samples once, in order)."""
    from types import SimpleNamespace

    import torch
    from open_clip_train.data import get_wds_dataset

    shards = len(list((folder / "tars").iterdir()))
    arguments = SimpleNamespace(
        val_data=f"{folder}/tars/{{00000..{shards - 1:05d}}}.tar",
        val_num_samples=None,
        batch_size=BATCH,
        workers=WORKERS,
    )
    no_text = torch.zeros(1, 1, dtype=torch.long)
    loader = get_wds_dataset(arguments, transform(), is_train=False, tokenizer=lambda _: no_text).dataloader
    for pictures, _ in loader:
        yield pictures


def datasets_loader(kind: str, folder: Path, column: str) -> Iterable:
    """A builder of `datasets`, through torch's loader; the table it writes first is not in the time."""
    from datasets import Dataset
    from torch.utils.data import DataLoader

    prepare = transform()

    def prepared(rows: Mapping) -> dict:
        return {"pixels": [prepare(picture.convert("RGB")) for picture in rows[column]]}

    data = prebuilt(kind, folder)
    assert isinstance(data, Dataset)
    # A data set of `datasets` is what torch calls one, though it does not say so.
    loader = DataLoader(cast("Any", data.with_transform(prepared)), batch_size=BATCH, num_workers=WORKERS)
    for batch in loader:
        yield batch["pixels"]


def prebuilt(kind: str, folder: Path):
    from datasets import load_dataset

    files = {"train": f"{folder}/tars/*.tar"} if kind == "webdataset" else None
    where = None if files else str(folder / "pictures")
    cache = str(folder / f"cache-{kind}")
    return load_dataset(kind, data_files=files, data_dir=where, split="train", cache_dir=cache)


CONTESTANTS: Mapping[str, Callable[[Path], Iterable]] = {
    "tar: vestige": lambda folder: vestige(f"webdataset:{folder / 'tars'}"),
    "tar: OpenCLIP": openclip,
    "tar: datasets": lambda folder: datasets_loader("webdataset", folder, "jpg"),
    "folder: vestige": lambda folder: vestige(f"imagefolder:{folder / 'pictures'}"),
    "folder: datasets": lambda folder: datasets_loader("imagefolder", folder, "image"),
}


IMPORTED: Mapping[str, Sequence[str]] = {
    "vestige": (
        "vestige.ahead",
        "vestige.data.formats.webdataset",
        "vestige.data.formats.mediafolders",
        "vestige.data.media",
        "vestige.models.openclip_inputs",
        # pyarrow loads these when first used.
        "pyarrow.compute",
        "pandas",
    ),
    "OpenCLIP": ("open_clip_train.data",),
    "datasets": ("datasets", "torch.utils.data"),
}


def race(name: str, folder: Path) -> dict[str, float]:
    """One pass: pictures a second, and memory."""
    import torch

    torch.set_num_threads(1)
    if "datasets" in name:
        prebuilt("webdataset" if name.startswith("tar") else "imagefolder", folder)
    transform()
    for module in IMPORTED[name.partition(": ")[2]]:
        import_module(module)
    start = perf_counter()
    count, checksum = 0, 0.0
    for pixels in CONTESTANTS[name](folder):
        assert tuple(pixels.shape[1:]) == (3, SIDE, SIDE)
        count += len(pixels)
        checksum += float(pixels.double().sum())
    return {
        "rate": count / (perf_counter() - start),
        "count": count,
        "checksum": checksum,
        "memory": memory(0 if "vestige" in name else WORKERS),
    }


def training(size: int, folder: Path) -> dict[str, float]:
    """The pass that decodes and keeps canvases, and epochs over them, for a model that sees `size` pixels."""
    from vestige.data import open_source
    from vestige.data.canvases import canvas_of
    from vestige.data.catalogue import open_canvases, read_catalogue
    from vestige.data.examples import Examples
    from vestige.data.inputs import PictureInput
    from vestige.data.views import View
    from vestige.samples import Modality

    inputs = {Modality.IMAGE: PictureInput(size)}
    kinds = {modality: canvas_of(read) for modality, read in inputs.items()}
    start = perf_counter()
    source = open_source(f"webdataset:{folder / 'tars'}")
    with TemporaryDirectory() as kept:
        catalogue = read_catalogue(source, Path(kept), kinds)
        first = perf_counter() - start
        canvases = open_canvases(source, catalogue, Path(kept), kinds)
        examples = Examples(catalogue.keys, inputs, canvases, catalogue.sizes, catalogue.captions, None)
        seconds = []
        for epoch in range(3):
            start = perf_counter()
            order = np.random.default_rng(epoch).permutation(len(catalogue))
            for at in range(0, len(order), BATCH):
                examples.draw(order[at : at + BATCH], View(0, epoch))
            seconds.append(perf_counter() - start)
    count = len(catalogue)
    return {"first": count / first, "second": count / statistics.median(seconds), "memory": memory(0)}


def memory(workers: int) -> float:
    """Peak of this process and of its workers, which are alike (on Linux); pages they share count for each."""
    import resource

    with Path("/proc/self/status").open() as lines:
        own = 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return own + workers * 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


def apart(*arguments: str) -> dict[str, float]:
    """Run this file for one measurement."""
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def report(count: int, passes: int) -> None:
    console = Console(width=110)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        size = write(folder, count)
        for name in CONTESTANTS:
            apart("--one", name, "--folder", temporary)  # Fills caches of disk and libraries.
        found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTESTANTS}
        for _ in range(passes):
            for name, results in found.items():
                results.append(apart("--one", name, "--folder", temporary))
        title = f"{count:,} JPEGs of {size / count / 1e3:.0f} kB to float tensors of {SIDE} x {SIDE}; {passes} passes"
        table = Table("loader", "pictures/s", "least to most", "memory, MB", "mean of pixels", title=title)
        for name, results in found.items():
            rates = [result["rate"] for result in results]
            mean = results[0]["checksum"] / results[0]["count"] / (3 * SIDE**2)
            assert all(result["count"] == count for result in results)
            spread = f"{min(rates):.0f} to {max(rates):.0f}"
            peak = statistics.median(result["memory"] for result in results) / 1e6
            table.add_row(name, f"{statistics.median(rates):.0f}", spread, f"{peak:.0f}", f"{mean:.4f}")
        console.print(table)
        table = Table("model's pixels", "first pass", "epochs after it", "ratio", "memory, MB", title="in training")
        for side in (32, 64, SIDE):
            results = [apart("--training", str(side), "--folder", temporary) for _ in range(min(passes, 3))]
            first, second, peak = (
                statistics.median(one[key] for one in results) for key in ("first", "second", "memory")
            )
            table.add_row(str(side), f"{first:.0f}", f"{second:.0f}", f"{second / first:.1f}", f"{peak / 1e6:.0f}")
        console.print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--passes", type=int, default=PASSES)
    parser.add_argument("--one", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--training", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(race(chosen.one, chosen.folder)))
    elif chosen.training:
        print(json.dumps(training(chosen.training, chosen.folder)))
    else:
        report(chosen.count, chosen.passes)
