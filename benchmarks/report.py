"""How the report holds many samples: `python benchmarks/report.py [--candidates 5000]`. Needs Chromium and playwright.

A page of made-up scores and real pictures (twemoji, again and again, each on a ground of its own colour) is opened from
disk: seconds until the first card and until the charts are there, then frames while it is scrolled from top to bottom,
`SPEED` pixels a frame, and how many cards the page holds at a time. Chromium draws without a graphics card here, and
aims at 60 frames a second.
"""

import argparse
import io
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from rich.console import Console
from rich.table import Table

from vestige.data import open_source
from vestige.data.media import decode_picture
from vestige.data.memory import SampleList
from vestige.report.build import build_report
from vestige.samples import Modality, Sample
from vestige.summary import summarise

WIDTHS = {"phone": 390, "laptop": 1280, "wide": 1920}
SIDE = 160
SPEED = 200
SCROLL = """
speed => new Promise(done => {
  const times = [], cards = [];
  let last = performance.now();
  const frame = now => {
    times.push(now - last);
    last = now;
    cards.push(document.querySelectorAll(".card").length);
    const before = scrollY;
    scrollBy(0, speed);
    if (scrollY === before || times.length > 600) done([times.slice(1), Math.max(...cards)]);
    else requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
})
"""


def pictures(count: int) -> list[Sample]:
    """So many samples, no two of the same picture."""
    source = open_source("twemoji")
    keys = list(source.keys())[:count]
    colours = np.random.Generator(np.random.Philox(0)).integers(0, 256, (count, 3))
    drawn = [(decode_picture(s.media[Modality.IMAGE]).convert("RGBA"), s.captions) for s in source.samples(keys)]
    found = []
    for number in range(count):
        picture, captions = drawn[number % len(drawn)]
        ground = Image.new("RGBA", picture.size, (*colours[number].tolist(), 255))
        ground.alpha_composite(picture)
        file = io.BytesIO()
        ground.convert("RGB").resize((SIDE, SIDE)).save(file, "PNG")
        found.append(Sample(str(number), str(number), {Modality.IMAGE: file.getvalue()}, captions))
    return found


def page_of(candidates: int, out: Path) -> None:
    """A report of so many candidates, and a tenth of each other role."""
    counts = {"candidate": candidates, "independent": candidates // 10, "external": candidates // 10}
    role = [name for name, count in counts.items() for _ in range(count)]
    samples = pictures(len(role))
    generator = np.random.Generator(np.random.Philox(1))
    score = generator.normal([{"candidate": 0.3, "independent": -0.3, "external": 0.0}[own] for own in role], 0.2)
    columns: dict[str, Any] = {
        "key": [sample.key for sample in samples],
        "group": [sample.group for sample in samples],
        "role": role,
        "clipmem": score,
        "memorization": np.abs(score),
        "align_in": generator.normal(0.5, 0.1, len(role)),
        "align_out": generator.normal(0.2, 0.1, len(role)),
        "p_value": generator.random(len(role)),
        "q_value": generator.random(len(role)),
        "caption": [sample.captions[0] for sample in samples],
        "planted": generator.random(len(role)) < 0.01,
    }
    scores = pa.table(columns)
    told: Mapping[str, Any] = summarise(scores, ("f", "g")) | {
        **{"retrieval": None, "accuracy": None, "paradigm": "contrastive", "model": "nano", "data": "twemoji"},
        **{"skipped": 0, "seed": 0, "version": "", "command": "python benchmarks/report.py"},
    }
    build_report(scores, told, config="", out=out, samples=SampleList(samples).samples)


def measure(page: Page, file: Path) -> dict[str, float]:
    start = time.perf_counter()
    page.goto(file.as_uri(), wait_until="commit")
    page.locator(".card").first.wait_for(timeout=120_000)
    first = time.perf_counter() - start
    page.locator("html[data-drawn]").wait_for(state="attached", timeout=120_000)
    drawn = time.perf_counter() - start
    page.locator("#tools").evaluate("e => e.scrollIntoView()")
    frames, cards = page.evaluate(SCROLL, SPEED)
    return {
        "first card (s)": first,
        "charts (s)": drawn,
        "median frame (ms)": float(np.median(frames)),
        "95% of frames below (ms)": float(np.quantile(frames, 0.95)),
        "longest (ms)": max(frames),
        "cards at a time": cards,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=5_000)
    chosen = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "report.html"
        start = time.perf_counter()
        page_of(chosen.candidates, file)
        size, took = file.stat().st_size / 1e6, time.perf_counter() - start
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        table = Table("screen", title=f"{chosen.candidates:,} candidates: {size:.0f} MB, written in {took:.0f} s")
        for number, (name, width) in enumerate(WIDTHS.items()):
            page = browser.new_page(viewport={"width": width, "height": 800})
            found = measure(page, file)
            page.close()
            if not number:
                for column in found:
                    table.add_column(column, justify="right")
            table.add_row(f"{name} ({width})", *(f"{value:.3g}" for value in found.values()))
        browser.close()
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
