"""The media of the samples on the page, made small, in pieces that the page reads one by one."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from typing import Any

from vestige.ahead import few_ahead
from vestige.progress import progress
from vestige.report.assets import Assets
from vestige.report.media import Shown, show_media
from vestige.report.pictures import side_for
from vestige.report.text import short
from vestige.samples import Sample

SamplesOf = Callable[[Sequence[str]], Iterable[Sample]]

PIECE = 100
"""Samples whose media lie in one element of the page: read when one of them comes into sight."""
HELD = 2
"""Samples that a worker may hold."""


@dataclass(frozen=True)
class PageMedia:
    """The media of the page.

    Attributes:
        pieces: lists of `PIECE` samples; of each sample its media as the scripts read them.
        kinds: modalities that some sample shows, in order.
    """

    pieces: list[list[list[dict[str, Any]]]]
    kinds: list[str]


def page_media(
    keys: Sequence[str], samples: SamplesOf | None, assets: Assets
) -> tuple[PageMedia, dict[str, list[str]]]:
    """Make the media of these samples small, and collect their captions.

    Args:
        keys: of the samples, in the order of the page.
        samples: gives the samples of keys; None where they are not at hand.
        assets: takes the bytes.
    """
    rows: list[list[dict[str, Any]]] = []
    captions: dict[str, list[str]] = {}
    if samples is not None and keys:
        side = side_for(len(keys))

        def shown(sample: Sample) -> tuple[Sample, list[Shown]]:
            return sample, show_media(sample.media, side)

        workers = cpu_count() or 1
        with progress("media of the report", len(keys)) as advance, ThreadPoolExecutor(workers) as pool:
            for sample, media in few_ahead(pool, shown, samples(keys), most=HELD * workers):
                captions[sample.key] = [caption for caption in sample.captions if caption.strip()]
                rows.append([_entry(own, assets) for own in media])
                advance()
    addressed = [[_addressed(entry, assets) for entry in row] for row in rows]
    kinds = sorted({entry["of"] for row in rows for entry in row}, key=["image", "video", "audio"].index)
    pieces = [addressed[start : start + PIECE] for start in range(0, len(addressed), PIECE)]
    return PageMedia(pieces, kinds), captions


def _entry(shown: Shown, assets: Assets) -> dict[str, Any]:
    entry: dict[str, Any] = {"of": str(shown.modality)}
    if shown.picture is not None:
        entry |= {"src": assets.add(shown.picture), "w": shown.size[0], "h": shown.size[1]}
    if shown.clip is not None:
        entry["clip"] = assets.add(shown.clip)
    if shown.seconds is not None:
        entry["seconds"] = short(shown.seconds)
    return entry | ({"note": shown.note} if shown.note else {})


def _addressed(entry: Mapping[str, Any], assets: Assets) -> dict[str, Any]:
    return {name: assets.address(value) if name in ("src", "clip") else value for name, value in entry.items()}
