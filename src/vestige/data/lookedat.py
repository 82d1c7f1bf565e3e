"""Media decoded to look at them: what fails, what sizes there are, which are the same, and how long it takes."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL.Image import Image as Picture

from vestige.data.grouping import joined_groups
from vestige.data.media import UnreadableMedia, content_of, decode_sized
from vestige.data.tallies import Reasons, Spread, reasons, spread
from vestige.samples import Media, Modality, Sample

AT_ONCE, BYTES_AT_ONCE = 256, 64 * 2**20
SMALL = 128
"""Pictures are decoded no larger than a pass for the small models needs them: what is read and verified is the same."""
RATE = 16_000
FRAMES = 8
EXAMPLES = 5


@dataclass(frozen=True)
class Copies:
    """Media that are identical byte for byte.

    Attributes:
        samples: samples that share their medium with another.
        sets: how many media they share.
        joined: declared groups that become one with another for it.
        groups: groups that remain, of the samples looked at.
        examples: keys of the first sets.
    """

    samples: int
    sets: int
    joined: int
    groups: int
    examples: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class LookedAt:
    """What decoding gave.

    Attributes:
        samples: how many samples were looked at.
        media: how many media of each modality were decoded.
        sizes: by modality and measure (width, height, seconds, frames).
        copies: identical media.
        undecodable: (key, reason) summed up.
        seconds: how long decoding took.
    """

    samples: int
    media: dict[str, int]
    sizes: dict[str, dict[str, Spread | None]]
    copies: Copies
    undecodable: Reasons
    seconds: float


_Measures = dict[str, float]


class LookedAtMedia:
    """Decodes the media of samples, a few at a time.

    Args:
        pool: the threads that decode.
    """

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._waiting: list[tuple[str, str, dict[Modality, Media]]] = []
        self._bytes = 0
        self._samples, self._seconds = 0, 0.0
        self._counts: Counter[str] = Counter()
        self._sizes: dict[tuple[str, str], Counter[float]] = {}
        self._contents: dict[tuple[str, str], list[str]] = {}
        self._members: list[tuple[str, str]] = []
        self._troubles: list[tuple[str, str]] = []

    def add(self, sample: Sample) -> None:
        media = {modality: sample.media[modality] for modality in Modality if modality in sample.media}
        self._waiting.append((sample.key, sample.group, media))
        self._bytes += sum(_weight(medium) for medium in media.values())
        if len(self._waiting) >= AT_ONCE or self._bytes >= BYTES_AT_ONCE:
            self._decode()

    def finish(self) -> LookedAt:
        self._decode()
        names = dict.fromkeys(modality for modality, _ in self._sizes)
        return LookedAt(
            samples=self._samples,
            media=dict(self._counts),
            sizes={
                name: {measure: spread(counts) for (own, measure), counts in self._sizes.items() if own == name}
                for name in names
            },
            copies=self._copies(),
            undecodable=reasons(self._troubles),
            seconds=self._seconds,
        )

    def _decode(self) -> None:
        start = time.perf_counter()
        jobs = [(modality, medium) for *_, media in self._waiting for modality, medium in media.items()]
        results = self._pool.map(_looked_at, *zip(*jobs, strict=True)) if jobs else iter(())
        for key, group, media in self._waiting:
            first = ""
            for modality in media:
                content, measures = next(results)
                if isinstance(measures, str):
                    self._troubles.append((key, f"{modality}: {measures}"))
                    continue
                # The first medium tells samples apart, as in the pass of a run.
                first = first or content
                self._counts[str(modality)] += 1
                self._contents.setdefault((str(modality), content), []).append(key)
                for measure, value in measures.items():
                    self._sizes.setdefault((str(modality), measure), Counter())[value] += 1
            self._members.append((group, first or f"no medium {len(self._members)}"))
        self._samples += len(self._waiting)
        self._waiting, self._bytes = [], 0
        self._seconds += time.perf_counter() - start

    def _copies(self) -> Copies:
        shared = [keys for keys in self._contents.values() if len(keys) > 1]
        groups = len(set(joined_groups(self._members)))
        return Copies(
            samples=len({key for keys in shared for key in keys}),
            sets=len(shared),
            joined=len({group for group, _ in self._members}) - groups,
            groups=groups,
            examples=tuple(tuple(keys[:EXAMPLES]) for keys in shared[:EXAMPLES]),
        )


def _weight(medium: Media) -> int:
    if isinstance(medium, Picture):
        return 4 * medium.width * medium.height
    return len(medium) if isinstance(medium, bytes) else 0


def _looked_at(modality: Modality, medium: Media) -> tuple[str, _Measures | str]:
    """Hash of the bytes, empty if they cannot be read, and measures, or why there are none."""
    content = ""
    try:
        content = content_of(medium)
        return content, _measures(modality, medium)
    except UnreadableMedia as error:
        return content, str(error)


def _measures(modality: Modality, medium: Media) -> _Measures:
    if modality == Modality.AUDIO:
        from vestige.data.sound import decode_sound

        return {"seconds": round(len(decode_sound(medium, RATE)) / RATE, 2)}
    if modality == Modality.VIDEO:
        from vestige.data.film import decode_frames, film_length

        width, height = decode_frames(medium, FRAMES)[0].size
        frames, seconds = film_length(medium)
        known: _Measures = {} if seconds is None else {"seconds": round(seconds, 2)}
        return {"width": width, "height": height, "frames": frames} | known
    width, height = decode_sized(medium, SMALL).size
    return {"width": width, "height": height}
