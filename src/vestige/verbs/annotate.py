"""`vestige annotate`: the objects in the pictures of data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from vestige.annotate import AnnotateConfig, annotate
from vestige.verbs.parsing import parsed
from vestige.verbs.passes import tell, with_data


def main(arguments: Sequence[str]) -> None:
    @dataclass(frozen=True)
    class Arguments:
        config: Annotated[AnnotateConfig, tyro.conf.arg(name="")]
        json: Annotated[bool, tyro.conf.arg(help="print the summary as JSON")] = False

    chosen = parsed(Arguments, with_data(arguments), "vestige annotate DATA")
    tell(annotate(chosen.config).summary, "objects", chosen.json)
