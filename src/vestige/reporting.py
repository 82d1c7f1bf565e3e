"""What `vestige report` does: the page of a finished run anew, its findings in other formats, or two runs compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vestige.comparison import compare
from vestige.config import to_yaml
from vestige.data import Source
from vestige.embeddings import EmbeddingStore
from vestige.errors import VestigeError
from vestige.files import read_json, read_table
from vestige.finished import FinishedRun, read_run
from vestige.report.build import build_report
from vestige.report.compare import build_comparison
from vestige.report.explorer import write_explorer_table
from vestige.report.figures import write_figures
from vestige.report.markdown import write_markdown
from vestige.report.sections import sections_of
from vestige.report.spreadsheet import write_csv
from vestige.runfolder import ENVIRONMENT
from vestige.usefulness import EVALUATION

Format = Literal["html", "md", "csv", "png", "svg", "pdf", "parquet"]
NAMES = {"html": "report.html", "md": "report.md", "csv": "scores.csv", "parquet": "explorer.parquet"}
FOLDER = "figures"
COMPARED = "compare.html"


@dataclass(frozen=True)
class ReportFiles:
    """What is to be written, and where.

    Attributes:
        format: html: the page; md: the findings as Markdown; csv: the table of scores; png, svg, pdf: the figures;
            parquet: scores, embeddings and pictures for an embedding explorer.
        out: a file, or a folder for figures; a place in the folder of the run when not given.
    """

    format: Format = "html"
    out: Path | None = None


def report_of(run: Path, files: ReportFiles) -> list[Path]:
    """Write the report of one finished run.

    Returns:
        the files.

    Raises:
        VestigeError: no finished run lies there, or the place is of the wrong kind.
    """
    found = read_run(run)
    if files.format in ("png", "svg", "pdf"):
        folder = files.out or run / FOLDER
        if folder.is_file():
            raise VestigeError(f"{folder} is a file: figures are several, name a folder with --out")
        return write_figures(found, folder, files.format)
    out = _file(files.out or run / NAMES[files.format])
    match files.format:
        case "md":
            write_markdown(found, out)
        case "csv":
            write_csv(found.scores, out)
        case "parquet":
            write_explorer_table(found, out)
        case _:
            write_page(found, out, found.opened())
    return [out]


def write_page(run: FinishedRun, out: Path, samples: Source | None) -> None:
    """Write the page of a finished run, with what was scored, evaluated and logged of it so far.

    Args:
        run: the run.
        out: the file.
        samples: those of the run, whose media are shown; None to show none.
    """
    evaluation, environment = run.directory / EVALUATION, run.directory / ENVIRONMENT
    # Embeddings are large, and some remove them: the page is made without neighbours then.
    stores = {model: run.directory / "embeddings" / model for model in run.summary["models"]}
    build_report(
        run.scores,
        run.summary,
        config=to_yaml(run.config),
        out=out,
        samples=None if samples is None else samples.samples,
        stores={model: EmbeddingStore(path) for model, path in stores.items() if (path / "about.json").is_file()},
        evaluation=read_table(evaluation) if evaluation.exists() else None,
        sections=sections_of(run.directory),
        versions=read_json(environment) if environment.exists() else None,
        options=run.config.report,
    )


def comparison_of(runs: Sequence[Path], files: ReportFiles) -> list[Path]:
    """Write the comparison of two finished runs; without a place, beside the second.

    Raises:
        VestigeError: not two different runs, a format that only one run has, or as `compare`.
    """
    if len(runs) != 2:
        raise VestigeError(f"a comparison is of two runs, and {len(runs)} are given: name two")
    if files.format != "html":
        raise VestigeError(f"two runs are compared as html, not as {files.format}: leave out --format, or name one run")
    if runs[0].resolve() == runs[1].resolve():
        raise VestigeError(f"{runs[0]} is named twice: name two runs to compare")
    a, b = (read_run(run) for run in runs)
    out = _file(files.out or runs[1] / COMPARED)
    build_comparison(compare(a, b), out, samples=a.opened())
    return [out]


def _file(path: Path) -> Path:
    if path.is_dir():
        raise VestigeError(f"{path} is a folder: name a file with --out")
    return path
