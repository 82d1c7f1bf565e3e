"""Captions and pictures made by machines, for collections that have one of each; all of them say what made them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from vestige.samples import Sample

LONGEST_CAPTION = 1000


@dataclass(frozen=True, slots=True)
class Written:
    """New captions of one sample.

    Attributes:
        captions: none equal to another or to a caption the sample has, case and spaces aside.
        reason: why there are fewer than asked for; None where there are not.
    """

    captions: tuple[str, ...] = ()
    reason: str | None = None


class Captioner(Protocol):
    """Writes new captions for samples."""

    @property
    def provenance(self) -> str:
        """What writes them: kind, model, settings; kept with every caption."""
        ...

    def write(self, samples: Sequence[Sample], count: int) -> Sequence[Written]:
        """Up to `count` new captions for each of a batch of samples, in their order."""
        ...


def accepted(proposed: Iterable[str], own: Iterable[str], count: int) -> tuple[str, ...]:
    """The first `count` of the proposed captions that are new, on one line, not empty and not overlong."""
    known = {_folded(caption) for caption in own}
    fresh: list[str] = []
    for caption in proposed:
        text = "".join(sign if sign.isprintable() else " " for sign in caption)
        text = " ".join(text.split())
        if 0 < len(text) <= LONGEST_CAPTION and _folded(text) not in known:
            known.add(_folded(text))
            fresh.append(text)
            if len(fresh) == count:
                break
    return tuple(fresh)


def _folded(caption: str) -> str:
    return " ".join(caption.casefold().split()).rstrip(".")
