"""What the verbs share that pass over samples once and write a file."""

import json
from collections.abc import Mapping, Sequence
from typing import Any


def with_data(arguments: Sequence[str]) -> list[str]:
    """The samples are named without a flag: vestige caption DATA --with wordnet."""
    return ["--data", *arguments] if arguments and not arguments[0].startswith("-") else list(arguments)


def tell(summary: Mapping[str, Any], what: str, as_json: bool) -> None:
    """What a pass over samples wrote: as JSON, or as a line and the commonest reasons of what is missing."""
    if as_json:
        print(json.dumps(dict(summary), ensure_ascii=False))
        return
    print(f"{summary['out']}: {summary[what]:,} {what} for {summary['samples']:,} samples, {summary['provenance']}")
    for reason, count in [*summary["reasons"].items()][:5]:
        print(f"  {count:,} {'sample' if count == 1 else 'samples'} with fewer: {reason}")
