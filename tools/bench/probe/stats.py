"""Small statistics over measured samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median


def summary(samples: Sequence[float]) -> dict[str, float | int]:
    """Median, least and greatest of the samples and their number, in the samples' unit."""
    return {
        "median": median(samples),
        "min": min(samples),
        "max": max(samples),
        "n": len(samples),
    }


def ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1, equal values sharing the mean of their places."""
    order = sorted(range(len(values)), key=values.__getitem__)
    places = [0.0] * len(values)
    start = 0
    while start < len(order):
        stop = start
        while stop < len(order) and values[order[stop]] == values[order[start]]:
            stop += 1
        for index in order[start:stop]:
            places[index] = (start + stop + 1) / 2
        start = stop
    return places


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Spearman's rho in [-1, 1]; None if a side is constant or has fewer than two values."""
    first, second = ranks(a), ranks(b)
    mean = (len(first) + 1) / 2
    left = [value - mean for value in first]
    right = [value - mean for value in second]
    scale = sum(x * x for x in left) * sum(y * y for y in right)
    if scale == 0:
        return None
    return sum(x * y for x, y in zip(left, right, strict=True)) / math.sqrt(scale)
