"""Two small finished runs over texts that would load, run or break something, made once for all tests of reports."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from drawings import draw
from vestige import cli
from vestige.config import DataConfig, DesignConfig, PlantConfig, RunConfig
from vestige.embeddings import EmbeddingConfig
from vestige.runs import execute
from vestige.training.loop import TrainingConfig

EVIL = "</script><img src=https://example.org/x.png onerror=alert(1)>"
HOSTILE = (
    EVIL,
    '=HYPERLINK("https://example.org","x")',
    "@SUM(1)*cmd|' /C calc'!A0",
    "a | b \\| c `code` [link](https://example.org) ![p](https://example.org/p.png) www.example.org",
    "<!-- - # *b* _i_ &lt; $x$ ~~s~~",
    "'quoted",
    "\u202eabc",
    "-1+1",
)


def table_of(folder: Path, count: int, first: int = 0) -> str:
    """An OpenCLIP csv of drawings whose captions are hostile, as the name of a source."""
    folder.mkdir()
    lines = ["filepath\ttitle\tobjects"]
    for number in range(first, first + count):
        picture, caption = draw(number)
        name = f"=1+{number}<b>.png" if number % 7 == 0 else f"{number:04d}.png"
        picture.save(folder / name)
        objects = ";".join(caption.split()[1:3])
        text = f"{HOSTILE[number % len(HOSTILE)]} {caption}".replace('"', "'")
        lines.append(f"{folder / name}\t{text}\t{objects}")
    path = folder.with_suffix(".csv")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return f"csv:{path}"


@pytest.fixture(scope="session")
def made_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs `a` and `b`, alike but for weight decay; `a` has UnitMem and Déjà Vu too."""
    root = tmp_path_factory.mktemp("runs")
    model = root / "pico.json"
    text = {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    vision = {"image_size": 16, "patch_size": 8, "width": 32, "head_width": 16, "layers": 1}
    model.write_text(json.dumps({"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}))
    config = RunConfig(
        data=DataConfig(source=table_of(root / "pairs", 80), options={"objects_column": "objects"}),
        design=DesignConfig(candidates=16, external=24),
        plant=PlantConfig(captions=4),
        model=str(model),
        training=TrainingConfig(epochs=4, batch_size=16, warmup_epochs=1),
        embedding=EmbeddingConfig(views=0),
    )
    execute(config, root / "a")
    execute(dataclasses.replace(config, training=dataclasses.replace(config.training, weight_decay=3.0)), root / "b")
    public = table_of(root / "public", 30, first=300)
    arguments = ["score", str(root / "a"), "--metric", "clipmem,unitmem,dejavu", "--public", public]
    arguments += ["--options", "objects_column", "objects", "--recovery.neighbours", "5", "--json"]
    assert cli.main(arguments) == 0
    return root


@pytest.fixture
def runs(made_runs: Path, tmp_path: Path) -> Path:
    """Copies of the two runs that a test may change; their data stay where they are."""
    for name in ("a", "b"):
        shutil.copytree(made_runs / name, tmp_path / "runs" / name)
    return tmp_path / "runs"
