"""`vestige data check SPEC`: what is in a source, and what is wrong with it, before anything is trained on it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from typing import Annotated, Any

import tyro
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vestige.data import open_source
from vestige.data.check import Check, check
from vestige.data.tallies import Names, Reasons, Spread
from vestige.errors import VestigeError
from vestige.printed import printable
from vestige.verbs.parsing import parsed

SHOWN = 5
MEASURES = {"seconds": "s", "frames": "frames"}


@dataclass(frozen=True)
class CheckArguments:
    """What is in a source: counts, captions, sizes, groups, copies, what cannot be decoded, and what a run needs."""

    source: Annotated[
        tyro.conf.Positional[str], tyro.conf.arg(metavar="SPEC", help="a built-in source, or FORMAT:LOCATION")
    ]
    options: Annotated[
        dict[str, str], tyro.conf.arg(metavar="NAME VALUE ...", help="options of the source, as data.options of a run")
    ] = field(default_factory=dict)
    sample: Annotated[
        int | None,
        tyro.conf.arg(metavar="N", help="decode the media of N samples, spread evenly; 10,000, or all, when left out"),
    ] = None
    model: Annotated[
        str, tyro.conf.arg(help="whose tokenizer and input sizes the data are measured by: as model of a run, or none")
    ] = "nano"
    json: Annotated[bool, tyro.conf.arg(help="print all counts as JSON")] = False


@dataclass(frozen=True)
class ModelNeeds:
    """What a model makes of the data.

    Attributes:
        model: its name.
        context: tokens that it reads of a caption.
        cut: captions that are longer, of `measured`.
        canvas_bytes: by modality, what a kept canvas takes.
    """

    model: str
    context: int
    cut: int
    measured: int
    canvas_bytes: Mapping[str, int]


def main(arguments: Sequence[str]) -> None:
    """Check a source and print what was found.

    Raises:
        VestigeError: the source or the model refuses.
    """
    chosen = parsed(CheckArguments, arguments, "vestige data check")
    found = check(open_source(chosen.source, **chosen.options), sample=chosen.sample)
    needs = None if chosen.model == "none" else _apart(chosen.model, found)
    if chosen.json:
        # ASCII: halves of pairs, which file names may hold, could not be printed otherwise.
        print(json.dumps(as_json(chosen.source, found, needs)))
        return
    show(chosen.source, found, needs)


def _apart(model: str, found: Check) -> ModelNeeds:
    """Measured in a process of its own: the model's libraries take more memory than ten million rows of a table."""
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return pool.submit(measure, model, found.captions.kept).result()
    except BrokenProcessPool as error:
        raise VestigeError(
            f"the model {model!r} cannot be measured: its process ended; leave it out: --model none"
        ) from error


def measure(model: str, captions: Sequence[str]) -> ModelNeeds:
    """Captions against the tokenizer of a model, and the canvases that it needs.

    Raises:
        VestigeError: no such model, or its tokenizer is not there.
    """
    from vestige.data.canvases import canvas_bytes, canvas_of
    from vestige.models.architectures import architecture
    from vestige.models.openclip import count_cut, tokenizer
    from vestige.models.towers import inputs_of
    from vestige.samples import Modality

    description = architecture(model)
    context = int(description["text_cfg"].get("context_length", 77))
    cut = count_cut(captions, tokenizer(description), context) if captions else 0
    kinds = {str(modality): canvas_of(read) for modality, read in inputs_of(description, tuple(Modality)).items()}
    return ModelNeeds(model, context, cut, len(captions), {name: canvas_bytes(kind) for name, kind in kinds.items()})


def as_json(source: str, found: Check, needs: ModelNeeds | None) -> dict[str, Any]:
    """All that was found, in plain types."""
    read = asdict(found)
    looked_at = read["looked_at"]
    captions = {name: value for name, value in read["captions"].items() if name != "kept"}
    return {
        "source": source,
        "samples": found.samples,
        "modalities": {
            "samples": read["modalities"],
            "combinations": [{"modalities": has, "samples": times} for has, times in read["combinations"]],
        },
        "groups": {name: value for name, value in read["groups"].items() if name != "example"}
        | {"largest_name": found.largest_group},
        "captions": captions
        | ({} if needs is None else {"context": needs.context, "cut": needs.cut, "measured": needs.measured}),
        "labels": read["labels"],
        "objects": read["objects"] | {"normalised": read["normalised"]},
        "looked_at": {name: looked_at[name] for name in ("samples", "media", "seconds")},
        "sizes": looked_at["sizes"],
        "duplicates": looked_at["copies"],
        "undecodable": looked_at["undecodable"],
        "skipped": read["skipped"],
        "pass_seconds": found.pass_seconds,
        "canvases": None if needs is None else {"model": needs.model, "bytes": _canvases(found, needs)},
    }


def _canvases(found: Check, needs: ModelNeeds) -> dict[str, int]:
    """Bytes of the canvases of all samples, for the modalities that half of them have: what a run chooses by itself."""
    return {
        modality: size * found.samples
        for modality, size in needs.canvas_bytes.items()
        if 2 * found.modalities[modality] >= found.samples
    }


