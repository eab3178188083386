"""Work of losses and of their gradients, and of the score that counts labels.

A loss is a number for each row, or for each block, in the workspace, then their sum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from graphc.cuda.expressions import ALL, elementwise
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
    refuse,
    struct,
)
from graphc.numpy_later import np
from graphc.ops.scalar import Var

SOURCE = "losses.cu"
BY_COUNT = -1.0
"""Divisor of a loss that is divided by the number of labels that count."""


def softmax_with_loss(
    symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]
) -> Work:
    """x, label -> loss and perhaps prob."""
    rows, count = rows_of(symbol, reads[0], told["axis"])
    prob = Operand(3) if len(writes) > 1 else NULL
    args = (rows, _rule(told), Operand(0), Operand(1), prob, Scratch(0), Scratch(4 * count), FAULT)
    first = Launch("softmax.cu", f"graphc::{symbol}<{reads[0].item}>", *over_rows(count), args)
    return _summed(first, count, Operand(2), divisor=told["divisor"] or BY_COUNT)


def infogain_loss(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """x, label, gains -> loss and perhaps prob."""
    rows, count = rows_of(symbol, reads[0], told["axis"])
    prob = Operand(4) if len(writes) > 1 else NULL
    places = (*map(Operand, range(3)), prob, Scratch(0), Scratch(4 * count))
    args = (rows, _rule(told), *places, FAULT)
    first = Launch(SOURCE, f"graphc::{symbol}<{reads[0].item}>", *over_rows(count), args)
    return _summed(first, count, Operand(3), divisor=told["divisor"] or BY_COUNT)


def hinge_loss(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """x, label -> loss."""
    rows, count = _samples(reads[0])
    numbers = (rows, _rule(told), np.int32(told["squared"]))
    args = (*numbers, Operand(0), Operand(1), Scratch(0), FAULT)
    first = Launch(SOURCE, f"graphc::{symbol}<{reads[0].item}>", *over_rows(count), args)
    return _summed(first, count, Operand(2), divisor=count)


def multinomial_logistic_loss(
    symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]
) -> Work:
    """x, label -> loss and perhaps picked."""
    rows, count = _samples(reads[0])
    picked = Operand(3) if len(writes) > 1 else NULL
    args = (rows, _rule(told), Operand(0), Operand(1), picked, Scratch(0), FAULT)
    first = Launch(SOURCE, f"graphc::{symbol}<{reads[0].item}>", *over_rows(count), args)
    return _summed(first, count, Operand(2), divisor=count)


def contrastive_loss(
    symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]
) -> Work:
    """left, right, similar -> loss and perhaps diff."""
    rows, count = _samples(reads[0])
    diff = Operand(4) if len(writes) > 1 else NULL
    args = (rows, *_margin(told), *map(Operand, range(3)), diff, Scratch(0))
    first = Launch(SOURCE, f"graphc::{symbol}<{reads[0].item}>", *over_rows(count), args)
    return _summed(first, count, Operand(3), factor=0.5, divisor=count)


def euclidean_loss(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """x, target -> loss and perhaps diff."""
    x, diff = reads[0], Operand(3) if len(writes) > 1 else NULL
    grid, block = over(x.size)
    args = (long(x.size), Operand(0), Operand(1), diff, Scratch(0))
    first = Launch(SOURCE, f"graphc::{symbol}<{x.item}>", grid, block, args, per_warp())
    return _summed(first, grid[0], Operand(2), factor=0.5, divisor=x.shape[0])


def sigmoid_cross_entropy_loss(
    symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]
) -> Work:
    """x, targets -> loss and perhaps prob."""
    x, prob = reads[0], Operand(3) if len(writes) > 1 else NULL
    grid, block = over(x.size)
    places = (Operand(0), Operand(1), prob, Scratch(0), Scratch(4 * grid[0]))
    args = (long(x.size), _rule(told), *places)
    first = Launch(SOURCE, f"graphc::{symbol}<{x.item}>", grid, block, args, per_warp())
    return _summed(first, grid[0], Operand(2), divisor=told["divisor"] or BY_COUNT)


def _summed(
    first: Launch, count: int, loss: Operand, *, divisor: float, factor: float = 1.0
) -> Work:
    """The loss from `count` numbers that a launch leaves at the workspace's start; behind them, if
    it divides by them, as many numbers of labels that count."""
    told = (long(count), np.float32(factor), np.float32(divisor))
    counts = Scratch(4 * count) if divisor == BY_COUNT else NULL
    args = (*told, Scratch(0), counts, loss)
    total = Launch(SOURCE, "graphc::loss_total", (1,), (THREADS,), args, per_warp())
    return Work((first, total), 8 * count)


def softmax_with_loss_gradient(
    symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]
) -> Work:
    """dloss, prob, label -> dx, which may be prob."""
    rows, count = rows_of(symbol, reads[1], told["axis"])
    args = (rows, _rule(told), *map(Operand, range(3)), Scratch(0), Operand(3), FAULT)
    name = f"graphc::{symbol}<{reads[1].item}>"
    return _divided(told, reads[2], Launch("softmax.cu", name, *over_rows(count), args))


def infogain_loss_gradient(
    symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]
) -> Work:
    """dloss, prob, label, gains -> dx, which may be prob."""
    rows, count = rows_of(symbol, reads[1], told["axis"])
    args = (rows, _rule(told), *map(Operand, range(4)), Scratch(0), Operand(4), FAULT)
    name = f"graphc::{symbol}<{reads[1].item}>"
    return _divided(told, reads[2], Launch(SOURCE, name, *over_rows(count), args))


def sigmoid_cross_entropy_loss_gradient(
    symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]
) -> Work:
    """dloss, prob, targets -> dx, which may be prob."""
    prob = reads[1]
    args = (long(prob.size), _rule(told), *map(Operand, range(3)), Scratch(0), Operand(3))
    name = f"graphc::{symbol}<{prob.item}>"
    return _divided(told, reads[2], Launch(SOURCE, name, *over(prob.size), args))


def _divided(told: Told, labels: Spec, last: Launch) -> Work:
    """A gradient, before it the number of labels that count where nothing else divides it."""
    args = (long(labels.size), _rule(told), Operand(2), Scratch(0))
    count = Launch(SOURCE, "graphc::count_labels", (1,), (THREADS,), args, per_warp())
    return Work((last,) if told["divisor"] else (count, last), 4)


def hinge_loss_gradient(
    symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]
) -> Work:
    """dloss, x, label -> dx, which may be x."""
    rows, count = _samples(reads[1])
    numbers = (rows, _rule(told), np.int32(told["squared"]))
    args = (*numbers, *map(Operand, range(4)), FAULT)
    name = f"graphc::{symbol}<{reads[1].item}>"
    return Work((Launch(SOURCE, name, *over_rows(count), args),))


def multinomial_logistic_loss_gradient(
    symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]
) -> Work:
    """dloss, picked, label -> dx."""
    rows, count = _samples(writes[0])
    args = (rows, _rule(told), *map(Operand, range(4)), FAULT)
    name = f"graphc::{symbol}<{writes[0].item}>"
    return Work((Launch(SOURCE, name, *over_rows(count), args),))


def contrastive_loss_gradient(
    symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]
) -> Work:
    """dloss, diff, similar -> dx, which may be diff."""
    rows, count = _samples(reads[1])
    args = (rows, *_margin(told), np.float32(told["sign"]), *map(Operand, range(4)))
    name = f"graphc::{symbol}<{reads[1].item}>"
    return Work((Launch(SOURCE, name, *over_rows(count), args),))


def euclidean_loss_gradient(
    symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]
) -> Work:
    """dloss, diff -> dx, which may be diff."""
    batch = max(1, reads[1].shape[0])
    slope = Var("diff") * (Var("dloss") * (told["sign"] / batch))
    inputs = {"dloss": (reads[0], 0, Operand(0)), "diff": (reads[1], ALL, Operand(1))}
    return elementwise(slope, inputs, (writes[0], Operand(2)))


def accuracy(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """x, label -> accuracy and perhaps per_class."""
    rows, count = rows_of(symbol, reads[0], told["axis"])
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


def rows_of(symbol: str, x: Spec, axis: int) -> tuple[Any, int]:
    """x as rows of classes along an axis, and how many."""
    outer, inner = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
    if not x.is_dense:
        if axis != 1:
            refuse(symbol, f"axis {axis} of strides {x.steps} is not the last in memory")
        return long(outer * inner, x.shape[axis], 1), outer * inner
    return long(outer, x.shape[axis], inner), outer * inner


def _samples(x: Spec) -> tuple[Any, int]:
    """x as a row for each sample."""
    return long(x.shape[0], math.prod(x.shape[1:]), 1), x.shape[0]


def _rule(told: Told) -> Any:
    ignored = told.get("ignore_label")
    numbers = (np.int64(ignored or 0), np.int64(told.get("divisor", 0)))
    return struct(*numbers, np.int32(ignored is not None), np.int32(told.get("top_k", 0)))


def _margin(told: Told) -> tuple[Any, Any]:
    return np.float32(told["margin"]), np.int32(told["legacy"])
