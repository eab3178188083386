"""Winograd's convolution F(4x4, 3x3): what it can do, and what that takes."""

from __future__ import annotations

from typing import Any

from graphc.ir.op import Sig
from graphc.ir.types import Type
from graphc.ops._conv import ConvolutionAttrs, conv_windows
from graphc.ops.kernel import Cost

TILE, TAPS, POINTS = 4, 9, 36
FEW, CACHED = 56, 256
"""Up to so many tiles and channels, a run takes the weight to points itself, as in
csrc/kernels/winograd/layout.cpp."""
PAD = 2
"""Padding with which a kernel meets every place where it meets any element."""
SIXTEEN = 16
"""Outputs of a packed weight come in so many, see csrc/kernels/winograd/layout.h."""
TRANSFORM = 400
"""Multiply-adds that would take as long as taking a channel of a tile to points, or back."""
WEIGHT = 8
"""Tiles whose products would take as long as taking the weight to points."""


def can_winograd(a: ConvolutionAttrs, s: Sig) -> bool:
    """Kernels of 3 by 3 that meet every pixel and every channel."""
    windows = conv_windows(a, s.ins["x0"])
    return a.group == 1 and all((w.kernel, w.stride, w.dilation) == (3, 1, 1) for w in windows)


def winograd_size(a: ConvolutionAttrs, s: Sig) -> int:
    return _size(s.ins["x0"], s["y0"])


def winograd_cost(a: ConvolutionAttrs, s: Sig) -> Cost:
    return _cost(s.ins["x0"], s["y0"])


def can_winograd_dx(a: ConvolutionAttrs, s: Sig) -> bool:
    """The same of dx, which is a convolution of dy, padded by what the windows lack to two."""
    return can_winograd(a, s) and all(w.pad <= PAD for w in conv_windows(a, s.ins["x0"]))


def winograd_dx_told(a: ConvolutionAttrs, s: Sig) -> dict[str, Any]:
    windows = conv_windows(a, s.ins["x0"])
    batch, channels, *_ = s.ins["x0"].shape
    return {
        "axis": 1,
        "group": 1,
        "size": tuple(w.out for w in windows),
        "kernel": tuple(w.kernel for w in windows),
        "stride": (1, 1),
        "pad": tuple(PAD - w.pad for w in windows),
        "dilation": (1, 1),
        "batch": batch,
        "channels": a.num_output,
        "outputs": channels,
        "transpose": True,
    }


def winograd_dx_size(a: ConvolutionAttrs, s: Sig) -> int:
    return _size(s["y0"], s.ins["x0"])


def winograd_dx_cost(a: ConvolutionAttrs, s: Sig) -> Cost:
    return _cost(s["y0"], s.ins["x0"])


def _size(x: Type, y: Type) -> int:
    """Floats of the packed weight: outputs (in sixteens) x channels x points, or kernel elements
    where each run takes them to points."""
    return _sixteens(y.shape[1]) * x.shape[1] * (TAPS if _is_fresh(x, y) else POINTS)


def _cost(x: Type, y: Type) -> Cost:
    """A product at each point of each tile, and the transforms."""
    channels, outputs, tiles = x.shape[1], y.shape[1], _tiles(y)
    products = POINTS * channels * outputs
    macs = tiles * (products + TRANSFORM * (_sixteens(channels) + _sixteens(outputs)))
    if _is_fresh(x, y):
        macs += WEIGHT * products
    return Cost(macs, x.nbytes + 4 * _size(x, y), y.nbytes)


def _is_fresh(x: Type, y: Type) -> bool:
    return _tiles(y) <= FEW and x.shape[1] <= CACHED


def _tiles(y: Type) -> int:
    batch, _, *plane = y.shape
    return batch * -(-plane[0] // TILE) * -(-plane[1] // TILE)


def _sixteens(channels: int) -> int:
    return -(-channels // SIXTEEN) * SIXTEEN
