"""`vestige clean`: the data without the samples that a run found."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from vestige.curation.clean import CleanConfig, clean
from vestige.verbs.parsing import parsed


def main(arguments: Sequence[str]) -> None:
    @dataclass(frozen=True)
    class Arguments:
        config: Annotated[CleanConfig, tyro.conf.arg(name="")]
        json: Annotated[bool, tyro.conf.arg(help="print what was done as JSON")] = False

    # A run is named without a flag, as for every verb: vestige clean RUN --top 100 --out PATH.
    named = ["--run", *arguments] if arguments and not arguments[0].startswith("-") else list(arguments)
    chosen = parsed(Arguments, named, "vestige clean RUN")
    result = clean(chosen.config)
    if chosen.json:
        print(json.dumps(dict(result.summary), ensure_ascii=False))
    else:
        _show(result.summary)


def _show(summary: Mapping[str, Any]) -> None:
    counts, rate = summary["counts"], summary["false_discovery_rate"]
    changed = ("removed", "recaptioned")
    done = ", ".join(f"{counts[name]:,} {name}" for name in changed if counts[name]) or "nothing changed"
    print(f"{summary['out']}: {done} of {counts['samples']:,} samples, {summary['samples_read_back']:,} left")
    if rate is not None:
        print(f"  called memorized at a false-discovery rate of {rate:.3g}")
    options = "".join(f" {name}={value}" for name, value in summary["open"]["options"].items())
    print(f"  opens as {summary['open']['source']}{f' with{options}' if options else ''}")
    print(f"  what went and why: {summary['manifest']}")
    for note in summary["notes"]:
        print(f"  {note}")
