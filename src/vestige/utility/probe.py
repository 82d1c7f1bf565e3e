"""The linear probe: how well a linear classifier on frozen features tells classes apart.

The exact probe is a logistic regression (`vestige.utility.logistic`) as in the Déjà Vu paper (Jayaraman et al., 2024,
section 4.1) and in CLIP's appendix A.3. Its penalty is the one that is most often right on a validation part of the
training part, chosen by groups; the test part is not looked at. Then it is fitted to the whole training part. Features
are standardised with the training part's mean and deviation: the probe stays linear, and one range of penalties serves
features of any scale. Means over validation samples are compared, so the penalty is one a sample: C = 1 / (N penalty).

Shapes: N training samples, T test samples, d dimensions, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vestige.metrics import average_precision, checks
from vestige.utility.accuracy import top_hits
from vestige.utility.logistic import Logistic, fit_logistic
from vestige.utility.splits import split_groups

PENALTIES = (1e1, 1e0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
"""From strong to weak: each fit starts from the last one."""
VALIDATION = 0.2
# Largest gradients to stop at: while penalties are compared, and in the final fit. Features are standardised, so that
# gradients are of the order of 1 at the start; scikit-learn stops at 1e-4 when not told otherwise.
SWEEP_TOLERANCE, TOLERANCE = 1e-3, 1e-5


@dataclass(frozen=True, slots=True)
class Probe:
    """What a probe says of the test part.

    Attributes:
        scores: [T, C].
        penalty: the one that was chosen.
        validation: for every penalty tried, the accuracy (mean average precision for sets) on the validation part.
    """

    scores: Tensor
    penalty: float
    validation: dict[float, float]


def exact_probe(
    train: Tensor,
    labels: Tensor,
    test: Tensor,
    classes: int,
    *,
    group: Tensor | None = None,
    penalties: Sequence[float] = PENALTIES,
    seed: int = 0,
) -> Probe:
    """Fit the probe to the training part and score the test part.

    Args:
        train: features [N, d].
        labels: long [N], or bool [N, C] for sets of labels.
        test: features [T, d].
        classes: C.
        group: long [N]; samples of a group are in one part. Every sample its own when not given.
        penalties: to choose from; with a single one nothing is held back.
        seed: of the validation part.

    Raises:
        ValueError: wrong shape or dtype, NaN, no penalty.
    """
    checks.numbers("train", train, "[N, d]", (None, None))
    checks.numbers("test", test, "[T, d]", (None, train.shape[1]))
    checks.count("penalties: number", len(penalties))
    mean, scale = _standard(train)
    features = (train - mean) / scale
    tried: dict[float, float] = {}
    if len(penalties) > 1:
        own = torch.arange(len(train)) if group is None else group
        classed = labels if labels.ndim == 1 else torch.zeros(len(train), dtype=torch.long)
        held = split_groups(classed, own, share=VALIDATION, seed=seed).to(train.device)
        fit: Logistic | None = None
        for penalty in sorted(penalties, reverse=True):
            fit = fit_logistic(
                features[~held], labels[~held], classes, penalty=penalty, start=fit, tolerance=SWEEP_TOLERANCE
            )
            tried[penalty] = _rightness(fit.scores(features[held]), labels[held])
    # Of equally good ones the strongest: the simplest probe.
    best = max(tried, key=lambda penalty: (tried[penalty], penalty)) if tried else penalties[0]
    final = fit_logistic(features, labels, classes, penalty=best, tolerance=TOLERANCE)
    return Probe(final.scores((test - mean) / scale), best, tried)


def _standard(train: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of every dimension [d]; one that never changes is left as it is."""
    deviation, mean = torch.std_mean(train.float(), dim=0, correction=0)
    # What rounding leaves of a constant is not blown up to a feature.
    constant = deviation <= 1e-6 * mean.abs()
    return mean, torch.where(constant, torch.ones_like(deviation), deviation)


def _rightness(scores: Tensor, labels: Tensor) -> float:
    if labels.ndim == 1:
        return float(top_hits(scores, labels).double().mean()) if len(labels) else 0.0
    known = [c for c in range(labels.shape[1]) if bool(labels[:, c].any())]
    return sum(average_precision(scores[:, c], labels[:, c]) for c in known) / max(len(known), 1)
