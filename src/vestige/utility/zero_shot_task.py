"""Zero-shot classification of a source's samples: figures from models."""

from collections.abc import Mapping

import torch

from vestige.models import Encoder
from vestige.progress import say
from vestige.samples import Modality
from vestige.utility.accuracy import top_hits
from vestige.utility.classes import Classes, classes_of
from vestige.utility.embedded import places_of, tensor_of
from vestige.utility.figures import Figure
from vestige.utility.job import Found, Job, measure
from vestige.utility.precision import mean_average_precision
from vestige.utility.shares import class_mean_share, share
from vestige.utility.unfit import Unfit
from vestige.utility.zero_shot import class_embeddings, zero_shot_scores

TASK = "zero-shot"
TOP = 5


def zero_shot_figures(encoders: Mapping[str, Encoder], job: Job) -> Found:
    """Accuracy, top-5 accuracy and mean class accuracy of every medium (mean average precision for sets of classes).

    Raises:
        Unfit: samples without classes or without a medium the models read, or models that read no text.
    """
    mute = [name for name, encoder in encoders.items() if Modality.TEXT not in encoder.modalities]
    if mute:
        raise Unfit(f"zero-shot reads the names of classes, and the model {mute[0]} embeds no text")
    parts = [job.test.facts] if job.train is None else [job.test.facts, job.train.facts]
    classes, media = classes_of(job.data, parts), job.media_of(encoders)
    rows = classes.labelled(job.test.facts)
    if not rows:
        raise Unfit(f"{job.data}: no sample to test on has a class")
    if len(rows) < len(job.test.facts):
        say(f"{job.data}: {len(job.test.facts) - len(rows)} samples without a class are left out")
    facts = job.test.facts.at(rows)
    prompts = {medium: _prompts(job, classes, medium) for medium in media}
    texts = {medium: job.embedder.texts(encoders, prompts[medium], f"prompts-{medium}") for medium in media}
    stores = {medium: job.embedder.media(encoders, job.test, medium) for medium in media}
    for name in encoders:
        figures: list[Figure] = []
        for medium in media:
            place = places_of(stores[medium][name])
            there = facts.at([row for row, key in enumerate(facts.keys) if key in place])
            if not len(there):
                continue
            owner = torch.tensor([int(key.partition("/")[0]) for key in prompts[medium]])
            vectors = tensor_of(texts[medium][name], list(prompts[medium]), Modality.TEXT)
            scores = zero_shot_scores(
                tensor_of(stores[medium][name], there.keys, medium),
                class_embeddings(vectors, owner, len(classes.names)),
            )
            targets, group, count = classes.of(there), there.group_codes(), len(classes.names)
            if classes.sets:
                found = mean_average_precision(scores, targets, group)
                guess = float(targets.double().mean(0)[targets.any(0)].mean())
                figures.append(Figure.of(TASK, job.data, measure("mAP", medium, media), found, guess))
                continue
            hits = top_hits(scores, targets)
            figures.append(Figure.of(TASK, job.data, measure("accuracy", medium, media), share(hits, group), 1 / count))
            if count > TOP:
                top = share(top_hits(scores, targets, TOP), group)
                name_of = measure(f"top-{TOP} accuracy", medium, media)
                figures.append(Figure.of(TASK, job.data, name_of, top, TOP / count))
            by_class = class_mean_share(hits, targets, group)
            name_of = measure("mean class accuracy", medium, media)
            figures.append(Figure.of(TASK, job.data, name_of, by_class, 1 / count))
        yield name, figures


def _prompts(job: Job, classes: Classes, medium: Modality) -> dict[str, str]:
    """Every prompt by `class/number`."""
    return {
        f"{place}/{number}": text
        for place, name in enumerate(classes.names)
        for number, text in enumerate(job.prompts.of(name, medium))
    }
