"""Work of what moves elements: operands may have any strides."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

from graphc.cuda.launch import (
    Launch,
    Operand,
    Spec,
    Told,
    Work,
    long,
    over,
    refuse,
)
from graphc.numpy_later import np

MOST_AXES = 8
TILE, TILE_ROWS = 32, 8

Side: TypeAlias = tuple[Any, int, Sequence[int]]
"""Of a walk: the argument, the first element, strides in elements."""


def walk(shape: Sequence[int], item: str, source: Side, target: Side) -> Launch:
    """target[start + strides . i] = source[start + strides . i] for each index i below `shape`.
    Raises GC-A001 for what has more than 8 axes even where they run on without a gap."""
    told = _walk(shape, source[2], target[2])
    numbers = map(long, (math.prod(shape), source[1], target[1]))
    args = (told, *numbers, source[0], target[0])
    return Launch("copy.cu", f"graphc::copy_walk<{item}>", *over(math.prod(shape)), args)


def _walk(shape: Sequence[int], source: Sequence[int], target: Sequence[int]) -> Any:
    """A Walk, see kernels/strided.h, axes joined where both sides allow."""
    axes: list[tuple[int, int, int]] = []
    for size, from_, to in zip(shape, source, target, strict=True):
        if axes and axes[-1][1:] == (size * from_, size * to):
            axes[-1] = (axes[-1][0] * size, from_, to)
        elif size != 1:
            axes.append((size, from_, to))
    if len(axes) > MOST_AXES:
        refuse("copy_walk", f"{len(axes)} axes are more than {MOST_AXES}")
    numbers = [n for axis in (*axes, *[(1, 0, 0)] * (MOST_AXES - len(axes))) for n in axis]
    layout = np.dtype([("rank", np.int32), ("axes", np.int64, 3 * MOST_AXES)], align=True)
    return np.array((np.int32(len(axes)), numbers), layout)[()]


def concat(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """Operands one behind the other along an axis."""
    return _joined(told["axis"], writes[0], len(reads), [*enumerate(reads)], gathers=True)


def slice_(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """The parts of an operand, one behind the other along an axis."""
    return _joined(told["axis"], reads[0], 0, [*enumerate(writes, 1)], gathers=False)


def _joined(
    axis: int, whole: Spec, place: int, parts: list[tuple[int, Spec]], *, gathers: bool
) -> Work:
    """Copies between a whole, which is operand `place`, and its parts along an axis."""
    starts = itertools.accumulate((p.shape[axis] for _, p in parts), initial=0)
    launches = []
    for (number, part), start in zip(parts, starts, strict=False):
        inside = (Operand(place), start * whole.steps[axis], whole.steps)
        own = (Operand(number), 0, part.steps)
        sides = (own, inside) if gathers else (inside, own)
        if part.size:
            launches.append(walk(part.shape, part.item, *sides))
    return Work(tuple(launches))


def copy(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """x -> as many copies as there are results."""
    x = reads[0]
    places = enumerate(writes, 1) if x.size else ()
    source = (Operand(0), 0, x.steps)
    return Work(tuple(walk(x.shape, x.item, source, (Operand(k), 0, w.steps)) for k, w in places))


def reshape(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """x -> the same elements under other axes."""
    count = reads[0].size
    sides = (Operand(0), 0, (1,)), (Operand(1), 0, (1,))
    return Work((walk((count,), reads[0].item, *sides),) if count else ())


def crop(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """x -> what of it starts at `offset`, one number per axis."""
    x, y = reads[0], writes[0]
    source = (Operand(0), _at(told["offset"], x), x.steps)
    return Work((walk(y.shape, y.item, source, (Operand(1), 0, y.steps)),) if y.size else ())


def crop_gradient(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """dy -> dx, dy at `offset` and 0 around it."""
    dy, dx = reads[0], writes[0]
    if not dx.size:
        return Work(())
    zeros = (_walk(dx.shape, dx.steps, dx.steps), long(dx.size), Operand(1))
    fill = Launch("copy.cu", f"graphc::zero_walk<{dx.item}>", *over(dx.size), zeros)
    target = (Operand(1), _at(told["offset"], dx), dx.steps)
    put = (walk(dy.shape, dy.item, (Operand(0), 0, dy.steps), target),) if dy.size else ()
    return Work((fill, *put))


def _at(offset: Sequence[int], spec: Spec) -> int:
    """The element at an index, counted from the first."""
    return sum(i * step for i, step in zip(offset, spec.steps, strict=True))


def tile(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """x -> copies of it side by side along `axis`."""
    (x,), (y,), axis = reads, writes, told["axis"]
    if not y.size:
        return Work(())
    extent = x.shape[axis]
    shape = (*x.shape[:axis], y.shape[axis] // extent, *x.shape[axis:])
    source = (*x.steps[:axis], 0, *x.steps[axis:])
    target = (*y.steps[:axis], extent * y.steps[axis], *y.steps[axis:])
    return Work((walk(shape, x.item, (Operand(0), 0, source), (Operand(1), 0, target)),))


def last_step(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """Sequences (T, N, D) -> the last step (1, N, D) of each."""
    launches = []
    for k, (sequence, state) in enumerate(zip(reads, writes, strict=True)):
        start = sequence.size - state.size
        sides = (Operand(k), start, (1,)), (Operand(len(reads) + k), 0, (1,))
        launches += [walk((state.size,), state.item, *sides)] if state.size else []
    return Work(tuple(launches))


def transposed(spec: Spec, *, to_channels_last: bool) -> Work:
    """An image (N, C, ...) -> (N, ..., C), or back; `spec` is (N, C, ...)."""
    batch, channels, area = *spec.shape[:2], math.prod(spec.shape[2:])
    rows, columns = (channels, area) if to_channels_last else (area, channels)
    grid = (-(-columns // TILE), -(-rows // TILE), batch)
    args: tuple[Any, ...] = (np.int32(rows), np.int32(columns), Operand(0), Operand(1))
    name = f"graphc::transpose<{spec.item}>"
    launch = Launch("copy.cu", name, grid, (TILE, TILE_ROWS), args)
    return Work((launch,) if spec.size else ())
