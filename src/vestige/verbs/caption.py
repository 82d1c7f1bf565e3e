"""`vestige caption`: more captions for data that have one each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from vestige.captioning import CaptionConfig, write_captions
from vestige.verbs.parsing import parsed
from vestige.verbs.passes import tell, with_data


def main(arguments: Sequence[str]) -> None:
    @dataclass(frozen=True)
    class Arguments:
        config: Annotated[CaptionConfig, tyro.conf.arg(name="")]
        json: Annotated[bool, tyro.conf.arg(help="print the summary as JSON")] = False

    chosen = parsed(Arguments, with_data(arguments), "vestige caption DATA")
    tell(write_captions(chosen.config).summary, "captions", chosen.json)
