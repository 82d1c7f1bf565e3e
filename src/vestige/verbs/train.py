"""`vestige train`: the models of a run and no more; under torchrun, in several processes."""

import json
import os
from collections.abc import Sequence

from vestige.runs import train
from vestige.verbs.configured import configured


def main(arguments: Sequence[str]) -> None:
    chosen = configured("train", arguments)
    models = train(chosen.config, chosen.out)
    if int(os.environ.get("RANK", "0")):
        return
    if chosen.json:
        print(json.dumps({"directory": str(chosen.out), "models": {name: str(own) for name, own in models.items()}}))
        return
    for name, folder in models.items():
        print(f"{name}: {folder}")
    print(f"scores and report: vestige run {chosen.out / 'config.yaml'}")
