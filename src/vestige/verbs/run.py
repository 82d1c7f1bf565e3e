"""`vestige run`: from samples, or a configuration, to scores and a report."""

import json
from collections.abc import Sequence

from vestige.report.terminal import show
from vestige.runs import execute
from vestige.verbs.configured import Chosen, configured


def main(arguments: Sequence[str]) -> None:
    execute_and_show(configured("run", arguments))


def execute_and_show(chosen: Chosen) -> None:
    """Do a run and print its summary."""
    result = execute(chosen.config, chosen.out)
    if chosen.json:
        print(json.dumps(dict(result.summary), ensure_ascii=False))
    else:
        show(result.summary, result.scores, report=result.directory / "report.html")
