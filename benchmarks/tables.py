"""Time and memory of opening and reading a table of captions, as its rows grow: `python benchmarks/tables.py`.

The table (`filepath<TAB>title`, 10 million rows make 0.9 GB) is written to a temporary folder and read in a process of
its own, whose time (after imports) and peak memory (on Linux) are taken. Pictures are not there and not looked at.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

SIZES = (100_000, 1_000_000, 10_000_000)

MEASURED = """
import json, random, sys, time
from itertools import islice
from vestige.data import open_source
def peak():
    # Of this program alone: ru_maxrss would count what the process that started it held.
    with open("/proc/self/status") as lines:
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
def took(name, work):
    start = time.perf_counter()
    result = work()
    seconds[name] = time.perf_counter() - start
    return result
before, seconds = peak(), {}
source = took("open", lambda: open_source(sys.argv[1], **json.loads(sys.argv[2])))
keys = source.keys()
assert took("keys", lambda: sum(1 for _ in keys)) == len(source)
some = min(len(source), 1_000_000)
assert took("samples", lambda: sum(1 for _ in islice(source.samples(keys), some))) == some
high = peak()
drawn = [keys[number] for number in random.Random(0).choices(range(len(source)), k=100_000)]
assert took("shuffled", lambda: sum(1 for _ in source.samples(drawn))) == len(drawn)
print(json.dumps({"seconds": seconds, "before": before, "peak": high, "some": some}))
"""


def write(path: Path, rows: int, quoted: bool) -> None:
    """A table of distinct pictures; one caption in a hundred is in quotes and holds a line break."""
    with path.open("w", encoding="utf-8") as file:
        file.write("filepath\ttitle\n")
        for row in range(rows):
            caption = f"a photograph of thing {row % 977} beside thing {row % 1013}, seen at noon"
            if quoted and row % 100 == 0:
                caption = f'"{caption}\nand said to be ""fine"""'
            file.write(f"images/{row // 10_000:05d}/{row:09d}.jpg\t{caption}\n")


def measure(rows: int, quoted: bool, options: dict[str, str]) -> dict:
    """Seconds of each part, and bytes of memory before and at the peak."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.csv"
        write(path, rows, quoted)
        command = [sys.executable, "-c", MEASURED, f"csv:{path}", json.dumps(options)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return json.loads(done.stdout) | {"bytes": path.stat().st_size}


def report(sizes: Sequence[int], quoted: bool, options: dict[str, str]) -> None:
    """A row for each size: seconds for all keys, and for samples in order and shuffled."""
    columns = ["rows", "file, GB", "open, s", "all keys, s", "1M samples, s", "100k shuffled, s", "peak, MB", "of it"]
    table = Table(*columns, title="captions from a csv; `of it`: imports")
    for rows in sizes:
        figures = measure(rows, quoted, options)
        seconds, per = figures["seconds"], 1_000_000 / figures["some"]
        table.add_row(
            f"{rows:,}",
            f"{figures['bytes'] / 1e9:.2f}",
            f"{seconds['open']:.1f}",
            f"{seconds['keys']:.1f}",
            f"{seconds['samples'] * per:.1f}",
            f"{seconds['shuffled']:.1f}",
            f"{figures['peak'] / 1e6:.0f}",
            f"{figures['before'] / 1e6:.0f}",
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--quoted", action="store_true", help="some captions in quotes, with line breaks")
    parser.add_argument("--merge", action="store_true", help="with repeated_keys=merge, which keeps more of a row")
    arguments = parser.parse_args()
    report(arguments.sizes, arguments.quoted, {"repeated_keys": "merge"} if arguments.merge else {})
