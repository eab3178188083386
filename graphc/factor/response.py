"""Response-based cross-filter bases: what is kept is what the layer computes, not its weights.

Source: Zhang et al., "Accelerating Very Deep Convolutional Networks", arXiv 1505.06798.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from graphc.factor.conv import Conv
from graphc.factor.cross_filter import CrossFilter
from graphc.factor.decomposition import Paths, relative
from graphc.factor.spectrum import tails
from graphc.ops.spec import F64

RIDGE = 1e-8
"""Share of the mean variance added to a covariance that is inverted."""
PENALTIES = (0.01,) * 25 + (1.0,) * 25
"""Of auxiliary responses away from linear ones, by iteration."""


class Response(CrossFilter):
    """y ~ M y' + c with M of low rank: `_lowrank` computes the rank's coordinates, `_linear` them.

    `y` (n, N): what the original computes at n places, with its bias; `seen` (n, N): the same in
    the network as it is by now, None for the original (symmetric). `rectified`: max(y, 0) is to be
    kept instead, as a ReLU follows.
    """

    name = "response"

    def __init__(
        self, conv: Conv, y: F64, seen: F64 | None = None, rectified: bool = False
    ) -> None:
        super().__init__(
            conv if conv.bias is not None else replace(conv, bias=np.zeros(conv.outputs))
        )
        self.y, self.seen, self.rectified = y, seen, rectified

    @cached_property
    def _parts(self) -> list[tuple[F64, F64]]:
        """(y, seen) of each group."""
        seen = self.y if self.seen is None else self.seen
        cut = [np.split(array, self.conv.group, axis=1) for array in (self.y, seen)]
        return list(zip(*cut, strict=True))

    @cached_property
    def left(self) -> F64:
        """Relative squared error of the centred responses by rank, were there no other change."""
        found = np.zeros(self.full + 1)
        for y, _ in self._parts:
            energies = np.linalg.eigvalsh(np.cov(y.T, bias=True).reshape(y.shape[1], -1))
            found += tails(np.maximum(energies[::-1], 0)[: self.full])
        return relative(found, float(found[0]))

    def factor(self, rank: int) -> Paths:
        found = [self._fitted(y, seen, rank) for y, seen in self._parts]
        assert self.conv.bias is not None
        parts = np.split(self.conv.bias, self.conv.group)
        shifts = [f.shift + f.matrix @ b for f, b in zip(found, parts, strict=True)]
        basis = [f.inner @ m for f, m in zip(found, self.matrices, strict=True)]
        ((first, second),) = self.layout(rank)
        one = np.concatenate(basis).reshape(first.conv.weight.shape)
        two = np.concatenate([f.outer for f in found]).reshape(second.conv.weight.shape)
        last = replace(second.conv, weight=two, bias=np.concatenate(shifts))
        return ((replace(first, conv=replace(first.conv, weight=one)), replace(second, conv=last)),)

    def _fitted(self, y: F64, seen: F64, rank: int) -> Regression:
        if self.rectified:
            return rectified_regression(y, seen, rank)
        return principal(y, rank) if self.seen is None else reduced_rank(y, seen, rank)


class Regression:
    """y ~ outer inner seen + shift; outer (N, r), inner (r, N), shift (N,)."""

    def __init__(self, outer: F64, inner: F64, shift: F64) -> None:
        self.outer, self.inner, self.shift = outer, inner, shift

    @property
    def matrix(self) -> F64:
        return self.outer @ self.inner

    def __call__(self, seen: F64) -> F64:
        """(n, N) from (n, N)."""
        return np.asarray(seen @ self.matrix.T + self.shift)


def principal(y: F64, rank: int) -> Regression:
    """The projection onto the `rank` leading principal components of y (n, N), about its mean."""
    mean = y.mean(0)
    centred = y - mean
    u = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :rank]
    return Regression(u, u.T, mean - u @ (u.T @ mean))


def reduced_rank(y: F64, seen: F64, rank: int) -> Regression:
    """The affine map of rank `rank` from `seen` to y (both (n, N)) of least squared error.

    M0 by least squares, then the part of it that the leading vectors of its fit span.
    """
    mean, from_ = y.mean(0), seen.mean(0)
    a, b = y - mean, seen - from_
    gram = b.T @ b
    ridge = RIDGE * np.trace(gram) / len(gram) + 1e-300
    whole = np.linalg.solve(gram + ridge * np.eye(len(gram)), b.T @ a).T
    fit = whole @ gram @ whole.T
    u = np.linalg.eigh((fit + fit.T) / 2)[1][:, ::-1][:, :rank]
    inner = u.T @ whole
    return Regression(u, inner, mean - u @ (inner @ from_))


def rectified_regression(
    y: F64, seen: F64, rank: int, penalties: Sequence[float] = PENALTIES
) -> Regression:
    """An affine map of rank `rank` that brings max(map(seen), 0) near max(y, 0).

    Auxiliary responses z take turns with `reduced_rank` from `seen` to z: each z is the better of
    its two branches, below and above 0, of (max(y, 0) - max(z, 0))^2 + penalty (z - map)^2. The
    best map on the way is returned, the linear one included.
    """
    target = np.maximum(y, 0)
    found = best = reduced_rank(y, seen, rank)
    least = _rectified_error(best, seen, target)
    for penalty in penalties:
        linear = found(seen)
        below = np.minimum(linear, 0)
        above = np.maximum((penalty * linear + target) / (penalty + 1), 0)
        cost_below = target**2 + penalty * (below - linear) ** 2
        cost_above = (target - above) ** 2 + penalty * (above - linear) ** 2
        found = reduced_rank(np.where(cost_below < cost_above, below, above), seen, rank)
        error = _rectified_error(found, seen, target)
        if error < least:
            best, least = found, error
    return best


def _rectified_error(found: Regression, seen: F64, target: F64) -> float:
    return float(((np.maximum(found(seen), 0) - target) ** 2).sum())


__all__ = ["Regression", "Response", "principal", "rectified_regression", "reduced_rank"]
