"""Exports for papers and spreadsheets: numbers as they are, texts of the data as text, figures that can be opened."""

import csv
import dataclasses
import io
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from markdown_it import MarkdownIt
from PIL import Image

from report.conftest import HOSTILE
from vestige.embeddings import EmbeddingStore, all_keys, chosen_rows
from vestige.files import read_table, write_table
from vestige.finished import read_run
from vestige.report.explorer import write_explorer_table
from vestige.report.figures import drawn, figures, write_figures
from vestige.report.markdown import escaped, write_markdown
from vestige.report.spreadsheet import STARTS, write_csv
from vestige.report.text import number


def test_markdown_holds_the_numbers_and_no_markup_of_the_data(made_runs: Path, tmp_path: Path) -> None:
    run = read_run(made_runs / "a")
    write_markdown(run, tmp_path / "report.md")
    source = (tmp_path / "report.md").read_text(encoding="utf-8")
    html = MarkdownIt("commonmark").enable("table").render(source)
    for role in run.summary["roles"].values():
        assert f"<td>{number(role['mean'])}</td>" in html
    # Nothing but what the file itself is made of: headings, tables, a list, paragraphs and the command.
    for tag in ("<img", "<a ", "<em>", "<strong>", "<script", "<!--", "<b>", "<h3"):
        assert tag not in html
    assert html.count("<code>") == html.count("<pre>") == 1
    rows = [row for row in run.scores.to_pylist() if row["role"] == "candidate"]
    best = max(rows, key=lambda row: row["clipmem"])
    assert number(best["clipmem"]) in html
    widths = {line.replace("\\|", "").count("|") for line in source.splitlines() if line.startswith("| 1 ")}
    assert widths == {9, 7}
    doubtful = max(run.scores.to_pylist(), key=lambda row: row["suspicion"])
    assert f"<td>{number(doubtful['suspicion'])}</td>\n<td>{doubtful['role']}</td>" in html


def test_markdown_of_one_model_lists_what_is_suspicious(made_runs: Path, tmp_path: Path) -> None:
    """Nothing was compared: no table of roles without numbers, no list of samples without scores."""
    run = read_run(made_runs / "a")
    roles = {"shared": {"n": 80, "mean": None, "low": None, "high": None}}
    told = {**run.summary, "models": ["f"], "roles": roles, "memorized": None, "planted": None}
    scores = run.scores
    at = scores.column_names.index("clipmem")
    scores = scores.set_column(at, "clipmem", pa.nulls(len(scores), pa.float64()))
    write_markdown(dataclasses.replace(run, summary=told, scores=scores), tmp_path / "report.md")
    headings = [line for line in (tmp_path / "report.md").read_text().splitlines() if line.startswith("## ")]
    assert headings[0] == "## Most suspicious" or headings[:2] == ["## Utility", "## Most suspicious"]
    assert "## Roles" not in headings
    assert "## Most memorized" not in headings


@pytest.mark.parametrize("text", [*HOSTILE, "# h", "12) x", "- x", "> q", "a\n\n# b", "~~~", "```\nx", "=", "| - |"])
def test_a_text_in_markdown_is_that_text(text: str) -> None:
    """As a paragraph and in a cell of a table; hidden characters are spelt out."""
    shown = " ".join(text.replace("\u202e", "⟨U+202E⟩").split())
    expected = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    reader = MarkdownIt("commonmark").enable("table")
    assert reader.render(escaped(text)) == f"<p>{expected}</p>\n"
    assert f"<td>{expected}</td>" in reader.render(f"| a |\n| --- |\n| {escaped(text)} |")


def test_csv_has_the_table_and_no_formula(made_runs: Path, tmp_path: Path) -> None:
    table = read_table(made_runs / "a" / "scores.parquet")
    write_csv(table, tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == table.column_names
    assert len(rows) == len(table)
    texts = [name for name in table.column_names if pa.types.is_string(table.schema.field(name).type)]
    for found, row in zip(rows, table.to_pylist(), strict=True):
        for name, value in row.items():
            cell = found[name]
            if name in texts:
                assert not cell.lstrip().startswith(STARTS[:-1])
                assert (cell[1:] if cell.startswith("'") else cell) == value
            elif isinstance(value, bool):
                assert cell == str(value).lower()
            else:
                assert (float(cell) if cell else None) == value


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\t=1", "\r=1", "＝1", " =1", "'x", "a=1", "", "plain"])
def test_a_cell_can_be_read_back(text: str, tmp_path: Path) -> None:
    write_csv(
        pa.table({"caption": [text], "score": [-1.5], "none": pa.array([None], pa.float64())}), tmp_path / "t.csv"
    )
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        (_, (cell, score, none)) = csv.reader(file)
    assert cell == (text if text in ("a=1", "", "plain") else f"'{text}")
    assert (score, none) == ("-1.5", "")


def test_figures_can_be_opened(runs: Path, tmp_path: Path) -> None:
    curve = {
        "ranking": ["memorization", "memorization", "random", "random"] * 2,
        "removed": [0, 10, 0, 10] * 2,
        "seed": [0] * 4 + [1] * 4,
        "measure": ["T@1 image->text"] * 8,
        "value": [0.5, 0.4, 0.5, 0.2, 0.52, 0.41, 0.52, 0.25],
        "low": pa.array([None] * 8, pa.float64()),
        "high": pa.array([None] * 8, pa.float64()),
    }
    write_table(runs / "a" / "curve.parquet", pa.table(curve))
    run = read_run(runs / "a")
    names = {"scores-by-role", "alignments", "unitmem-by-layer", "training-loss"}
    names |= {"utility-when-samples-are-removed-t-1-image-text"}
    written = write_figures(run, tmp_path / "figures", "svg")
    assert {path.stem for path in written} == names
    for path in written:
        root = ElementTree.parse(path).getroot()
        assert root.tag.endswith("svg")
        assert "var(--" not in path.read_text(encoding="utf-8")
        assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) > 5
    legend = (tmp_path / "figures" / "scores-by-role.svg").read_text(encoding="utf-8")
    for word in ("candidate", "independent", "shared", "external", "clipmem: f minus g", "#c24a00"):
        assert word in legend
    one = figures(run)["training-loss"]
    assert drawn(one, "pdf").startswith(b"%PDF-")
    picture = Image.open(io.BytesIO(drawn(one, "png")))
    assert picture.format == "PNG"
    assert min(picture.size) > 500
    assert len(picture.convert("RGB").getcolors(1_000_000) or ()) > 10


def test_explorer_table_joins_scores_embeddings_and_pictures(made_runs: Path, tmp_path: Path) -> None:
    run = read_run(made_runs / "a")
    write_explorer_table(run, tmp_path / "explorer.parquet")
    found = read_table(tmp_path / "explorer.parquet")
    assert found.select(run.scores.column_names).equals(run.scores.replace_schema_metadata(None))
    for model in ("f", "g"):
        store = EmbeddingStore(made_runs / "a" / "embeddings" / model)
        place = {key: row for row, key in enumerate(all_keys(store))}
        tensors = chosen_rows(store, [place[key] for key in found["key"].to_pylist()])
        for modality in ("image", "text"):
            stored = np.array(found[f"{modality}_{model}"].to_pylist(), np.float32)
            assert np.array_equal(stored, tensors[modality].float().numpy())
    pictures = found["picture"].to_pylist()
    assert all(Image.open(io.BytesIO(own["bytes"])).format == "WEBP" for own in pictures)
