"""Work of convolutions and of matrix products, as they are defined."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from graphc.cuda.launch import (
    NULL,
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

TAKE_ANY_ORDER = frozenset({"conv", "conv_depthwise", "conv_dweight", "deconv"})
"""What takes each image, and the weight, dense or with channels last in memory."""
SPATIAL = 3
"""Most spatial axes of a convolution."""
SIDE = 16
"""Of the tiles of a matrix product."""


def convolution(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """x0, x1, ..., weight and perhaps bias -> y0, y1, ..., that share the weight."""
    return _pairs(symbol, "convolution", told, reads, writes)


def deconvolution(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """dy, weight -> dx, the gradient of a convolution; or a deconvolution's x0, x1, ..., weight and
    perhaps bias -> y0, y1, ..."""
    return _pairs(symbol, "convolution_data_gradient", told, reads, writes)


def _pairs(
    symbol: str, kernel: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]
) -> Work:
    pairs, name = len(writes), f"graphc::{kernel}<{reads[0].item}>"
    bias = Operand(pairs + 1) if told["bias"] else NULL
    launches = []
    for k, (x, y) in enumerate(zip(reads, writes, strict=False)):
        sides = (x, y) if kernel == "convolution" else (y, x)
        shape = _shape(symbol, told, *sides, reads[pairs])
        args = (shape, Operand(k), Operand(pairs), bias, Operand(len(reads) + k))
        launches.append(Launch("convolution.cu", name, *over(y.size), args))
    return Work(tuple(launches))


def weight_gradient(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """dy, x and perhaps dweight to add to -> dweight. With `transpose`, a deconvolution's."""
    sides = (1, 0) if told.get("transpose") else (0, 1)
    dy, x = (reads[side] for side in sides)
    adds = np.int32(bool(told.get("accumulate")))
    args = (_shape(symbol, told, x, dy, writes[0]), adds, *map(Operand, sides), Operand(len(reads)))
    name = f"graphc::convolution_weight_gradient<{x.item}>"
    grid = (writes[0].size,)
    return Work((Launch("convolution.cu", name, grid, (THREADS,), args, per_warp()),))


def columns(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """im2col: x -> the elements under each tap; col2im: these -> x."""
    (given,), (made,) = reads, writes
    x, y = (given, made) if symbol == "im2col" else (made, given)
    name = f"graphc::{symbol}<{x.item}>"
    args = (_shape(symbol, told, x, y, Spec(x.dtype, (1, 1))), Operand(0), Operand(1))
    return Work((Launch("convolution.cu", name, *over(made.size), args),) if made.size else ())


def _shape(symbol: str, told: Told, x: Spec, y: Spec, weight: Spec) -> Any:
    """A ConvolutionShape from the side where windows move, x, that of their results, y, and the
    weight between them."""
    axis, group = told["axis"], told["group"]
    rank = len(x.shape) - axis - 1
    if rank > SPATIAL:
        refuse(symbol, f"{rank} spatial axes are more than {SPATIAL}")
    options = (told[name] for name in ("kernel", "stride", "pad", "dilation"))
    axes = [*zip(x.shape[axis + 1 :], y.shape[axis + 1 :], *options, strict=True)]
    full = [(1, 1, 1, 1, 0, 1)] * (SPATIAL - rank) + axes
    channels, outputs = x.shape[axis] // group, y.shape[axis] // group
    numbers = [n for each in full for n in each]
    sides = (_steps(symbol, x, axis), _steps(symbol, y, axis), _steps(symbol, weight, 1))
    steps = [n for side in sides for n in side]
    return long(math.prod(x.shape[:axis]), group, channels, outputs, *steps, *numbers)


def _steps(symbol: str, image: Spec, axis: int) -> tuple[int, int, int]:
    """Elements from a sample, a channel, a pixel to the next; of a weight from an output, a
    channel, a tap."""
    if not (image.is_dense or (axis == 1 and image.is_channels_last)):
        refuse(symbol, f"an operand of shape {image.shape} has strides {image.steps}")
    channels, area = image.shape[axis], math.prod(image.shape[axis + 1 :])
    return (channels * area, *((area, 1) if image.is_dense else (1, channels)))


def matrix_product(
    extents: tuple[int, int, int],
    items: tuple[str, str],
    a: tuple[Any, int, int],
    b: tuple[Any, int, int],
    c: Any,
    *,
    bias: Any = NULL,
    adds: bool = False,
) -> Launch:
    """c[m,n] = sum over k of a[m,k] b[k,n] + bias[n], (m, n, k) = `extents`. `items`: of a and b,
    and of c; a, b: argument, and elements from a row, and from a column, to the next."""
    rows, columns, _ = extents
    grid = (max(1, -(-columns // SIDE)), max(1, -(-rows // SIDE)))
    numbers = (*map(np.int32, extents), long(*a[1:]), long(*b[1:]), np.int32(adds))
    name = f"graphc::matrix_product<{', '.join(items)}>"
    args = (*numbers, a[0], b[0], bias, c)
    return Launch("matrix_product.cu", name, grid, (SIDE, SIDE), args)


def inner_product(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """x, weight (O, K), or (K, O) if "packed", and perhaps bias -> y."""
    x, y, axis = reads[0], writes[0], told["axis"]
    rows, depth = math.prod(x.shape[:axis]), math.prod(x.shape[axis:])
    outputs = math.prod(y.shape[axis:])
    weight = (outputs, 1) if symbol.endswith("packed") else (1, depth)
    launch = matrix_product(
        (rows, outputs, depth),
        (x.item, y.item),
        (Operand(0), depth, 1),
        (Operand(1), *weight),
        Operand(len(reads)),
        bias=Operand(2) if told.get("bias") else NULL,
    )
    return Work((launch,))


def inner_product_dx(
    symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]
) -> Work:
    """dy, weight (O, K) -> dx."""
    dy, dx, axis = reads[0], writes[0], told["axis"]
    rows, outputs = math.prod(dy.shape[:axis]), math.prod(dy.shape[axis:])
    depth = math.prod(dx.shape[axis:])
    launch = matrix_product(
        (rows, depth, outputs),
        (dy.item, dx.item),
        (Operand(0), outputs, 1),
        (Operand(1), depth, 1),
        Operand(2),
    )
    return Work((launch,))


def inner_product_dweight(
    symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]
) -> Work:
    """dy, x and perhaps dweight to add to -> dweight (O, K), or (K, O) with `transpose`."""
    axis, adds = told["axis"], bool(told.get("accumulate"))
    left, right = (1, 0) if told.get("transpose") else (0, 1)
    rows, columns = (math.prod(reads[side].shape[axis:]) for side in (left, right))
    launch = matrix_product(
        (rows, columns, math.prod(reads[0].shape[:axis])),
        (reads[0].item, writes[0].item),
        (Operand(left), 1, rows),
        (Operand(right), columns, 1),
        Operand(len(reads)),
        adds=adds,
    )
    return Work((launch,))
