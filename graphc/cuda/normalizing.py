"""Work of BatchNorm's parts, of Softmax, and of the loss and the score that count labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from graphc.cuda.launch import (
    FAULT,
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
    struct,
)
from graphc.numpy_later import np

ELEMENTS_OF_BLOCK = 8192
"""Of a channel that one block sums; more are shared out, to at most `MOST_SHARES`."""
MOST_SHARES = 64
SOURCE = "batch_norm.cu"


def statistics(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """x -> mean and biased variance of its channels."""
    x, (channels, count, grid) = reads[0], _channels(reads[0])
    if not count:
        return Work(())
    moments = _sums(f"batch_norm_moments<{x.item}>", grid, channels, Operand(0))
    args = (channels, np.int32(grid[1]), np.int32(THREADS), Scratch(0), Operand(1), Operand(2))
    joined = Launch(SOURCE, "graphc::batch_norm_statistics", *_each(count), args)
    return Work((moments, joined), count * grid[1] * 8)


def normalize(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """x, mean, variance and, of a state, factor -> y, which may be x."""
    x, (channels, _, _) = reads[0], _channels(reads[0])
    factor = Operand(3) if len(reads) > 3 else NULL
    args = (channels, np.float32(told["eps"]), *map(Operand, range(3)), factor, Operand(len(reads)))
    name = f"graphc::batch_norm_normalize<{x.item}>"
    return Work((Launch(SOURCE, name, *over(x.size), args),))


def gradient(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """dy, y, variance -> dx, which may be dy."""
    dy, (channels, count, grid) = reads[0], _channels(reads[0])
    if not count:
        return Work(())
    slopes = _sums(f"batch_norm_slopes<{dy.item}>", grid, channels, Operand(0), Operand(1))
    eps = np.float32(told["eps"])
    args = (channels, eps, Operand(0), Operand(1), Operand(2), Scratch(0), Operand(3))
    last = Launch(SOURCE, f"graphc::batch_norm_gradient<{dy.item}>", grid, (THREADS,), args)
    return Work((slopes, last), count * grid[1] * 8)


def global_gradient(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """dy, variance, factor -> dx, which may be dy."""
    dy, (channels, _, _) = reads[0], _channels(reads[0])
    args = (channels, np.float32(told["eps"]), *map(Operand, range(4)))
    return Work((Launch(SOURCE, f"graphc::{symbol}<{dy.item}>", *over(dy.size), args),))


def update(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """batch_mean, batch_variance, mean, variance, factor -> the last three, perhaps in place."""
    count = reads[0].size
    numbers = (long(count), long(told["count"]), np.float32(told["kept"]))
    launch = Launch(SOURCE, f"graphc::{symbol}", *_each(count), (*numbers, *map(Operand, range(8))))
    return Work((launch,))


def _sums(kernel: str, grid: tuple[int, int], channels: Any, *operands: Operand) -> Launch:
    """Two sums over each channel, a pair for each block, into the workspace."""
    args = (channels, *operands, Scratch(0))
    return Launch(SOURCE, f"graphc::{kernel}", grid, (THREADS,), args, per_warp())


def _each(count: int) -> tuple[tuple[int], tuple[int]]:
    """Grid and block with a thread for each of `count`, at least one."""
    return (max(1, -(-count // THREADS)),), (THREADS,)


def _channels(x: Spec) -> tuple[Any, int, tuple[int, int]]:
    """x as (outer, channels, inner); how many channels; the grid of sums over each."""
    outer, count = (x.shape[0], x.shape[1]) if len(x.shape) > 1 else (x.size, 1)
    inner = math.prod(x.shape[2:])
    shares = max(1, min(MOST_SHARES, -(-outer * inner // ELEMENTS_OF_BLOCK)))
    return long(outer, count, inner), count, (count, shares)


def softmax(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """softmax: x -> y; softmax_gradient: dy, y -> dx; each may lie over its first operand."""
    rows, count = _rows(told, reads[0])
    args = (rows, *map(Operand, range(len(reads) + 1)))
    name = f"graphc::{symbol}<{reads[0].item}>"
    return Work((Launch("softmax.cu", name, *over_rows(count), args),))


def softmax_with_loss(
    symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]
) -> Work:
    """x, label -> loss and perhaps prob."""
    rows, count = _rows(told, reads[0])
    losses, counts = Scratch(0), Scratch(4 * count)
    prob = Operand(3) if len(writes) > 1 else NULL
    args = (rows, _rule(told), Operand(0), Operand(1), prob, losses, counts, FAULT)
    name = f"graphc::{symbol}<{reads[0].item}>"
    total = (long(count), long(told["divisor"]), losses, counts, Operand(2))
    launches = (
        Launch("softmax.cu", name, *over_rows(count), args),
        Launch("softmax.cu", "graphc::loss_total", (1,), (THREADS,), total, per_warp()),
    )
    return Work(launches, 8 * count)


def softmax_with_loss_gradient(
    symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]
) -> Work:
    """dloss, prob, label -> dx, which may be prob."""
    rows, count = _rows(told, reads[1])
    rule, valid = _rule(told), Scratch(0)
    counted = Launch(
        "softmax.cu",
        "graphc::count_labels",
        (1,),
        (THREADS,),
        (rows, rule, Operand(2), valid),
        per_warp(),
    )
    args = (rows, rule, *map(Operand, range(3)), valid, Operand(3), FAULT)
    name = f"graphc::{symbol}<{reads[1].item}>"
    last = Launch("softmax.cu", name, *over_rows(count), args)
    return Work((last,) if told["divisor"] else (counted, last), 4)


def accuracy(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """x, label -> accuracy and perhaps per_class."""
    rows, count = _rows(told, reads[0])
    classes = reads[0].shape[told["axis"]]
    seen, right = Scratch(0, "i32"), Scratch(4 * classes, "i32")
    args = (rows, _rule(told), Operand(0), Operand(1), seen, right, FAULT)
    per_class = Operand(3) if len(writes) > 1 else NULL
    total = (long(classes), seen, right, Operand(2), per_class)
    name = f"graphc::accuracy<{reads[0].item}>"
    launches = (
        Launch("softmax.cu", "graphc::clear", *over(2 * classes), (long(2 * classes), seen)),
        Launch("softmax.cu", name, *over_rows(count), args),
        Launch("softmax.cu", "graphc::accuracy_total", (1,), (THREADS,), total, per_warp()),
    )
    return Work(launches, 8 * classes)


def _rows(told: Told, x: Spec) -> tuple[Any, int]:
    axis = told["axis"]
    outer, inner = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
    return long(outer, x.shape[axis], inner), outer * inner


def _rule(told: Told) -> Any:
    ignored = told.get("ignore_label")
    numbers = (np.int64(ignored or 0), np.int64(told.get("divisor", 0)))
    return struct(*numbers, np.int32(ignored is not None), np.int32(told.get("top_k", 0)))
