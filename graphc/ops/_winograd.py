"""Winograd's convolution F(4x4, 3x3): what it can do, and what that takes."""

from __future__ import annotations

from graphc.ir.op import Sig
from graphc.ops._conv import ConvolutionAttrs, conv_windows
from graphc.ops.kernel import Cost

TILE, POINTS = 4, 36
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
    x, y = s.ins["x0"], s["y0"]
    batch, channels, *_ = x.shape
    _, outputs, *plane = y.shape
    tiles = batch * -(-plane[0] // TILE) * -(-plane[1] // TILE)
    transformed = _sixteens(channels) + _sixteens(outputs)
    macs = tiles * (POINTS * channels * outputs + TRANSFORM * transformed)
    return Cost(macs, x.nbytes + 4 * winograd_size(a, s), y.nbytes)


def _sixteens(channels: int) -> int:
    return -(-channels // SIXTEEN) * SIXTEEN
