"""Work of sums over some axes, or over everything."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from graphc.cuda.launch import (
    THREADS,
    Launch,
    Operand,
    Scratch,
    Spec,
    Told,
    Work,
    long,
    over,
    per_warp,
    refuse,
    shares,
)
from graphc.numpy_later import np

SOURCE = "sums.cu"
COLUMNS, ROWS_AT_ONCE = 32, 8
"""Of a block that sums columns, as kernels/sums.cu has it."""
KINDS = {"SUM": 0, "MEAN": 0, "ASUM": 1, "SUMSQ": 2}


def channel_sums(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """x, and sums to add to -> sums over all axes but one."""
    x, axis = reads[0], told["axis"]
    outer, kept, inner = math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])
    adds, result = bool(told.get("accumulate")), Operand(len(reads))
    if not x.is_dense:
        if axis != 1:
            refuse(symbol, f"axis {axis} of strides {x.steps} is not the last in memory")
        outer, inner = outer * inner, 1
    if inner == 1 and kept:
        return column_sums((outer, kept), x.item, Operand(0), result, adds=adds)
    args = (*map(long, (outer, kept, inner)), np.int32(adds), Operand(0), result)
    name = f"graphc::channel_sums<{x.item}>"
    return Work((Launch(SOURCE, name, (kept,), (THREADS,), args, per_warp()),) if kept else ())


def column_sums(
    extents: tuple[int, int], item: str, x: Any, result: Any, *, adds: bool = False, at: int = 0
) -> Work:
    """Sums of the columns of a matrix (rows, columns); of many rows by way of the workspace from
    byte `at` on."""
    rows, columns = extents
    parts = shares(rows * THREADS // ROWS_AT_ONCE)
    blocks = -(-columns // COLUMNS)

    def launch(item: str, rows: int, parts: int, adds: bool, source: Any, target: Any) -> Launch:
        args = (long(rows), long(columns), np.int32(adds), source, target)
        name = f"graphc::column_sums<{item}>"
        return Launch(SOURCE, name, (blocks, parts), (COLUMNS, ROWS_AT_ONCE), args)

    if parts == 1:
        return Work((launch(item, rows, 1, adds, x, result),))
    first = launch(item, rows, parts, False, x, Scratch(at))
    last = launch("float", parts, 1, adds, Scratch(at), result)
    return Work((first, last), at + 4 * parts * columns)


def reduction(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """x -> sums over the last axes; of long rows by way of the workspace."""
    (x,), (y,) = reads, writes
    size, operation = math.prod(x.shape[len(y.shape) :]), told["operation"]
    mean = 1 / size if size else math.inf  # over nothing 0 * inf, NaN, as in Caffe
    factor = told["coeff"] * (mean if operation == "MEAN" else 1.0)
    kind, parts = KINDS[operation], shares(size)
    if not y.size:
        return Work(())
    if parts == 1:
        return Work(
            (_reduce((y.size, size), kind, factor, (x.item, y.item), (Operand(0), Operand(1))),)
        )
    first = _reduce((y.size, size), kind, 1.0, (x.item, "float"), (Operand(0), Scratch(0)), parts)
    last = _reduce((y.size, parts), 0, factor, ("float", y.item), (Scratch(0), Operand(1)))
    return Work((first, last), 4 * y.size * parts)


def tile_gradient(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """dy -> the sum of the pieces that lie side by side along `axis`."""
    (dy,), (dx,), axis = reads, writes, told["axis"]
    if not dx.size:
        return Work(())
    outer, extent = math.prod(dx.shape[:axis]), dx.shape[axis]
    extents = (outer, dy.shape[axis] // extent, math.prod(dx.shape[axis:]))
    return Work((sum_middle(extents, (dy.item, dx.item), Operand(0), Operand(1)),))


def sum_middle(
    extents: tuple[int, int, int], items: tuple[str, str], source: Any, target: Any
) -> Launch:
    """target (outer, inner) = the sum of source (outer, count, inner) over its middle axis."""
    outer, _, inner = extents
    name = f"graphc::sum_middle<{', '.join(items)}>"
    return Launch(SOURCE, name, *over(outer * inner), (*map(long, extents), source, target))


def clip_factor(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """Gradients -> what they are multiplied by, so that together they are not too long."""
    parts = [shares(spec.size) for spec in reads]
    starts = [*itertools.accumulate(parts, initial=0)]
    launches = [
        _reduce(
            (1, x.size), KINDS["SUMSQ"], 1.0, (x.item, "float"), (Operand(k), Scratch(4 * at)), n
        )
        for k, (x, n, at) in enumerate(zip(reads, parts, starts, strict=False))
    ]
    total = starts[-1]
    args = (long(total), np.float32(told["longest"]), Scratch(0), Operand(len(reads)))
    last = Launch(SOURCE, "graphc::clip_factor", (1,), (THREADS,), args, per_warp())
    return Work((*launches, last), 4 * total)


def _reduce(
    extents: tuple[int, int],
    kind: int,
    factor: float,
    items: tuple[str, str],
    places: tuple[Any, Any],
    parts: int = 1,
) -> Launch:
    rows, size = extents
    args = (long(size), np.int32(kind), np.float32(factor), *places)
    name = f"graphc::reduce_rows<{', '.join(items)}>"
    return Launch(SOURCE, name, (rows, parts), (THREADS,), args, per_warp())
