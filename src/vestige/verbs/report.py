"""`vestige report`: a finished run as a page, as tables and figures for a paper, or beside another run."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.text import Text

from vestige.errors import VestigeError
from vestige.report.terminal import output
from vestige.reporting import Format, ReportFiles, comparison_of, report_of
from vestige.verbs.parsing import parsed


@dataclass(frozen=True)
class Arguments:
    """Write the report of a finished run anew, in another format, or compare two runs."""

    runs: Annotated[
        tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN [RUN]", help="folder of a run, or of two")
    ] = ()
    format: Annotated[
        Format,
        tyro.conf.arg(
            help="html: the page; md: findings; csv: scores; png, svg, pdf: figures; parquet: for embedding explorers"
        ),
    ] = "html"
    out: Annotated[
        Path | None, tyro.conf.arg(help="file, or folder for figures; in the folder of the run when not given")
    ] = None
    json: Annotated[bool, tyro.conf.arg(help="print the written files as JSON")] = False


def main(arguments: Sequence[str]) -> None:
    chosen = parsed(Arguments, arguments, "vestige report")
    if not chosen.runs:
        raise VestigeError("name the folder of a finished run: vestige report RUN, or two to compare them")
    files = ReportFiles(chosen.format, chosen.out)
    written = report_of(chosen.runs[0], files) if len(chosen.runs) == 1 else comparison_of(chosen.runs, files)
    if chosen.json:
        print(json.dumps({"written": [str(path) for path in written]}, ensure_ascii=False))
        return
    for path in written:
        output.print(Text(f"written: {path}"))
