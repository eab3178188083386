"""Ranks from the data alone: empirical variational Bayesian matrix factorization."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from graphc.ops.spec import F64
from graphc.records import record

STEPS = 80
_GOLDEN = (math.sqrt(5) - 1) / 2


@record(frozen=True)
class Evbmf:
    """`rank`, the noise's `variance`, and the singular values `kept`, shrunk."""

    rank: int
    variance: float
    kept: F64


def evbmf(matrix: F64) -> Evbmf:
    """The global analytic solution for a matrix (rows, columns) of a signal and normal noise.

    Source: Nakajima et al., "Global analytic solution of fully-observed variational Bayesian matrix
    factorization", JMLR 14, 2013; the noise's variance minimises the free energy.
    """
    low, high = sorted(matrix.shape)
    s = np.asarray(np.linalg.svd(matrix, compute_uv=False), np.float64)
    alpha = low / high
    t = 2.5129 * math.sqrt(alpha)
    bound = (1 + t) * (1 + alpha / t)
    upper = float((s**2).sum()) / (low * high)
    if not upper:
        return Evbmf(0, 0.0, s[:0])
    at = min(math.ceil(low / (1 + alpha)) - 1, low) - 1
    rest = s[min(at + 1, low - 1) :]
    lower = max(float(rest[0]) ** 2 / (high * bound), float((rest**2).mean()) / high)
    lower = max(lower, upper * 1e-12)
    variance = _least(lambda v: _free_energy(s, v, alpha, bound, high), lower, upper)
    kept = s[s > math.sqrt(high * variance * bound)]
    square = kept**2
    share = 1 - (low + high) * variance / square
    inner = np.maximum(share**2 - 4 * low * high * variance**2 / square**2, 0)
    return Evbmf(len(kept), variance, kept / 2 * (share + np.sqrt(inner)))


def _free_energy(s: F64, variance: float, alpha: float, bound: float, high: int) -> float:
    x = s**2 / (high * variance)
    noise, signal = x[x <= bound], x[x > bound]
    noise = noise[noise > 0]
    shifted = signal - (1 + alpha)
    tau = (shifted + np.sqrt(np.maximum(shifted**2 - 4 * alpha, 0))) / 2
    found = (noise - np.log(noise)).sum() + (signal - tau).sum()
    found += (np.log((tau + 1) / signal) + alpha * np.log(tau / alpha + 1)).sum()
    return float(found)


def _least(f: Callable[[float], float], low: float, high: float) -> float:
    """Where f is least between `low` and `high`: on a logarithmic grid, then by golden section."""
    grid = np.geomspace(low, high, STEPS) if high > low else np.array([low])
    best = int(np.argmin([f(v) for v in grid]))
    a, b = (math.log(grid[max(best - 1, 0)]), math.log(grid[min(best + 1, len(grid) - 1)]))
    for _ in range(STEPS):
        left, right = b - _GOLDEN * (b - a), a + _GOLDEN * (b - a)
        if f(math.exp(left)) <= f(math.exp(right)):
            b = right
        else:
            a = left
    return math.exp((a + b) / 2)


__all__ = ["Evbmf", "evbmf"]
