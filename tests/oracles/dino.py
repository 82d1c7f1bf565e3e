"""DINO (Caron et al., 2021), Algorithm 1, with loops over crops, samples and outputs in float64."""

import math


def softmax(row: list[float]) -> list[float]:
    largest = max(row)
    weights = [math.exp(x - largest) for x in row]
    return [weight / math.fsum(weights) for weight in weights]


def loss(student, teacher, centre, student_temperature: float, teacher_temperature: float) -> float:
    """Mean of H(P_t(x), P_s(x')) over samples and over pairs of a global crop x and another crop x'.

    Args:
        student: outputs of all crops, the global ones first, [crops][samples][outputs].
        teacher: outputs of the global crops.
        centre: [outputs].
    """
    total, terms = 0.0, 0
    for t, global_crop in enumerate(teacher):
        for s, crop in enumerate(student):
            if s == t:
                continue
            for sample in range(len(crop)):
                centred = [x - c for x, c in zip(global_crop[sample], centre, strict=True)]
                target = softmax([x / teacher_temperature for x in centred])
                guess = softmax([x / student_temperature for x in crop[sample]])
                total -= math.fsum(p * math.log(q) for p, q in zip(target, guess, strict=True))
                terms += 1
    return total / terms


def next_centre(centre, teacher, momentum: float) -> list[float]:
    """C <- m c + (1 - m) mean of the teacher's outputs over crops and samples (eq. 4)."""
    rows = [row for crop in teacher for row in crop]
    means = [math.fsum(row[k] for row in rows) / len(rows) for k in range(len(centre))]
    return [momentum * c + (1 - momentum) * mean for c, mean in zip(centre, means, strict=True)]


def momentum(start: float, step: int, steps: int) -> float:
    """From `start` to 1 along a cosine."""
    return 1 - (1 - start) * (math.cos(math.pi * step / steps) + 1) / 2
