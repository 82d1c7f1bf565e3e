"""The linear probe on a source's samples: figures from models."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from vestige.embeddings import EmbeddingStore
from vestige.models import BackboneEncoder, Encoder
from vestige.progress import progress, say
from vestige.samples import Modality
from vestige.utility.accuracy import top_hits
from vestige.utility.classes import Classes, classes_of
from vestige.utility.embedded import Part, places_of, tensor_of
from vestige.utility.facts import Facts
from vestige.utility.figures import Figure
from vestige.utility.job import Found, Job, measure
from vestige.utility.lars import lars_probe
from vestige.utility.precision import mean_average_precision
from vestige.utility.probe import exact_probe
from vestige.utility.settings import UtilityConfig
from vestige.utility.shares import class_mean_share, share
from vestige.utility.splits import split_groups
from vestige.utility.unfit import Unfit

TASK = "probe"


def probe_figures(encoders: Mapping[str, Encoder], job: Job) -> Found:
    """Accuracy and mean class accuracy of every medium and layer (mean average precision for sets of classes).

    Raises:
        Unfit: samples without classes, too few of them, or without a medium the models read; a LARS probe of
            sets of classes.
    """
    media, division = job.media_of(encoders), _divided(job)
    if division.classes.sets and job.config.probe == "lars":
        raise Unfit(f"{job.data}: the LARS probe is for one label a sample, and these have sets: --probe exact")
    layers = _layers(encoders, job)
    stores = {(medium, layer): _stores(encoders, job, division, medium, layer) for medium in media for layer in layers}
    with progress("probes", len(encoders) * len(stores) * job.config.seeds) as advance:
        for name in encoders:
            figures: list[Figure] = []
            for (medium, layer), (train, test) in stores.items():
                fold = _fold(division, train[name], test[name], medium)
                if fold is None:
                    say(f"{job.data}: too few samples have {medium} to probe {name} on it")
                    continue
                scores = []
                for number in range(job.config.seeds):
                    scores.append(_scores(fold, job.config, job.config.seed + number))
                    advance()
                suffix = " (LARS)" if job.config.probe == "lars" else ""
                figures += _figures(job.data, fold, scores, measure(layer, medium, media) + suffix)
            yield name, figures


@dataclass(frozen=True)
class _Division:
    """The two parts, their samples with classes, and the classes."""

    train: Part
    test: Part
    classes: Classes


def _divided(job: Job) -> _Division:
    parts = [job.test.facts] if job.train is None else [job.test.facts, job.train.facts]
    classes = classes_of(job.data, parts)
    labelled = [own.at(classes.labelled(own)) for own in parts]
    bare = sum(map(len, parts)) - sum(map(len, labelled))
    if bare:
        say(f"{job.data}: {bare} samples without a class are left out")
    if job.train is not None:
        test, train = labelled
    else:
        test, train = _split(job, classes, labelled[0])
    # A class that cannot be learned, or on which nothing is tested, is no class of this probe.
    common = _names(train, classes) & _names(test, classes)
    both = [name for name in classes.names if name in common]
    kept = Classes(tuple(both), classes.sets)
    if len(both) < (1 if classes.sets else 2):
        raise Unfit(
            f"{job.data}: {len(both)} of {len(classes.names)} classes have samples of two groups or more, one to learn"
            " from and one to test on: the probe needs two such classes"
        )
    if len(both) < len(classes.names):
        say(
            f"{job.data}: {len(classes.names) - len(both)} of {len(classes.names)} classes are not in both parts of the"
            " probe and are left out (a class needs two groups)"
        )
    test, train = (own.at(kept.labelled(own)) for own in (test, train))
    source = job.test.source if job.train is None else job.train.source
    return _Division(Part(source, train), Part(job.test.source, test), kept)


def _split(job: Job, classes: Classes, facts: Facts) -> tuple[Facts, Facts]:
    """(test, train) of one set of samples, by groups."""
    of = classes.of(facts)
    of = torch.zeros(len(facts), dtype=torch.long) if classes.sets else of
    held = split_groups(of, facts.group_codes(), share=job.config.test_share, seed=job.config.seed).tolist()
    test, train = (facts.at([row for row, own in enumerate(held) if own == side]) for side in (True, False))
    return test, train


def _names(facts: Facts, classes: Classes) -> set[str | None]:
    return {name for own in facts.objects for name in own} if classes.sets else set(facts.labels)


def _layers(encoders: Mapping[str, Encoder], job: Job) -> list[str]:
    """The layers asked for that all models have."""
    layers = list[str](job.config.layers)
    without = [name for name, encoder in encoders.items() if not isinstance(encoder, BackboneEncoder)]
    if "backbone" in layers and without:
        if layers == ["backbone"]:
            raise Unfit(f"the features before the projection of {without[0]} are not to be had: use projector")
        say(f"the features before the projection of {without[0]} are not to be had: the embedding alone is probed")
        layers.remove("backbone")
    return layers


Stores = Mapping[str, EmbeddingStore]


def _stores(
    encoders: Mapping[str, Encoder], job: Job, division: _Division, medium: Modality, layer: str
) -> tuple[Stores, Stores]:
    """Embeddings of the training and of the test part, by model."""
    backbone = layer == "backbone"
    test = job.embedder.media(encoders, job.test, medium, backbone=backbone)
    if job.train is None:
        return test, test
    return job.embedder.media(encoders, job.train, medium, backbone=backbone), test


@dataclass(frozen=True)
class _Fold:
    """Tensors of one model, medium and layer: features [n, d] of both parts, their classes, their groups."""

    train: Tensor
    train_classes: Tensor
    train_group: Tensor
    test: Tensor
    test_classes: Tensor
    test_group: Tensor
    classes: Classes


def _fold(division: _Division, train: EmbeddingStore, test: EmbeddingStore, medium: Modality) -> _Fold | None:
    sides: list[tuple[Tensor, Tensor, Tensor]] = []
    for part, store in ((division.train, train), (division.test, test)):
        place = places_of(store)
        facts = part.facts.at([row for row, key in enumerate(part.facts.keys) if key in place])
        if len(facts) < 2:
            return None
        own = tensor_of(store, facts.keys, medium), division.classes.of(facts), facts.group_codes()
        sides.append(own)
    return _Fold(*sides[0], *sides[1], division.classes)


def _scores(fold: _Fold, config: UtilityConfig, seed: int) -> Tensor:
    count = len(fold.classes.names)
    if config.probe == "lars":
        return lars_probe(fold.train, fold.train_classes, fold.test, count, config=config.lars, seed=seed)
    return exact_probe(fold.train, fold.train_classes, fold.test, count, group=fold.train_group, seed=seed).scores


def _figures(data: str, fold: _Fold, scores: list[Tensor], where: str) -> Iterator[Figure]:
    """The figures of a layer from the scores of every seed."""
    seeds, group, of = len(scores), fold.test_group, fold.test_classes
    if fold.classes.sets:
        guess = float(of.double().mean(0)[of.any(0)].mean())
        # Scores of several seeds are averaged: a precision has no hit of a sample to average.
        found = mean_average_precision(torch.stack(scores).mean(0), of, group)
        yield Figure.of(TASK, data, f"mAP {where}", found, guess, seeds=seeds)
        return
    hits = torch.stack([top_hits(own, of) for own in scores])
    commonest = fold.train_classes.mode().values
    always = float((of == commonest).double().mean())
    yield Figure.of(TASK, data, f"accuracy {where}", share(hits, group), always, seeds=seeds)
    by_class = class_mean_share(hits, of, group)
    guess = 1 / len(of.unique())
    yield Figure.of(TASK, data, f"mean class accuracy {where}", by_class, guess, seeds=seeds)
