"""Work of products with sparse weights, and the weights in compressed rows, as kernels read them.

Operands: x, then of the weight `starts` (outputs + 1), columns and values, then bias if there is
one. The columns of a convolution are records (channel, down, across) of three i32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from graphc.cuda.launch import (
    NULL,
    THREADS,
    WARP,
    Launch,
    Operand,
    Spec,
    Told,
    Work,
    refuse,
    struct,
)
from graphc.floats import Array
from graphc.numpy_later import np

OUTPUTS, SAMPLES = 4, 8
"""Outputs of a block of a convolution, samples of a warp of a product, as kernels/sparse.cu has."""


def convolution(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """x (N, C, H, W) -> y."""
    x, y = reads[0], writes[0]
    _check(symbol, told, reads)
    if len(x.shape) != 4 or told["axis"] != 1:
        refuse(symbol, f"x of shape {x.shape} is no image")
    windows = zip(x.shape[2:], y.shape[2:], told["stride"], told["pad"], strict=True)
    numbers = [n for axis in windows for n in axis]
    group, outputs = told["group"], y.shape[1]
    numbers += [x.shape[0], group, x.shape[1] // group, outputs // group]
    bias = Operand(4) if told["bias"] else NULL
    args = (struct(*map(np.int32, numbers)), *map(Operand, range(4)), bias, Operand(len(reads)))
    pixels = y.shape[0] * math.prod(y.shape[2:])
    grid = (-(-pixels // THREADS), -(-outputs // OUTPUTS))
    name = f"graphc::sparse_convolution<{x.item}>"
    return Work((Launch("sparse.cu", name, grid, (THREADS,), args),) if pixels else ())


def product(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """x (n..., k...), split as `batch` and `depth` say, -> y (n..., outputs)."""
    _check(symbol, told, reads)
    extents = tuple(int(told[name]) for name in ("batch", "outputs", "depth"))
    bias = Operand(4) if told["bias"] else NULL
    args = (*map(np.int32, extents), *map(Operand, range(4)), bias, Operand(len(reads)))
    grid = (-(-extents[1] * WARP // THREADS), -(-extents[0] // SAMPLES))
    name = f"graphc::sparse_product<{reads[0].item}>"
    return Work((Launch("sparse.cu", name, grid, (THREADS,), args),) if extents[0] else ())


def _check(symbol: str, told: Told, reads: Sequence[Spec]) -> None:
    if len(reads) != 4 + bool(told["bias"]):
        refuse(symbol, "its weight is starts, columns and values")


def compressed(weight: Array) -> tuple[Any, Any, Any]:
    """(starts, columns, values) of a weight (outputs, columns), what is 0 left out."""
    rows, columns = np.nonzero(weight)
    starts = np.searchsorted(rows, np.arange(len(weight) + 1)).astype(np.int32)
    return starts, columns.astype(np.int32), weight[rows, columns].astype(np.float32)


def compressed_windows(weight: Array, dilation: Sequence[int]) -> tuple[Any, Any, Any]:
    """The same of a weight (outputs, channels, kernel h, kernel w); columns as records."""
    starts, flat, values = compressed(weight.reshape(len(weight), -1))
    channel, h, w = np.unravel_index(flat, weight.shape[1:])
    places = np.zeros(flat.size, [(name, np.int32) for name in ("channel", "down", "across")])
    places["channel"], places["down"], places["across"] = channel, h * dilation[0], w * dilation[1]
    return starts, places, values
