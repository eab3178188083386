"""Layout: where the elements of a value lie in its root buffer, as strides and an offset."""

from __future__ import annotations

import math
from typing import TypeAlias

from graphc.numpy_later import np, npt
from graphc.records import record

Runs: TypeAlias = "npt.NDArray[np.int64]"
Levels = list[tuple[int, int]]


@record(frozen=True, slots=True)
class Layout:
    """Element (i0, i1, ...) lies at offset + i0 * strides[0] + ...; all in elements."""

    dims: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0

    @property
    def size(self) -> int:
        return math.prod(self.dims)

    @property
    def span(self) -> int:
        """Elements from the first to past the last one; 0 if there is none."""
        return _span(_levels(self)) if self.size else 0

    @property
    def is_dense(self) -> bool:
        """Do the elements follow each other without gaps, in order?"""
        return not self.size or _levels(self) in ([], [(self.size, 1)])


def dense(dims: tuple[int, ...]) -> Layout:
    """Row-major, from offset 0."""
    strides, step = [], 1
    for dim in reversed(dims):
        strides.append(step)
        step *= max(1, dim)
    return Layout(dims, tuple(reversed(strides)))


def sliced(layout: Layout, axis: int, start: int, stop: int) -> Layout:
    """The elements start .. stop - 1 along `axis`."""
    dims = (*layout.dims[:axis], stop - start, *layout.dims[axis + 1 :])
    return Layout(dims, layout.strides, layout.offset + start * layout.strides[axis])


def reshaped(layout: Layout, dims: tuple[int, ...]) -> Layout | None:
    """The same elements in the same order under other dims; None where no strides can say that."""
    if dims == layout.dims:
        return layout
    if 0 in dims:
        return Layout(dims, dense(dims).strides, layout.offset)
    levels = _levels(layout)
    left, step = levels.pop() if levels else (1, 1)
    strides = [0] * len(dims)
    for axis in reversed(range(len(dims))):
        if dims[axis] > 1 and left == 1:
            left, step = levels.pop()
        if left % dims[axis]:
            return None
        strides[axis] = step
        step *= dims[axis]
        left //= dims[axis]
    return Layout(dims, tuple(strides), layout.offset)


def overlap(a: Layout, b: Layout) -> bool:
    """Do two layouts of one root have an element in common?"""
    if a.offset + a.span <= b.offset or b.offset + b.span <= a.offset:
        return False
    if not a.size or not b.size:
        return False
    one, other = (a.offset, _levels(a)), (b.offset, _levels(b))
    while (inner := _in_one_period(*one, *other)) is not None:
        one, other = inner
    if one[0] + _span(one[1]) <= other[0] or other[0] + _span(other[1]) <= one[0]:
        return False
    if all(levels in ([], [(_span(levels), 1)]) for _, levels in (one, other)):
        return True  # neither has gaps
    starts, stops = _runs(*one)
    first, last = _runs(*other)
    after = np.searchsorted(stops, first, "right")  # the first run of `one` that ends behind each
    found = after < starts.size
    return bool((starts[after[found]] < last[found]).any())


def _in_one_period(
    a: int, a_levels: Levels, b: int, b_levels: Levels
) -> tuple[tuple[int, Levels], tuple[int, Levels]] | None:
    """Both without their outermost level, if that is the same and neither crosses its period."""
    a_levels, b_levels = _split(a_levels, b_levels), _split(b_levels, a_levels)
    if not a_levels or not b_levels or a_levels[0] != b_levels[0]:
        return None
    period = a_levels[0][1]
    inner = (a % period, a_levels[1:]), (b % period, b_levels[1:])
    crosses = any(at + _span(levels) > period for at, levels in inner)
    return None if crosses or a // period != b // period else inner


def _split(levels: Levels, like: Levels) -> Levels:
    """The outermost level as two, if the outer of them is then that of `like`."""
    if not levels or not like:
        return levels
    (extent, stride), (count, period) = levels[0], like[0]
    if period > stride and period % stride == 0 and extent * stride == count * period:
        return [like[0], (period // stride, stride), *levels[1:]]
    return levels


def _span(levels: Levels) -> int:
    return 1 + sum((extent - 1) * stride for extent, stride in levels)


def _levels(layout: Layout) -> Levels:
    """(extent, stride) from the outermost axis in, those merged that run on without a gap."""
    levels: Levels = []
    for dim, stride in zip(layout.dims, layout.strides, strict=True):
        if dim == 1:
            continue
        if levels and levels[-1][1] == dim * stride:
            levels[-1] = (levels[-1][0] * dim, stride)
        else:
            levels.append((dim, stride))
    return levels


def _runs(offset: int, levels: Levels) -> tuple[Runs, Runs]:
    """Start and end of each gapless run of elements, ascending."""
    *outer, (length, step) = levels or [(1, 1)]
    if step != 1:
        outer, length = levels, 1
    starts = np.array([offset], np.int64)
    for extent, stride in outer:
        steps = np.arange(extent, dtype=np.int64) * stride
        starts = (starts[:, None] + steps).reshape(-1)
    starts.sort()
    return starts, starts + length


__all__ = ["Layout", "dense", "overlap", "reshaped", "sliced"]
