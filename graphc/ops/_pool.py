"""Pool: windows along an axis of an image; their maxima and sums, and the ways back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TypeAlias, TypeVar

from graphc.numpy_later import np, npt
from graphc.ops.spec import F64
from graphc.records import record

FLT_MAX = 2.0**128 - 2.0**104
Index: TypeAlias = "npt.NDArray[np.int64]"
Array = TypeVar("Array", F64, Index)


@record(frozen=True, slots=True)
class Pool:
    """Windows along one spatial axis: window p starts at p*stride - pad."""

    size: int
    kernel: int
    stride: int
    pad: int
    out: int

    def spans(self) -> Iterator[tuple[int, int, int]]:
        """(start, first, stop) of each window: where it starts, and its elements in the image."""
        for p in range(self.out):
            start = p * self.stride - self.pad
            first, stop = max(start, 0), min(start + self.kernel, self.size)
            yield start, first, max(first, stop)

    def extents(self) -> F64:
        """Elements of each window inside the padded image; 0 or less if wholly outside."""
        starts = np.arange(self.out, dtype=np.float64) * self.stride - self.pad
        return np.minimum(starts + self.kernel, self.size + self.pad) - starts


def _cut(x: Array, axis: int, first: int, stop: int) -> Array:
    """x[first:stop] along `axis`, a view."""
    return x[(slice(None),) * axis + (slice(first, stop),)]


def _best(x: F64, pool: Pool, axis: int) -> tuple[F64, Index]:
    """Maximum along `axis` of each window, -FLT_MAX if nothing is greater, and where in it."""
    shape = (*x.shape[:axis], pool.out, *x.shape[axis + 1 :])
    best, index = np.full(shape, -FLT_MAX), np.zeros(shape, np.int64)
    for p, (start, first, stop) in enumerate(pool.spans()):
        if first < stop:
            part = _cut(x, axis, first, stop)
            found = np.where(part > -FLT_MAX, part, -FLT_MAX)  # NaN, too, never beats -FLT_MAX
            where = np.expand_dims(found.argmax(axis), axis)
            value = np.take_along_axis(found, where, axis)
            _cut(best, axis, p, p + 1)[...] = value
            _cut(index, axis, p, p + 1)[...] = np.where(
                value > -FLT_MAX, where + (first - start), 0
            )
    return best, index


def maximum(x: F64, rows: Pool, cols: Pool) -> tuple[F64, Index]:
    """Maximum of each window and its row-major index in it; rows first, so the first of equals."""
    along, inner = _best(x, cols, 3)
    best, outer = _best(along, rows, 2)
    h = np.arange(rows.out)[:, None] * rows.stride - rows.pad + outer
    inner = np.take_along_axis(inner, h.clip(0, rows.size - 1), 2)
    return best, np.where(best > -FLT_MAX, outer * cols.kernel + inner, 0)


def scatter(dy: F64, index: Index, rows: Pool, cols: Pool) -> F64:
    """Add dy to the element each window's index names; nothing for an index outside the image."""
    h = index // cols.kernel + np.arange(rows.out)[:, None] * rows.stride - rows.pad
    w = index % cols.kernel + np.arange(cols.out) * cols.stride - cols.pad
    planes, area = math.prod(dy.shape[:2]), rows.size * cols.size
    plane = np.arange(planes).reshape(*dy.shape[:2], 1, 1)
    inside = (h >= 0) & (h < rows.size) & (w >= 0) & (w < cols.size)
    flat = (plane * area + h * cols.size + w)[inside]
    dx = np.asarray(np.bincount(flat, dy[inside], planes * area), np.float64)
    return dx.reshape(*dy.shape[:2], rows.size, cols.size)


def box_sum(x: F64, rows: Pool, cols: Pool) -> F64:
    """Sum of each window's elements in the image."""
    for axis, pool in ((3, cols), (2, rows)):
        sums = np.zeros((*x.shape[:axis], pool.out, *x.shape[axis + 1 :]))
        for p, (_, first, stop) in enumerate(pool.spans()):
            _cut(sums, axis, p, p + 1)[...] = _cut(x, axis, first, stop).sum(axis, keepdims=True)
        x = sums
    return x


def spread(share: F64, rows: Pool, cols: Pool) -> F64:
    """Add each window's value to all its elements in the image: the transpose of `box_sum`."""
    for axis, pool in ((3, cols), (2, rows)):
        image = np.zeros((*share.shape[:axis], pool.size, *share.shape[axis + 1 :]))
        for p, (_, first, stop) in enumerate(pool.spans()):
            under = _cut(image, axis, first, stop)
            under += _cut(share, axis, p, p + 1)
        share = image
    return share


__all__ = ["FLT_MAX", "Pool", "box_sum", "maximum", "scatter", "spread"]
