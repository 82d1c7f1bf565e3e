"""Samples as tensors: decoded, or cut from canvases, once for all models that share a preprocessing."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain, islice

import numpy as np
import torch
from torch import Tensor

from vestige.ahead import ahead, handfuls
from vestige.data import Source
from vestige.data.decoded import DecodedSource
from vestige.data.media import UnreadableMedia, decode_picture
from vestige.data.views import View
from vestige.embeddings.config import EmbeddingConfig
from vestige.models import CanvasEncoder, Encoder, TextCutter
from vestige.samples import Modality, Sample


@dataclass(frozen=True)
class Prepared:
    """One sample as tensors: un-augmented, and its views (of its media drawn, of its text its captions)."""

    plain: Mapping[Modality, Tensor]
    views: Mapping[Modality, Tensor]


@dataclass(frozen=True)
class Batch:
    """Some samples, prepared.

    Attributes:
        records: key of every sample, and why it cannot be embedded, if it cannot.
        rows, keys: of those that can, the row in the source and the key.
        prepared: by preprocessing, the tensors of those that can.
        cut: by preprocessing, how many of their captions are longer than is read, where that is known.
    """

    records: Sequence[dict[str, str | None]]
    rows: Sequence[int]
    keys: Sequence[str]
    prepared: Mapping[str, Sequence[Prepared]]
    cut: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Preparation:
    """How the samples of a source become tensors.

    Attributes:
        encoders: the models by name.
        source: the samples.
        config: views, captions, batch size and device.
        seed: of the views.
    """

    encoders: Mapping[str, Encoder]
    source: Source
    config: EmbeddingConfig
    seed: int

    def batches(self, keys: Sequence[str], first: int, pool: ThreadPoolExecutor) -> Iterator[Batch]:
        """The samples of these keys, prepared, batch by batch.

        Args:
            keys: of the samples, which lie one after the other in the source.
            first: row of the first of them in the source.
            pool: threads that decode.
        """
        # On processors alone the models take every core, and preparing beside them slows both: turn by turn is faster.
        turns = map if self.config.device == "cpu" else ahead
        return turns(lambda found: _prepare_batch(self, *found, pool), _batches(self, keys, first))


def _batches(
    how: Preparation, keys: Sequence[str], first: int
) -> Iterator[tuple[int, Sequence[str], Sequence[Sample]]]:
    """(row of the first sample in the source, keys, samples) of every batch; no samples where canvases serve."""
    size = how.config.batch_size
    parts = [keys[start : start + size] for start in range(0, len(keys), size)]
    if _on_canvases(how):
        samples: Iterator[Sample] = iter(())
    else:
        samples = how.source.samples(keys)
    for number, part in enumerate(parts):
        yield first + number * size, part, list(islice(samples, len(part)))


def _on_canvases(how: Preparation) -> bool:
    """Whether the source is decoded already, to what all models read."""
    return isinstance(how.source, DecodedSource) and all(
        isinstance(encoder, CanvasEncoder) and encoder.inputs == how.source.examples.inputs
        for encoder in how.encoders.values()
    )


def _prepare_batch(
    how: Preparation, first: int, keys: Sequence[str], samples: Sequence[Sample], pool: ThreadPoolExecutor
) -> Batch:
    # One encoder of each preprocessing prepares for all that share it.
    preparers = {encoder.preprocessing: encoder for encoder in how.encoders.values()}
    if not samples:
        records = [{"key": key, "reason": None} for key in keys]
        prepared = {name: _drawn(how, preparer, keys) for name, preparer in preparers.items()}
        return Batch(records, range(first, first + len(keys)), keys, prepared)
    made = pool.map(lambda rows: [_prepare_all(how, preparers, one) for one in samples[rows]], handfuls(len(samples)))
    found = list(chain.from_iterable(made))
    reasons = [own if isinstance(own, str) else None for own in found]
    good = [place for place, reason in enumerate(reasons) if reason is None]
    return Batch(
        records=[{"key": key, "reason": reason} for key, reason in zip(keys, reasons, strict=True)],
        rows=[first + place for place in good],
        keys=[keys[place] for place in good],
        prepared={name: [own[name] for own in found if not isinstance(own, str)] for name in preparers},
        cut=_cut(how, preparers, [samples[place] for place in good]),
    )


def _cut(how: Preparation, preparers: Mapping[str, Encoder], samples: Sequence[Sample]) -> Counter[str]:
    count = None if how.config.captions == "pool" else 1
    captions = [caption for sample in samples for caption in sample.captions[:count]]
    cutters = {name: own for name, own in preparers.items() if isinstance(own, TextCutter)}
    return Counter({name: own.count_cut(captions) for name, own in cutters.items() if captions})


def _prepare_all(how: Preparation, preparers: Mapping[str, Encoder], sample: Sample) -> dict[str, Prepared] | str:
    """The sample by preprocessing, or why it cannot be embedded."""
    try:
        if Modality.IMAGE in sample.media and any(Modality.IMAGE in own.modalities for own in preparers.values()):
            # Decoded once for all views and preparers.
            picture = decode_picture(sample.media[Modality.IMAGE])
            sample = replace(sample, media={**sample.media, Modality.IMAGE: picture})
        return {name: _prepare(preparer, sample, how) for name, preparer in preparers.items()}
    except UnreadableMedia as error:
        return str(error)


def _prepare(encoder: Encoder, sample: Sample, how: Preparation) -> Prepared:
    plain = encoder.prepare(sample, None)
    views: dict[Modality, Tensor] = {}
    media = [modality for modality in plain if modality != Modality.TEXT]
    if how.config.views and media:
        silent = replace(sample, captions=())
        drawn = [encoder.prepare(silent, View(how.seed, epoch)) for epoch in range(how.config.views)]
        views = {modality: torch.stack([own[modality] for own in drawn]) for modality in media}
    if how.config.captions == "pool" and Modality.TEXT in plain and len(sample.captions) > 1:
        texts = [replace(sample, media={}, captions=(caption,)) for caption in sample.captions]
        views[Modality.TEXT] = torch.stack([encoder.prepare(text, None)[Modality.TEXT] for text in texts])
    return Prepared(plain, views)


def _drawn(how: Preparation, encoder: Encoder, keys: Sequence[str]) -> list[Prepared]:
    """Samples from their canvases: what `_prepare` makes of them, decoding nothing."""
    assert isinstance(how.source, DecodedSource)
    assert isinstance(encoder, CanvasEncoder)
    examples, positions = how.source.examples, np.array(how.source.positions(keys), dtype=np.int64)
    plain: list[dict[Modality, Tensor]] = [{} for _ in keys]
    views: list[dict[Modality, list[Tensor]]] = [{} for _ in keys]
    for view in (None, *(View(how.seed, epoch) for epoch in range(how.config.views))):
        for modality in examples.inputs:
            rows = encoder.from_canvases(modality, examples.media(modality, positions, view))
            for place, row in zip(np.flatnonzero(examples.present[modality][positions]), rows, strict=True):
                if view is None:
                    plain[place][modality] = row
                else:
                    views[place].setdefault(modality, []).append(row)
    if Modality.TEXT in encoder.modalities:
        counts = examples.counts[positions]
        has = np.flatnonzero(counts)
        firsts = examples.tokens(positions[has], np.zeros(len(has), np.int64))
        for place, text in zip(has.tolist(), firsts, strict=True):
            plain[place][Modality.TEXT] = text
        for place in np.flatnonzero(counts > 1).tolist() if how.config.captions == "pool" else ():
            choice = np.arange(counts[place])
            views[place][Modality.TEXT] = list(examples.tokens(np.full_like(choice, positions[place]), choice))
    return [
        Prepared(own, {modality: torch.stack(rows) for modality, rows in drawn.items()})
        for own, drawn in zip(plain, views, strict=True)
    ]
