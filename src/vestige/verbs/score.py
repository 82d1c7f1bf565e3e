"""`vestige score`: checkpoints that somebody trained, or a run with more metrics."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from vestige.report.terminal import show_scores
from vestige.scorefiles import ScoreConfig, score_files
from vestige.verbs.parsing import parsed


def main(arguments: Sequence[str]) -> None:
    @dataclass(frozen=True)
    class Arguments:
        config: Annotated[ScoreConfig, tyro.conf.arg(name="")]
        json: Annotated[bool, tyro.conf.arg(help="print the summary as JSON")] = False

    # A run is named without a flag, as for every verb: vestige score RUN --metric ...
    named = ["--run", *arguments] if arguments and not arguments[0].startswith("-") else list(arguments)
    chosen = parsed(Arguments, named, "vestige score")
    scored = score_files(chosen.config)
    if chosen.json:
        print(json.dumps(dict(scored.summary), ensure_ascii=False))
    else:
        show_scores(scored)
