"""Label memorization: how sure a classifier is of the label that a sample has in the training set.

    A(f, x, y) = softmax(f(x))_y             probability
    A(f, x, y) = 1[argmax f(x) = y]          correctness, as printed

    Feldman & Zhang, "What Neural Networks Memorize and Why" (NeurIPS 2020), the estimator of mem(A, S, i).
    Its contrast over models trained on random subsets is `memorization`.

For samples with any number of labels Y, which the paper does not treat, the same mean over the labels of a sample:

    A(f, x, Y) = 1/|Y| sum_(y in Y) sigmoid(f(x)_y)            probability
    A(f, x, Y) = 1/|Y| sum_(y in Y) 1[f(x)_y > 0]              correctness

Shapes: N samples, C classes.
"""

from typing import Literal

import torch
from torch import Tensor

from . import checks

Kind = Literal["probability", "correctness"]
KINDS = ("probability", "correctness")


def label_alignment(logits: Tensor, labels: Tensor, *, kind: Kind = "probability") -> Tensor:
    """Probability of the true label, or whether it is the predicted one.

    Args:
        logits: [N, C], unnormalised scores of the classes.
        labels: long [N], in [0, C).
        kind: "probability" varies smoothly, so few models suffice; "correctness" is the paper's, 0 or 1 a model.

    Returns:
        [N], in [0, 1]. Of equal logits the first class is the predicted one.

    Raises:
        ValueError: wrong shape, dtype or device, NaN or infinite logits, labels outside the classes, unknown kind.
    """
    checks.choice("kind", kind, KINDS)
    checks.numbers("logits", logits, "[N, C]", (None, None))
    n, classes = logits.shape
    checks.integers("labels", labels, "[N]", (n,), low=0, high=classes)
    checks.device("labels", labels, logits)
    scores = logits.to(checks.working_dtype(logits))
    if kind == "correctness":
        return (scores.argmax(1) == labels).to(scores.dtype) if classes else scores.new_empty(0)
    true = scores.gather(1, labels.unsqueeze(1)).squeeze(1)
    return (true - torch.logsumexp(scores, dim=1)).exp()


def label_set_alignment(logits: Tensor, labels: Tensor, *, kind: Kind = "probability") -> Tensor:
    """Mean probability of the labels of each sample, or the share of them that is predicted.

    Args:
        logits: [N, C], the log-odds of each class.
        labels: bool [N, C], which of the classes each sample has.
        kind: "probability" or "correctness".

    Returns:
        [N], in [0, 1]; NaN for a sample without labels.

    Raises:
        ValueError: wrong shape, dtype or device, NaN or infinite logits, unknown kind.
    """
    checks.choice("kind", kind, KINDS)
    checks.numbers("logits", logits, "[N, C]", (None, None))
    checks.boolean("labels", labels, "[N, C]", tuple(logits.shape), logits)
    scores = logits.to(checks.working_dtype(logits))
    each = (scores > 0).to(scores.dtype) if kind == "correctness" else scores.sigmoid()
    return each.where(labels, 0).sum(1) / labels.sum(1)
