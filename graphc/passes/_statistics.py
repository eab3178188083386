"""Statistics: mean and covariance of what a layer multiplies its weights with, and what follows.

Source: Xie et al., Compensation-aware pruning, arXiv 2108.13728.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from graphc.channels import Ints
from graphc.ir.graph import Node, typed
from graphc.ir.op import Sig
from graphc.ops.im2col import Im2col
from graphc.ops.inner_product import InnerProduct
from graphc.ops.spec import F64, Ctx
from graphc.records import record

RIDGE = 1e-9
"""Share of the mean variance that is added to each where channels depend on each other."""


@record(frozen=True)
class Statistics:
    """`mean` (K) and `covariance` (K, K) of the columns x of a layer y = W x + b, K = C * taps.

    `taps`: how many elements of x belong to each of the C channels, in a row.
    """

    mean: F64
    covariance: F64
    taps: int

    @property
    def channels(self) -> int:
        return self.mean.size // self.taps

    def columns(self, channels: Sequence[int] | Ints) -> Ints:
        """The elements of x that belong to some channels."""
        first = np.asarray(channels, np.int64)[:, None] * self.taps
        return np.asarray((first + np.arange(self.taps)).reshape(-1))

    @property
    def _ridge(self) -> float:
        return RIDGE * (float(np.diag(self.covariance).mean()) or 1.0)

    def compensated(self, weight: F64, bias: F64, kept: Ints) -> tuple[F64, F64, float]:
        """W' (O, kept columns) and b' that come nearest to y from the kept channels alone, and the
        mean of |y - y'|^2 that is left."""
        s = self.columns(kept)
        inner = self.covariance[np.ix_(s, s)]
        if not _is_regular(inner):
            inner = inner + self._ridge * np.eye(s.size)
        cross = weight @ self.covariance[:, s]
        made = np.linalg.solve(inner, cross.T).T
        shift = bias + weight @ self.mean - made @ self.mean[s]
        apart = self.loss(weight, made, s)
        return made, shift, apart

    def loss(self, weight: F64, made: F64, columns: Ints) -> float:
        """Mean of |W x - W' x[columns] - their means' difference|^2."""
        differ = weight.copy()
        differ[:, columns] -= made
        return float(max(0.0, np.einsum("ok,kl,ol->", differ, self.covariance, differ)))

    def variance(self, weight: F64) -> float:
        """The variance of y, summed over outputs."""
        return float(np.einsum("ok,kl,ol->", weight, self.covariance, weight))

    def ranked(self, weight: F64) -> tuple[Ints, F64]:
        """Channels in the order in which a greedy choice takes them, and the variance of y that
        each explains beyond those before it.

        After each, what it explains is taken out of the covariance, and of W times it: a Schur
        complement, block by block.
        """
        count, taps = self.channels, self.taps
        left = self.covariance + self._ridge * np.eye(self.mean.size)
        cross = weight @ self.covariance
        order: list[int] = []
        explained: list[float] = []
        open_ = np.ones(count, bool)
        for _ in range(count):
            at = np.flatnonzero(open_)
            columns = self.columns(at).reshape(-1, taps)
            blocks = left[columns[:, :, None], columns[:, None, :]]
            parts = cross[:, columns].transpose(1, 2, 0)  # (channel, tap, output)
            gains = (parts * np.linalg.solve(blocks, parts)).sum((1, 2))
            best = int(np.argmax(gains))
            own = columns[best]
            factor = np.linalg.solve(blocks[best], left[own])
            cross = cross - cross[:, own] @ factor
            left = left - left[:, own] @ factor
            order.append(int(at[best]))
            explained.append(float(gains[best]))
            open_[order[-1]] = False
        return np.array(order, np.int64), np.array(explained)


def _is_regular(matrix: F64) -> bool:
    """Is a covariance far enough from singular, by the pivots of its Cholesky factor?"""
    try:
        pivots = np.square(np.diag(np.linalg.cholesky(matrix)))
    except np.linalg.LinAlgError:
        return False
    return bool(pivots.min(initial=1.0) > RIDGE * pivots.max(initial=1.0))


def statistics(node: Node, x: F64, kernel: int) -> Statistics:
    """Of what a convolution or inner product reads. x: (N, C, ...); `kernel`: its elements."""
    if node.op is InnerProduct:
        axis = typed(node.ins["x"]).axis(node.attrs.axis)
        rows = x.reshape(int(np.prod(x.shape[:axis])), -1)
        taps = rows.shape[1] // x.shape[axis]
    else:
        type_ = replace(typed(node.ins["x0"]), shape=x.shape)
        sig = Sig({"x": type_}, ("y",))
        unfolded = Im2col.reference(node.attrs, {"x": x}, Ctx(sig))["y"]
        rows = np.moveaxis(unfolded, 1, -1).reshape(-1, unfolded.shape[1])
        taps = kernel
    mean = rows.mean(0)
    centred = rows - mean
    return Statistics(mean, centred.T @ centred / len(rows), taps)


__all__ = ["Statistics", "statistics"]
