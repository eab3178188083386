"""Work of what moves elements, and of sums over all axes but one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from graphc.cuda.launch import (
    THREADS,
    Launch,
    Operand,
    Spec,
    Told,
    Work,
    long,
    over,
    per_warp,
    refuse,
)
from graphc.numpy_later import np

MOST_AXES = 8
TILE, TILE_ROWS = 32, 8


def walk(
    shape: Sequence[int],
    item: str,
    source: tuple[int, int, Sequence[int]],
    target: tuple[int, int, Sequence[int]],
) -> Launch:
    """target[start + strides . i] = source[...] for each index i below `shape`; of each side:
    operand, first element, strides in elements. Raises GC-A001 for more than 8 axes."""
    if len(shape) > MOST_AXES:
        refuse("copy_walk", f"{len(shape)} axes are more than {MOST_AXES}")
    axes = [*zip(shape, source[2], target[2], strict=True)]
    numbers = [n for axis in (*axes, *[(1, 0, 0)] * (MOST_AXES - len(axes))) for n in axis]
    rank = np.int32(len(shape))
    layout = np.dtype([("rank", np.int32), ("axes", np.int64, 3 * MOST_AXES)], align=True)
    told = np.array((rank, numbers), layout)[()]
    count = math.prod(shape)
    args = (told, *map(long, (count, source[1], target[1])), Operand(source[0]), Operand(target[0]))
    return Launch("copy.cu", f"graphc::copy_walk<{item}>", *over(count), args)


def strides(shape: Sequence[int]) -> list[int]:
    """Of a dense operand, in elements."""
    return [math.prod(shape[i + 1 :]) for i in range(len(shape))]


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
        inside = (place, start * strides(whole.shape)[axis], strides(whole.shape))
        own = (number, 0, strides(part.shape))
        sides = (own, inside) if gathers else (inside, own)
        if part.size:
            launches.append(walk(part.shape, part.item, *sides))
    return Work(tuple(launches))


def copy(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """x -> as many copies as there are results."""
    x = reads[0]
    places = range(1, 1 + len(writes) if x.size else 1)
    return Work(tuple(walk((x.size,), x.item, (0, 0, [1]), (k, 0, [1])) for k in places))


def transposed(spec: Spec, *, to_channels_last: bool) -> Work:
    """An image (N, C, ...) -> (N, ..., C), or back; `spec` is (N, C, ...)."""
    batch, channels, area = *spec.shape[:2], math.prod(spec.shape[2:])
    rows, columns = (channels, area) if to_channels_last else (area, channels)
    grid = (-(-columns // TILE), -(-rows // TILE), batch)
    args: tuple[Any, ...] = (np.int32(rows), np.int32(columns), Operand(0), Operand(1))
    name = f"graphc::transpose<{spec.item}>"
    launch = Launch("copy.cu", name, grid, (TILE, TILE_ROWS), args)
    return Work((launch,) if spec.size else ())


def channel_sums(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """x, and sums to add to -> sums over all axes but one."""
    x, axis = reads[0], told["axis"]
    outer, inner = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
    kept = x.shape[axis]
    adds = np.int32(bool(told.get("accumulate")))
    args = (*map(long, (outer, kept, inner)), adds, Operand(0), Operand(len(reads)))
    name = f"graphc::channel_sums<{x.item}>"
    return Work((Launch("copy.cu", name, (kept,), (THREADS,), args, per_warp()),))
