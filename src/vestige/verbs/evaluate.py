"""`vestige evaluate`: what the models of a run, or checkpoints, are still good for."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from vestige.evaluation import EvaluateConfig, evaluate_files
from vestige.report.evaluationtable import show_figures
from vestige.verbs.parsing import parsed


def main(arguments: Sequence[str]) -> None:
    @dataclass(frozen=True)
    class Arguments:
        config: Annotated[EvaluateConfig, tyro.conf.arg(name="")]
        json: Annotated[bool, tyro.conf.arg(help="print the figures as JSON")] = False

    # A run is named without a flag, as for every verb: vestige evaluate RUN --on ...
    named = ["--run", *arguments] if arguments and not arguments[0].startswith("-") else list(arguments)
    chosen = parsed(Arguments, named, "vestige evaluate")
    found = evaluate_files(chosen.config)
    if chosen.json:
        print(json.dumps({"out": str(found.directory), "figures": found.rows}, ensure_ascii=False))
    else:
        show_figures(found.rows, found.directory)
