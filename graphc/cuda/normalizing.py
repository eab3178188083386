"""Work of BatchNorm's parts, whole or in slices, of MVN and of Softmax."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from graphc.cuda.expressions import ALL, elementwise
from graphc.cuda.launch import (
    NULL,
    THREADS,
    Launch,
    Operand,
    Scratch,
    Spec,
    Told,
    Work,
    long,
    over,
    over_rows,
    per_warp,
    shares,
)
from graphc.cuda.losses import rows_of
from graphc.cuda.sums import COLUMNS, ROWS_AT_ONCE, column_sums
from graphc.numpy_later import np
from graphc.ops.scalar import Var, sqrt
from graphc.records import record

SOURCE = "batch_norm.cu"
MOMENTS, SLOPES = 3, 2
"""Numbers of a channel that a block leaves."""


@record(frozen=True)
class Channels:
    """An operand seen as (outer, count, inner); inner is 1 where channels come last in memory."""

    outer: int
    count: int
    inner: int

    @property
    def numbers(self) -> Any:
        return long(self.outer, self.count, self.inner)

    @property
    def blocks(self) -> int:
        """That share out the elements of a channel."""
        return shares(self.outer * (COLUMNS if self.is_flat else self.inner))

    def sums(self, kernel: str, item: str, *places: Any) -> Launch:
        """Sums over each channel, of each of `blocks` shares, neighbours read together."""
        name = f"graphc::{kernel}<{item}, graphc::{'ByColumn' if self.is_flat else 'ByBlock'}>"
        args = (self.numbers, *places)
        if self.is_flat:
            grid, block = (-(-self.count // COLUMNS), self.blocks), (COLUMNS, ROWS_AT_ONCE)
            return Launch(SOURCE, name, grid, block, args, THREADS * 4)
        return Launch(SOURCE, name, (self.count, self.blocks), (THREADS,), args, per_warp())

    @property
    def is_flat(self) -> bool:
        """Do channels come last in memory?"""
        return self.inner == 1 and self.count > 1


def channels_of(x: Spec) -> Channels:
    """Of a batch (N, C, ...), or of numbers (N,), which are one channel's."""
    if len(x.shape) < 2:
        return Channels(x.size, 1, 1)
    outer, count, inner = x.shape[0], x.shape[1], math.prod(x.shape[2:])
    return Channels(outer, count, inner) if x.is_dense else Channels(outer * inner, count, 1)