def show(source: str, found: Check, needs: ModelNeeds | None, console: Console | None = None) -> None:
    """Print what was found as a table; nothing of the data is taken for markup or sent to the terminal as it is."""
    table = Table(box=box.SIMPLE, show_header=False, title=Text(printable(source)), title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, line in lines(found, needs):
        table.add_row(Text(name), Text(printable(line, None)))
    (console or Console()).print(table)


def lines(found: Check, needs: ModelNeeds | None) -> Iterator[tuple[str, str]]:
    """(what, what was found) for every line of the table."""
    looked_at, captions, groups = found.looked_at, found.captions, found.groups
    yield "samples", f"{found.samples:,}"
    if found.skipped.count:
        yield from _troubles("records left out", found.skipped)
    for name, (has, times) in zip(_once("modalities"), found.combinations, strict=False):
        yield name, f"{times:,} with {', '.join(has) or 'nothing'}"
    yield (
        "groups",
        f"{groups.number:,}"
        + (
            f", {groups.in_several:,} samples in groups of several; the largest has {groups.largest:,}:"
            f" {_quoted(found.largest_group or '')}"
            if groups.in_several
            else ", each of one sample"
        ),
    )
    yield from _caption_lines(found, needs)
    yield from _name_lines("labels", found.labels)
    if found.objects.samples:
        merged = f", {found.normalised.different:,} after normalisation"
        yield from _name_lines("objects", found.normalised, f"{found.objects.different:,} spellings{merged}")
    if captions.repeated:
        texts = (f"{_quoted(text)} {times:,}x" for text, times in captions.repeated)
        yield "captions shared", f"by several samples: {'; '.join(texts)}"
    every = looked_at.samples == found.samples
    of = "all samples" if every else f"{looked_at.samples:,} of {found.samples:,} samples, spread evenly (--sample)"
    yield "looked at", f"the media of {of}"
    for modality, measures in looked_at.sizes.items():
        known = [_measure(name, values) for name, values in measures.items() if values is not None]
        yield modality, f"{looked_at.media[modality]:,} decoded: {'; '.join(known)}"
    copies = looked_at.copies
    if copies.sets:
        first = "; ".join(" = ".join(map(_quoted, keys)) for keys in copies.examples[:2])
        yield (
            "copies",
            (
                f"{copies.samples:,} samples share {copies.sets:,} media that are identical byte for byte; this joins"
                f" {copies.joined:,} groups to others: {first}"
            ),
        )
    else:
        yield "copies", "no media that are identical byte for byte"
    yield from _troubles("undecodable", looked_at.undecodable)
    yield from _needs(found, needs)


def _caption_lines(found: Check, needs: ModelNeeds | None) -> Iterator[tuple[str, str]]:
    captions = found.captions
    if captions.per_sample is None:
        yield "captions", "none"
        return
    without = f"; {captions.without:,} samples have none" if captions.without else ""
    empty = f"; {captions.empty:,} are empty" if captions.empty else ""
    yield "captions", f"{captions.total:,}, {_spread(captions.per_sample)} a sample{without}{empty}"
    length = "" if captions.characters is None else f"{_spread(captions.characters)} characters"
    if needs is None:
        yield "caption length", length
        return
    measured = "" if needs.measured == captions.total else f" of {needs.measured:,} measured"
    yield (
        "caption length",
        (f"{length}; {needs.cut:,}{measured} are longer than the {needs.context} tokens that {needs.model} reads"),
    )


def _needs(found: Check, needs: ModelNeeds | None) -> Iterator[tuple[str, str]]:
    looked_at = found.looked_at
    if looked_at.media and found.pass_seconds is not None and looked_at.seconds:
        rate = looked_at.samples / looked_at.seconds
        yield "a full pass", f"about {_time(found.pass_seconds)}: {rate:,.0f} samples a second are decoded here"
    if needs is not None and (canvases := _canvases(found, needs)):
        parts = ", ".join(f"{modality} {_bytes(size)}" for modality, size in canvases.items())
        yield "canvases", f"{_bytes(sum(canvases.values()))} on disk for the model {needs.model} ({parts})"


def _name_lines(name: str, names: Names, more: str | None = None) -> Iterator[tuple[str, str]]:
    if not names.samples:
        return
    top = ", ".join(f"{_quoted(text, 40)} {times:,}" for text, times in names.top[:SHOWN])
    many = "more than " if names.many else ""
    different = f"{many}{names.different:,} different" if more is None else more
    yield name, f"{names.samples:,} samples have some, {different}: {top}"


def _troubles(name: str, found: Reasons) -> Iterator[tuple[str, str]]:
    if not found.count:
        yield name, "none"
        return
    yield name, f"{found.count:,}"
    for reason, times in found.kinds[:SHOWN]:
        yield "", f"{times:,}x {printable(reason, 200)}"
    for place, reason in found.examples[:SHOWN]:
        yield "", f"{_quoted(place)}: {printable(reason, 200)}"


def _once(name: str) -> Iterator[str]:
    """A name for the first of several lines, none for the others."""
    yield name
    while True:
        yield ""


def _quoted(text: str, longest: int = 60) -> str:
    return f"'{printable(text, longest)}'"


def _measure(name: str, values: Spread) -> str:
    unit = MEASURES.get(name)
    return f"{_spread(values)} {unit}" if unit else f"{name} {_spread(values)}"


def _spread(values: Spread) -> str:
    if values.least == values.most:
        return _number(values.least)
    return f"{_number(values.least)} to {_number(values.most)} (median {_number(values.median)})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}".rstrip("0")


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.2f} TB"
