"""`vestige embed`: what a checkpoint, or the models of a run, make of samples."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from vestige.embedfiles import EmbedConfig, embed_files
from vestige.verbs.parsing import parsed


def main(arguments: Sequence[str]) -> None:
    @dataclass(frozen=True)
    class Arguments:
        config: Annotated[EmbedConfig, tyro.conf.arg(name="")]
        json: Annotated[bool, tyro.conf.arg(help="print what was embedded as JSON")] = False

    # A run is named without a flag, as for every verb: vestige embed RUN --data ...
    named = ["--run", *arguments] if arguments and not arguments[0].startswith("-") else list(arguments)
    chosen = parsed(Arguments, named, "vestige embed")
    found = embed_files(chosen.config)
    if chosen.json:
        print(json.dumps(found, ensure_ascii=False))
        return
    for name, told in found["models"].items():
        left = f", {told['skipped']} could not be read" if told["skipped"] else ""
        print(f"{name}: {told['samples']} samples, {' and '.join(told['modalities'])}{left}: {told['folder']}")