def statistics(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """x, or slices x0, x1, ... -> mean and biased variance of the channels."""
    places = [(channels_of(x), x.item, Operand(k)) for k, x in enumerate(reads)]
    return _statistics(places, Operand(len(reads)), Operand(len(reads) + 1))


def _statistics(
    slices: Sequence[tuple[Channels, str, Any]], mean: Any, variance: Any, at: int = 0
) -> Work:
    """The same of any arguments; the workspace from byte `at` on holds what blocks leave."""
    count = slices[0][0].count
    if not count:
        return Work(())
    starts = [*itertools.accumulate((each.blocks for each, _, _ in slices), initial=0)]
    room = [Scratch(at + 4 * MOMENTS * count * start) for start in starts]
    launches = [
        each.sums("batch_norm_moments", item, x, own)
        for (each, item, x), own in zip(slices, room, strict=False)
    ]
    args = (long(count), np.int32(starts[-1]), room[0], mean, variance)
    joined = Launch(SOURCE, "graphc::batch_norm_statistics", *_each(count), args)
    return Work((*launches, joined), room[-1].offset)


def normalize(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """x, mean, variance and, of a state, factor -> y, which may be x."""
    x, channels = reads[0], channels_of(reads[0])
    factor = Operand(3) if len(reads) > 3 else NULL
    places = (*map(Operand, range(3)), factor, Operand(len(reads)))
    name = f"graphc::batch_norm_normalize<{x.item}>"
    args = (channels.numbers, np.float32(told["eps"]), *places)
    return Work((Launch(SOURCE, name, *over(x.size), args),))


def gradient(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """dy, y, variance -> dx, which may be dy."""
    eps, size = told["eps"], reads[0].size // max(1, channels_of(reads[0]).count)
    return _gradient(reads[0], size, eps, is_deviation=False)


def _gradient(dy: Spec, size: int, eps: float, *, is_deviation: bool, groups: int = 0) -> Work:
    """dy, y, what they spread -> dx; with `groups`, of as many groups in place of channels."""
    channels = Channels(1, groups, size) if groups else channels_of(dy)
    if not channels.count:
        return Work(())
    sums, partial = Scratch(0), 8 * channels.count
    summed = _slopes([(channels, dy.item, Operand(0), Operand(1))], sums, partial)
    places = (Operand(0), Operand(1), Operand(2), sums, Operand(3))
    last = _slope(channels, dy, size, eps, places, is_deviation=is_deviation)
    return Work((*summed.launches, last), summed.workspace)


def _slopes(slices: Sequence[tuple[Channels, str, Any, Any]], sums: Any, at: int = 0) -> Work:
    """sums (2, channels), of dy and of dy y over all slices (channels, type, dy, y)."""
    count = slices[0][0].count
    starts = [*itertools.accumulate((each.blocks for each, *_ in slices), initial=0)]
    room = [Scratch(at + 4 * SLOPES * count * start) for start in starts]
    launches = [
        each.sums("batch_norm_slopes", item, dy, y, own)
        for (each, item, dy, y), own in zip(slices, room, strict=False)
    ]
    extents = (starts[-1], SLOPES * count)
    total = column_sums(extents, "float", room[0], sums, at=room[-1].offset)
    return Work((*launches, *total.launches), max(room[-1].offset, total.workspace))


def _slope(
    channels: Channels, dy: Spec, size: int, eps: float, places: Any, *, is_deviation: bool
) -> Launch:
    args = (channels.numbers, long(size), np.int32(is_deviation), np.float32(eps), *places)
    return Launch(SOURCE, f"graphc::batch_norm_gradient<{dy.item}>", *over(dy.size), args)


def global_gradient(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """dy, variance, factor -> dx, which may be dy."""
    dy, channels = reads[0], channels_of(reads[0])
    args = (channels.numbers, np.float32(told["eps"]), *map(Operand, range(4)))
    return Work((Launch(SOURCE, f"graphc::{symbol}<{dy.item}>", *over(dy.size), args),))


def slice_sums(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """dy0, dy1, ..., y0, y1, ... -> sums (2, channels), of dy and of dy y."""
    count = len(reads) // 2
    slices = [
        (channels_of(dy), dy.item, Operand(k), Operand(count + k))
        for k, dy in enumerate(reads[:count])
    ]
    return _slopes(slices, Operand(len(reads))) if writes[0].size else Work(())


def slice_gradient(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """dy, y, variance, sums of all slices -> dx, which may be dy."""
    dy, places = reads[0], tuple(map(Operand, range(5)))
    size, eps = told["count"], told["eps"]
    return Work((_slope(channels_of(dy), dy, size, eps, places, is_deviation=False),))


def update(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """batch_mean, batch_variance, mean, variance, factor -> the last three, perhaps in place."""
    count = reads[0].size
    numbers = (long(count), long(told["count"]), np.float32(told["kept"]))
    launch = Launch(SOURCE, f"graphc::{symbol}", *_each(count), (*numbers, *map(Operand, range(8))))
    return Work((launch,))


def mvn(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """x -> y, each group by its mean and variance, which may be x, and perhaps deviation."""
    x, groups = reads[0], told["groups"]
    if not groups:
        return Work(())
    size = x.size // groups
    mean, variance, kept = (Scratch(4 * groups * k) for k in range(3))
    whole, each = Spec(x.dtype, (groups, size)), Spec("f32", (groups,))
    found = _statistics(
        [(Channels(1, groups, size), x.item, Operand(0))], mean, variance, 12 * groups
    )
    inputs = {"x": (whole, ALL, Operand(0)), "mean": (each, 0, mean)}
    if not told["variance"]:
        last = elementwise(Var("x") - Var("mean"), inputs, (whole, Operand(1)))
        return Work((*found.launches, *last.launches), found.workspace)
    deviation = Operand(2) if len(writes) > 1 else kept
    spread = sqrt(Var("variance")) + told["eps"]
    middle = elementwise(spread, {"variance": (each, ALL, variance)}, (each, deviation))
    inputs["deviation"] = (each, 0, deviation)
    y = (Var("x") - Var("mean")) / Var("deviation")
    last = elementwise(y, inputs, (whole, Operand(1)))
    return Work((*found.launches, *middle.launches, *last.launches), found.workspace)


def mvn_gradient(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """dy, and with `variance` y and deviation -> dx, which may be dy."""
    dy, groups = reads[0], told["groups"]
    if not groups:
        return Work(())
    size = dy.size // groups
    if told["variance"]:
        return _gradient(dy, size, 0.0, is_deviation=True, groups=groups)
    mean, variance = Scratch(0), Scratch(4 * groups)
    slices = [(Channels(1, groups, size), dy.item, Operand(0))]
    found = _statistics(slices, mean, variance, 8 * groups)
    whole = Spec(dy.dtype, (groups, size))
    inputs = {"dy": (whole, ALL, Operand(0)), "mean": (Spec("f32", (groups,)), 0, mean)}
    last = elementwise(Var("dy") - Var("mean"), inputs, (whole, Operand(1)))
    return Work((*found.launches, *last.launches), found.workspace)


def _each(count: int) -> tuple[tuple[int], tuple[int]]:
    """Grid and block with a thread for each of `count`, at least one."""
    return (max(1, -(-count // THREADS)),), (THREADS,)


def softmax(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """softmax: x -> y; softmax_gradient: dy, y -> dx; each may lie over its first operand."""
    rows, count = rows_of(symbol, reads[0], told["axis"])
    args = (rows, *map(Operand, range(len(reads) + 1)))
    name = f"graphc::{symbol}<{reads[0].item}>"
    return Work((Launch("softmax.cu", name, *over_rows(count), args),))
