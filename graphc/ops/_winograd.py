"""Winograd's convolution F(4x4, 3x3): what it can do, and what that takes."""

from __future__ import annotations

from typing import Any

from graphc.ir.op import Sig
from graphc.ir.types import Type
from graphc.ops._conv import ConvolutionAttrs, conv_windows
from graphc.ops.kernel import Cost

TILE, POINTS = 4, 36
PAD = 2
"""Padding with which a kernel meets every place where it meets any element."""
SIXTEEN = 16
"""Outputs of a packed weight come in so many, see csrc/kernels/winograd/layout.h."""
TRANSFORM = 400
"""Multiply-adds that would take as long as taking a channel of a tile to points, or back."""


def can_winograd(a: ConvolutionAttrs, s: Sig) -> bool:
    """Kernels of 3 by 3 that meet every pixel and every channel."""
    windows = conv_windows(a, s.ins["x0"])
    return a.group == 1 and all((w.kernel, w.stride, w.dilation) == (3, 1, 1) for w in windows)


def winograd_size(a: ConvolutionAttrs, s: Sig) -> int:
    """Floats of the packed weight: outputs (in sixteens) x channels x points."""
    return _sixteens(a.num_output) * s.params["weight"].shape[1] * POINTS


def winograd_cost(a: ConvolutionAttrs, s: Sig) -> Cost:
    """A product at each point of each tile, the transforms, and the weight, which is four times as
    large as the layer's."""
    return _cost(s.ins["x0"], s["y0"], winograd_size(a, s))


def _cost(x: Type, y: Type, packed: int) -> Cost:
    """Of x -> y and a packed weight of so many floats."""
    batch, channels, *_ = x.shape
    _, outputs, *plane = y.shape
    tiles = batch * -(-plane[0] // TILE) * -(-plane[1] // TILE)
    transformed = _sixteens(channels) + _sixteens(outputs)
    macs = tiles * (POINTS * channels * outputs + TRANSFORM * transformed)
    return Cost(macs, x.nbytes + 4 * packed, y.nbytes)


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
    return _sixteens(s.params["weight"].shape[1]) * a.num_output * POINTS


def winograd_dx_cost(a: ConvolutionAttrs, s: Sig) -> Cost:
    return _cost(s["y0"], s.ins["x0"], winograd_dx_size(a, s))


def _sixteens(channels: int) -> int:
    return -(-channels // SIXTEEN) * SIXTEEN
