"""Convolution: one kernel slid over every spatial axis."""

from __future__ import annotations

import math
from typing import Any

from graphc.floats import Array
from graphc.ir.op import Param, Sig, Trait
from graphc.ir.types import Type
from graphc.ops._conv import (
    ConvolutionAttrs,
    bias_gradients,
    check_channels,
    check_equal,
    conv_told,
    conv_traits,
    conv_windows,
    packed_size,
    pair_grads,
    pair_narrow,
    pair_ties,
)
from graphc.ops._correlation import Correlation, add_bias, sum_to_bias
from graphc.ops._sparse import CONV_MODES, IMAGE_LAYOUTS, check_mode, image_layout, sparse_rows
from graphc.ops._windows import kernel_count
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
from graphc.ops.spec import F64, Ctx, Grad, OpSpec, Sample, Values, many
from graphc.ops.ties import Algebra, Kept


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


class Convolution(OpSpec):
    """y[n,o,p] = sum_c,k weight[o,c,k] * x[n,c, p*stride - pad + k*dilation] + bias[o], per group.

    x0, x1...: (N..., C, size...), channels at `axis`, any number of spatial axes after it (none:
    an inner product); all of one shape, sharing weight (O, C/group, kernel...) and bias (O,).
    y0, y1...: (N..., O, floor((size + 2 pad - (dilation (kernel - 1) + 1)) / stride) + 1, ...).
    """

    type, param_field = "Convolution", "convolution_param"
    Attrs = ConvolutionAttrs
    bottoms, tops, paired = ("x*",), ("y*",), True
    traits = frozenset({Trait.LINEAR, Trait.BATCH_SEPARABLE})

    @classmethod
    def traits_of(cls, a: ConvolutionAttrs, s: Sig) -> frozenset[Trait]:
        return conv_traits(a, s.ins["x0"], cls.traits)

    @staticmethod
    def params(a: ConvolutionAttrs, s: Sig) -> tuple[Param, ...]:
        x = s.ins["x0"]
        kernel = (w.kernel for w in conv_windows(a, x))
        shape = (a.num_output, x.shape[x.axis(a.axis)] // a.group, *kernel)
        weight = Param("weight", shape, a.weight_filler, out_axis=0, in_axis=1)
        bias = Param("bias", (a.num_output,), a.bias_filler, out_axis=0)
        return (weight, bias) if a.bias_term else (weight,)

    @staticmethod
    def infer(a: ConvolutionAttrs, s: Sig) -> dict[str, Type]:
        x = s.ins["x0"]
        check_channels(a, x)
        check_equal(s)
        check_mode(a.conv_mode, CONV_MODES, "conv_mode")
        outs = (w.out for w in conv_windows(a, x))
        y = Type((*x.shape[: x.axis(a.axis)], a.num_output, *outs))
        return dict.fromkeys(s.tops, y)

    @staticmethod
    def grads(a: ConvolutionAttrs, s: Sig) -> tuple[Grad, ...]:
        return pair_grads(a, s)

    @staticmethod
    def ties(a: ConvolutionAttrs, s: Sig) -> Algebra:
        return pair_ties(a, s, lead="y")

    @staticmethod
    def narrow(a: ConvolutionAttrs, s: Sig, kept: Kept) -> ConvolutionAttrs:
        return pair_narrow(a, s, kept)

    @staticmethod
    def macs(a: ConvolutionAttrs, part: str, s: Sig) -> int:
        if part.startswith("dbias"):
            return 0
        x, y = s.ins["x0"], s["y0"]
        per_output = x.shape[x.axis(a.axis)] // a.group * kernel_count(conv_windows(a, x))
        pairs = len(s.many("x")) if part == "forward" else 1
        return pairs * y.size * per_output

    @staticmethod
    def reference(a: ConvolutionAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        correlation = _correlation(a, ctx)
        tops = {}
        for i, x in enumerate(many(v, "x")):
            y = correlation.apply(x, v["weight"])
            tops[f"y{i}"] = add_bias(y, v["bias"], correlation.axis) if a.bias_term else y
        return tops

    @staticmethod
    def vjp(a: ConvolutionAttrs, part: str, v: Values, ctx: Ctx) -> F64:
        correlation = _correlation(a, ctx)
        if part.startswith("dbias"):
            return sum_to_bias(v["dy" + part.removeprefix("dbias")], correlation.axis)
        if part.startswith("dweight"):
            i = part.removeprefix("dweight")
            return correlation.weight(v[f"dy{i}"], v[f"x{i}"])
        return correlation.transpose(v["dy" + part.removeprefix("dx")], v["weight"])

    kernels = (
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
    samples = (
        Sample(((2, 3, 5, 4),), ConvolutionAttrs(num_output=2, kernel_size=(3,), pad=(1,))),
        Sample(
            ((1, 4, 5, 5),),
            ConvolutionAttrs(num_output=2, kernel_size=(2,), stride=(2,), group=2, bias_term=False),
        ),
        Sample(((2, 3, 4, 4),), ConvolutionAttrs(num_output=6, kernel_size=(3,), group=3)),
        Sample(
            ((1, 2, 7, 5),),
            ConvolutionAttrs(
                num_output=2, kernel_h=3, kernel_w=1, stride_h=1, stride_w=2, dilation=(2, 1)
            ),
        ),
        Sample(((2, 2, 6),), ConvolutionAttrs(num_output=3, kernel_size=(3,), stride=(2,))),
        Sample(((1, 2, 2, 3, 2, 2),), ConvolutionAttrs(num_output=2, kernel_size=(2,), axis=-4)),
        Sample(((3, 4),), ConvolutionAttrs(num_output=2)),
        Sample(((2, 2, 3),), ConvolutionAttrs(num_output=3, kernel_size=(2,), axis=0)),
        Sample(((1, 2, 4, 3),) * 2, ConvolutionAttrs(num_output=2, kernel_size=(2,)), tops=2),
        Sample(((0, 2, 4, 3),), ConvolutionAttrs(num_output=2, kernel_size=(2,))),
    )


def _correlation(a: ConvolutionAttrs, ctx: Ctx) -> Correlation:
    x = ctx.sig["x0"]
    return Correlation(x.axis(a.axis), conv_windows(a, x), a.group)
