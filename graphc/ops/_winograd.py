"""Winograd's convolution F(4x4, 3x3) and F(4x4, 5x5): what it can do, and what that takes."""

from __future__ import annotations

from typing import Any

from graphc.ir.op import Sig
from graphc.ir.types import Type
from graphc.ops._conv import ConvolutionAttrs, conv_windows
from graphc.ops.kernel import Cost

TILE, KERNELS = 4, (3, 5)
FEW, CACHED = 56, 256
"""Up to so many tiles and channels, a run takes the weight to points itself, as in
csrc/kernels/winograd/layout.cpp."""
SIXTEEN = 16
"""Outputs of a packed weight come in so many, see csrc/kernels/winograd/layout.h."""
TRANSFORM = 11
"""Multiply-adds that would take as long as taking a channel of a tile to a point, or back."""
WEIGHT = 8
"""Tiles whose products would take as long as taking the weight to points."""
SUM = 32
"""Multiply-adds that would take as long as keeping a sum of products and taking it from points."""


def can_winograd(a: ConvolutionAttrs, s: Sig) -> bool:
    """Kernels of 3 by 3 or 5 by 5 that meet every pixel and every channel."""
    windows = conv_windows(a, s.ins["x0"])
    is_square = len({w.kernel for w in windows}) == 1 and windows[0].kernel in KERNELS
    return a.group == 1 and is_square and all((w.stride, w.dilation) == (1, 1) for w in windows)


def winograd_size(a: ConvolutionAttrs, s: Sig) -> int:
    return _size(a, s, s.ins["x0"], s["y0"])


def winograd_cost(a: ConvolutionAttrs, s: Sig) -> Cost:
    return _cost(a, s, s.ins["x0"], s["y0"])


def can_winograd_dx(a: ConvolutionAttrs, s: Sig) -> bool:
    """The same of dx, which is a convolution of dy, padded by what the windows lack to that with
    which a kernel meets every place where it meets any element."""
    return can_winograd(a, s) and all(w.pad < w.kernel for w in conv_windows(a, s.ins["x0"]))


def winograd_dx_told(a: ConvolutionAttrs, s: Sig) -> dict[str, Any]:
    windows = conv_windows(a, s.ins["x0"])
    batch, channels, *_ = s.ins["x0"].shape
    return {
        "axis": 1,
        "group": 1,
        "size": tuple(w.out for w in windows),
        "kernel": tuple(w.kernel for w in windows),
        "stride": (1, 1),
        "pad": tuple(w.kernel - 1 - w.pad for w in windows),
        "dilation": (1, 1),
        "batch": batch,
        "channels": a.num_output,
        "outputs": channels,
        "transpose": True,
    }


def winograd_dx_size(a: ConvolutionAttrs, s: Sig) -> int:
    return _size(a, s, s["y0"], s.ins["x0"])


def winograd_dx_cost(a: ConvolutionAttrs, s: Sig) -> Cost:
    return _cost(a, s, s["y0"], s.ins["x0"])


def winograd_dweight_cost(a: ConvolutionAttrs, s: Sig) -> Cost:
    """A product at each point of each tile, and the transforms, also of the sums."""
    x, y, weight = s.ins["x0"], s["y0"], s.params["weight"]
    channels, outputs, points = x.shape[1], _sixteens(y.shape[1]), _points(a, s)
    transforms = TRANSFORM * (_sixteens(channels) + outputs)
    macs = points * (_tiles(y) * (channels * outputs + transforms) + SUM * channels * outputs)
    return Cost(macs, x.nbytes + y.nbytes, weight.nbytes)


def _size(a: ConvolutionAttrs, s: Sig, x: Type, y: Type) -> int:
    """Floats of the packed weight: outputs (in sixteens) x channels x points, or kernel elements
    where each run takes them to points."""
    taps = s.params["weight"].count(2)
    return _sixteens(y.shape[1]) * x.shape[1] * (taps if _is_fresh(x, y) else _points(a, s))


def _cost(a: ConvolutionAttrs, s: Sig, x: Type, y: Type) -> Cost:
    """A product at each point of each tile, and the transforms."""
    channels, outputs, tiles, points = x.shape[1], y.shape[1], _tiles(y), _points(a, s)
    products = points * channels * outputs
    transforms = TRANSFORM * points * (_sixteens(channels) + _sixteens(outputs))
    macs = tiles * (products + transforms)
    if _is_fresh(x, y):
        macs += WEIGHT * products
    return Cost(macs, x.nbytes + 4 * _size(a, s, x, y), y.nbytes)


def _points(a: ConvolutionAttrs, s: Sig) -> int:
    kernel = conv_windows(a, s.ins["x0"])[0].kernel
    return (TILE + kernel - 1) ** 2


def _is_fresh(x: Type, y: Type) -> bool:
    return _tiles(y) <= FEW and x.shape[1] <= CACHED


def _tiles(y: Type) -> int:
    batch, _, *plane = y.shape
    return batch * -(-plane[0] // TILE) * -(-plane[1] // TILE)


def _sixteens(channels: int) -> int:
    return -(-channels // SIXTEEN) * SIXTEEN
