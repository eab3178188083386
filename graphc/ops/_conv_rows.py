"""Convolution's kernels on the CPU: what each is told, when it can be had, and what it costs."""

from __future__ import annotations

import math
from typing import Any

from graphc.floats import Array
from graphc.ir.op import Sig
from graphc.ops._conv import (
    ConvolutionAttrs,
    bias_gradients,
    conv_told,
    conv_windows,
    packed_size,
)
from graphc.ops._sparse import IMAGE_LAYOUTS, image_layout, sparse_rows
from graphc.ops._winograd import (
    can_winograd,
    can_winograd_dx,
    winograd_cost,
    winograd_dweight_cost,
    winograd_dx_cost,
    winograd_dx_size,
    winograd_dx_told,
    winograd_size,
)
from graphc.ops.kernel import BLOCKED, PLAIN, Cost, Kernel, Pack


def _told(a: ConvolutionAttrs, s: Sig) -> dict[str, Any]:
    x = s.ins["x0"]
    return conv_told(a, x, conv_windows(a, x))


def _is_depthwise(a: ConvolutionAttrs, s: Sig) -> bool:
    """One channel per group and few outputs of it, so that there is nothing to block; and a kernel
    that fits into the image."""
    x = s.ins["x0"]
    axis, pairs = x.axis(a.axis), len(s.many("x"))
    few = a.num_output <= 4 * a.group
    inside = all(w.reach <= w.size and w.pad < w.reach for w in conv_windows(a, x))
    return pairs == 1 and few and inside and a.group == x.shape[axis] and x.rank - axis in (2, 3)


def _is_image(a: ConvolutionAttrs, s: Sig) -> bool:
    """Bottoms (N, C, H, W)."""
    x = s.ins["x0"]
    return x.rank == 4 and x.axis(a.axis) == 1


def _told_of_image(a: ConvolutionAttrs, s: Sig) -> dict[str, Any]:
    batch, channels, *_ = s.ins["x0"].shape
    return {**_told(a, s), "batch": batch, "channels": channels, "outputs": a.num_output}


def _by_groups(a: ConvolutionAttrs, weight: Array) -> Array:
    """(groups, outputs, columns)."""
    return weight.reshape(a.group, a.num_output // a.group, -1)


def _layout(a: ConvolutionAttrs, s: Sig) -> str:
    """The sparse layout of the weight, if the layer has one that kernels know."""
    is_image = _is_image(a, s) and len(s.many("x")) == 1
    return image_layout(a) if is_image else ""


def _is_dense_image(a: ConvolutionAttrs, s: Sig) -> bool:
    return _is_image(a, s) and len(s.many("x")) == 1 and not _layout(a, s)


def _told_of_dx(a: ConvolutionAttrs, s: Sig) -> dict[str, Any]:
    """dx as the deconvolution of dy."""
    x = s.ins["x0"]
    axis, outs = x.axis(a.axis), tuple(w.out for w in conv_windows(a, x))
    return {**_told(a, s), "bias": False, "size": outs, "spread": x.shape[axis + 1 :]}


def _cost_of_dx(a: ConvolutionAttrs, s: Sig) -> Cost:
    """Of that deconvolution, which goes through all taps for each stride of x: with windows that
    stay inside of x there are more of those than windows."""
    x, weight = s.ins["x0"], s.params["weight"]
    strides = math.prod(-(-w.size // w.stride) for w in conv_windows(a, x))
    macs = math.prod(x.shape[: x.axis(a.axis)]) * weight.size * strides
    return Cost(macs, s["y0"].nbytes + weight.nbytes, x.nbytes)


def _packed_for_dx(a: ConvolutionAttrs, s: Sig) -> int:
    weight = s.params["weight"]
    return packed_size(a.group, weight.shape[1], a.num_output // a.group * weight.count(2))


def _packed(a: ConvolutionAttrs, s: Sig) -> int:
    weight = s.params["weight"]
    return packed_size(a.group, a.num_output // a.group, weight.count(1))


_FUSES = ("relu", "residual")

CONVOLUTION_ROWS = (
    Kernel(
        "cpu",
        "forward",
        "conv_depthwise",
        attrs=_told,
        when=lambda a, s: _is_depthwise(a, s) and not _layout(a, s),
        strided=True,
        fuses=_FUSES,
    ),
    Kernel(
        "cpu",
        "forward",
        "conv",
        attrs=_told,
        when=lambda a, s: not _is_depthwise(a, s) and not _layout(a, s),
        packs=(Pack("weight", "conv_pack", _packed),),
        strided=True,
        fuses=_FUSES,
    ),
    Kernel(
        "cpu",
        "forward",
        "dnnl_conv",
        attrs=_told_of_image,
        when=_is_dense_image,
        packs=(Pack("weight", "dnnl_conv_pack"),),
        strided=True,
        fuses=_FUSES,
        formats=((BLOCKED, BLOCKED), (PLAIN, BLOCKED)),
        asks=True,
    ),
    Kernel(
        "cpu",
        "forward",
        "conv_winograd",
        attrs=_told_of_image,
        when=lambda a, s: _is_dense_image(a, s) and can_winograd(a, s),
        packs=(Pack("weight", "conv_winograd_pack", winograd_size),),
        strided=True,
        fuses=_FUSES,
        formats=((BLOCKED, BLOCKED),),
        cost=winograd_cost,
    ),
    *sparse_rows(_layout, IMAGE_LAYOUTS, _told_of_image, _by_groups, strided=True),
    Kernel(
        "cpu",
        "dx*",
        "deconv",
        attrs=_told_of_dx,
        packs=(Pack("weight", "deconv_pack", _packed_for_dx),),
        strided=True,
        cost=_cost_of_dx,
    ),
    Kernel(
        "cpu",
        "dx*",
        "dnnl_conv_dx",
        attrs=_told_of_image,
        when=_is_image,
        packs=(Pack("weight", "dnnl_conv_dx_pack"),),
        strided=True,
        formats=((BLOCKED, BLOCKED),),
        asks=True,
    ),
    Kernel(
        "cpu",
        "dx*",
        "conv_winograd",
        attrs=winograd_dx_told,
        when=lambda a, s: _is_image(a, s) and can_winograd_dx(a, s),
        packs=(Pack("weight", "conv_winograd_pack", winograd_dx_size),),
        strided=True,
        formats=((BLOCKED, BLOCKED),),
        cost=winograd_dx_cost,
    ),
    Kernel("cpu", "dweight*", "conv_dweight", attrs=_told, adds=True),
    Kernel(
        "cpu",
        "dweight*",
        "dnnl_conv_dweight",
        deterministic=False,
        attrs=_told_of_image,
        when=_is_image,
        formats=((BLOCKED, BLOCKED), (PLAIN, BLOCKED)),
        asks=True,
        adds=True,
    ),
    Kernel(
        "cpu",
        "dweight*",
        "conv_winograd_dweight",
        attrs=_told_of_image,
        when=lambda a, s: _is_image(a, s) and can_winograd(a, s),
        formats=((BLOCKED, BLOCKED),),
        adds=True,
        cost=winograd_dweight_cost,
    ),
    *bias_gradients(),
)

__all__ = ["CONVOLUTION_ROWS"]
