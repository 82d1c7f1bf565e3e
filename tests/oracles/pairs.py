"""Pairs against all others, by the definition: literal loops in float64."""

import math

import torch
from torch import Tensor


def neighbour_agreement(a: Tensor, b: Tensor, group: Tensor, k: int, rows: list[int]) -> list[float]:
    """Mean of both ways; among `rows`, ties sharing the places that are left."""
    there, back = _told(a, b, group, k, rows), _told(b, a, group, k, rows)
    return [(x + y) / 2 for x, y in zip(there, back, strict=True)]


def _told(near: Tensor, told: Tensor, group: Tensor, k: int, rows: list[int]) -> list[float]:
    found = []
    for i in range(len(near)):
        others = [(_dot(near[i], near[j]), j) for j in rows if group[j] != group[i]]
        if not others:
            found.append(math.nan)
            continue
        places = min(k, len(rows))
        ranked = sorted(others, key=lambda one: -one[0])[:places]
        last = ranked[-1][0]
        nearer = [j for value, j in others if value > last]
        equal = [j for value, j in others if value == last]
        share = min(1.0, (places - len(nearer)) / len(equal))
        mean = sum((told[j] for j in nearer), torch.zeros_like(told[0]))
        mean = mean + share * sum((told[j] for j in equal), torch.zeros_like(told[0]))
        norm = math.sqrt(_dot(mean, mean))
        common = sum(_dot(told[i], told[j]) for j in rows) / len(rows)
        found.append((_dot(told[i], mean) / norm if norm > 1e-12 else 0.0) - common)
    return found


def pair_loss(a: Tensor, b: Tensor, group: Tensor, temperature: float, rows: list[int]) -> list[float]:
    """Mean of both ways; against `rows`."""

    def one(query: Tensor, target: Tensor, i: int) -> float:
        own = _dot(query[i], target[i])
        others = [math.exp((_dot(query[i], target[j]) - own) / temperature) for j in rows if group[j] != group[i]]
        return math.log(1 + sum(others))

    return [(one(a, b, i) + one(b, a, i)) / 2 for i in range(len(a))]


def _dot(x: Tensor, y: Tensor) -> float:
    return sum(p * q for p, q in zip(x.tolist(), y.tolist(), strict=True))
