"""Work of what picks rows by number or by a selector, and of what numbers the largest elements."""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphc.cuda.launch import (
    FAULT,
    MOST_BLOCKS,
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
)
from graphc.numpy_later import np

SOURCE = "rows.cu"


def gather(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """x (N, ...), index (M,) -> y (M, ...)."""
    x, index = reads
    return _gather(x.shape[0], x, Operand(0), index, Operand(1), NULL, Operand(2))


def embed(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """ids (n...), weight (rows, O) and perhaps bias -> y (n..., O)."""
    ids, weight = reads[:2]
    bias = Operand(2) if told["bias"] else NULL
    places = Operand(1), ids, Operand(0), bias, Operand(len(reads))
    return _gather(weight.shape[0], weight, *places)


def _gather(
    samples: int, x: Spec, source: object, index: Spec, numbers: object, bias: object, y: object
) -> Work:
    size = math.prod(x.shape[1:])
    extents = map(long, (index.size, samples, size))
    args = (*extents, source, numbers, bias, y, FAULT)
    launch = Launch(SOURCE, f"graphc::gather_rows<{x.item}>", *over(index.size * size), args)
    return Work((launch,) if index.size * size else ())


def scatter_rows(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """dy (M..., size...), numbers (M...) and perhaps what is added to -> sums (rows, size...)."""
    (dy, index), total = reads[:2], writes[0]
    samples, size = total.shape[0], math.prod(total.shape[1:])
    adds = np.int32(bool(told.get("accumulate")))
    extents = map(long, (index.size, samples, size))
    args = (*extents, adds, Operand(0), Operand(1), Operand(len(reads)), FAULT)
    grid = (samples, max(1, min(-(-size // THREADS), MOST_BLOCKS)))
    name = f"graphc::scatter_rows<{dy.item}, {total.item}>"
    return Work((Launch(SOURCE, name, grid, (THREADS,), args),) if total.size else ())


def filter_gradient(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """dy (M, ...), selector (N, 1...) -> dx (N, ...)."""
    dy, dx = reads[0], writes[0]
    rows, size = dx.shape[0], math.prod(dx.shape[1:])
    places = Scratch(0, "i32")
    found = (long(rows), long(dy.shape[0]), Operand(1), places)
    args = (long(rows), long(size), Operand(0), places, Operand(2))
    launches = (
        Launch(SOURCE, "graphc::selected_places", (1,), (THREADS,), found),
        Launch(SOURCE, f"graphc::spread_rows<{dx.item}>", *over(dx.size), args),
    )
    return Work(launches if dx.size else (), 4 * rows)


def arg_max(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """x -> the `top_k` largest along `axis`, or with -1 of each sample."""
    (x,), (y,), axis = reads, writes, told["axis"]
    outer, extent, inner = (
        (math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :]))
        if axis >= 0
        else (x.shape[0], math.prod(x.shape[1:]), 1)
    )
    numbers = (np.int32(told[name]) for name in ("top_k", "indices", "values"))
    args = (*map(long, (outer, extent, inner)), *numbers, Operand(0), Operand(1))
    name = f"graphc::arg_max<{x.item}, {y.item}>"
    return Work((Launch(SOURCE, name, *over_rows(outer * inner), args),) if y.size else ())
