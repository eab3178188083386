"""Alternating least squares for sums of rank-one tensors (CP, canonical polyadic)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from graphc.factor.spectrum import spectrum
from graphc.ops.spec import F64

RIDGE = 1e-10
"""Share of the Gram matrix' trace added to its diagonal, lest terms cancel each other."""
SWEEPS, ENOUGH = 200, 1e-9
LETTERS = "abcdefgh"


def cp(tensor: F64, rank: int, rng: np.random.Generator, starts: int = 3) -> list[F64]:
    """Factors (extent, rank), one per axis, whose products summed over the rank approach `tensor`.

    The best of `starts` runs, the first from the unfoldings' leading vectors, the others from
    normal numbers; the norm of each term is spread evenly over its factors. Source: Carroll and
    Chang, 1970; Lebedev et al., arXiv 1412.6553.
    """
    energy = float((tensor**2).sum())
    if not energy:
        return [np.zeros((extent, rank)) for extent in tensor.shape]
    best, least = list[F64](), math.inf
    for start in range(starts):
        factors = [_start(tensor, axis, rank, rng, start) for axis in range(tensor.ndim)]
        factors, error = _alternated(tensor, factors, energy)
        if error < least:
            best, least = factors, error
    return _spread(best)


def _start(tensor: F64, axis: int, rank: int, rng: np.random.Generator, start: int) -> F64:
    extent = tensor.shape[axis]
    noise = rng.standard_normal((extent, rank))
    if start:
        return noise
    leading = spectrum(np.moveaxis(tensor, axis, 0).reshape(extent, -1)).u[:, :rank]
    return np.concatenate([leading, noise[:, leading.shape[1] :]], axis=1)


def _alternated(tensor: F64, factors: list[F64], energy: float) -> tuple[list[F64], float]:
    """The factors after the last sweep, and their squared error as a share of `energy`."""
    grams = [f.T @ f for f in factors]
    last, error = math.inf, math.inf
    for _ in range(SWEEPS):
        for axis in range(tensor.ndim):
            others = [g for at, g in enumerate(grams) if at != axis]
            gram = np.prod(others, axis=0)
            gram = gram + np.eye(len(gram)) * (RIDGE * np.trace(gram) / len(gram) + 1e-300)
            target = contracted(tensor, factors, axis)
            factors[axis] = np.linalg.solve(gram, target.T).T
            grams[axis] = factors[axis].T @ factors[axis]
        inner = float((target * factors[-1]).sum())
        error = (energy - 2 * inner + float(np.prod(grams, axis=0).sum())) / energy
        if last - error < ENOUGH * max(error, 1e-12):
            break
        last = error
    return factors, error


def contracted(tensor: F64, factors: Sequence[F64], axis: int) -> F64:
    """(extent, rank): `tensor` times every factor but that of `axis`, summed over their axes."""
    names = LETTERS[: tensor.ndim]
    parts = [(f"{names[at]}z", f) for at, f in enumerate(factors) if at != axis]
    told = ",".join([names, *(name for name, _ in parts)])
    found: F64 = np.einsum(f"{told}->{names[axis]}z", tensor, *(f for _, f in parts), optimize=True)
    return found


def _spread(factors: list[F64]) -> list[F64]:
    """The factors with the norm of each term shared evenly among them."""
    norms = np.stack([np.linalg.norm(f, axis=0) for f in factors])
    even = np.prod(norms, axis=0) ** (1 / len(factors))
    return [
        f * np.divide(even, norm, out=np.zeros_like(even), where=norm > 0)
        for f, norm in zip(factors, norms, strict=True)
    ]


__all__ = ["contracted", "cp"]
