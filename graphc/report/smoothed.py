"""Smoothed: the exponential mean of a noisy series."""

from __future__ import annotations

import math


class Smoothed:
    """s = sum_k d^k x[t-k] / sum_k d^k over what is finite, d = 1 - 1 / `span`; NaN before that."""

    def __init__(self, span: float) -> None:
        self._decay = 1 - 1 / max(1.0, span)
        self._sum = self._weight = 0.0

    def add(self, value: float) -> float:
        """Take in the next value and return the mean."""
        if math.isfinite(value):
            self._sum = self._decay * self._sum + value
            self._weight = self._decay * self._weight + 1
        return self.mean

    @property
    def mean(self) -> float:
        return self._sum / self._weight if self._weight else math.nan


__all__ = ["Smoothed"]
