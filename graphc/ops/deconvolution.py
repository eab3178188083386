"""Deconvolution: the transpose of a convolution, for learned upsampling."""

from __future__ import annotations

from typing import Any

from graphc.ir.op import Param, Sig, Trait
from graphc.ir.types import Type
from graphc.ops._conv import (
    ConvolutionAttrs,
    bias_gradients,
    check_channels,
    check_equal,
    conv_told,
    conv_traits,
    deconv_windows,
    packed_size,
    pair_grads,
    pair_narrow,
    pair_ties,
)
from graphc.ops._correlation import Correlation, add_bias, sum_to_bias
from graphc.ops._windows import kernel_count
from graphc.ops.kernel import BLOCKED, Kernel, Pack
from graphc.ops.spec import F64, Ctx, Grad, OpSpec, Sample, Values, many
from graphc.ops.ties import Algebra, Kept


def _told(a: ConvolutionAttrs, s: Sig) -> dict[str, Any]:
    x = s.ins["x0"]
    return conv_told(a, x, deconv_windows(a, x))


def _packed(a: ConvolutionAttrs, s: Sig) -> int:
    weight = s.params["weight"]
    depth = weight.shape[0] // a.group * weight.count(2)
    return packed_size(a.group, a.num_output // a.group, depth)


def _told_of_gradients(a: ConvolutionAttrs, s: Sig) -> dict[str, Any]:
    """Of the convolution, from the top to the bottom, that this layer transposes."""
    size = tuple(w.size for w in deconv_windows(a, s.ins["x0"]))
    return {**_told(a, s), "bias": False, "size": size}


def _is_image(a: ConvolutionAttrs, s: Sig) -> bool:
    """Bottoms (N, C, H, W)."""
    x = s.ins["x0"]
    return x.rank == 4 and x.axis(a.axis) == 1


def _told_of_image(a: ConvolutionAttrs, s: Sig) -> dict[str, Any]:
    """Of that convolution, as oneDNN is told; its outputs are this layer's channels."""
    batch, channels, *_ = s.ins["x0"].shape
    sizes = {"batch": batch, "channels": a.num_output, "outputs": channels}
    return {**_told_of_gradients(a, s), **sizes}


def _packed_for_dx(a: ConvolutionAttrs, s: Sig) -> int:
    weight = s.params["weight"]
    return packed_size(a.group, weight.shape[0] // a.group, weight.count(1))


class Deconvolution(OpSpec):
    """y[n,o, p*stride - pad + k*dilation] += weight[c,o,k] * x[n,c,p] for all c, p, k; + bias[o].

    x0, x1...: (N..., C, size...), channels at `axis`; all of one shape, sharing weight
    (C, O/group, kernel...) and bias (O,).
    y0, y1...: (N..., O, stride (size - 1) + dilation (kernel - 1) + 1 - 2 pad, ...).
    """

    type, param_field = "Deconvolution", "convolution_param"
    Attrs = ConvolutionAttrs
    bottoms, tops, paired = ("x*",), ("y*",), True
    traits = frozenset({Trait.LINEAR, Trait.BATCH_SEPARABLE})

    @classmethod
    def traits_of(cls, a: ConvolutionAttrs, s: Sig) -> frozenset[Trait]:
        return conv_traits(a, s.ins["x0"], cls.traits)

    @staticmethod
    def params(a: ConvolutionAttrs, s: Sig) -> tuple[Param, ...]:
        x = s.ins["x0"]
        kernel = (w.kernel for w in deconv_windows(a, x))
        shape = (x.shape[x.axis(a.axis)], a.num_output // a.group, *kernel)
        weight = Param("weight", shape, a.weight_filler, out_axis=1, in_axis=0)
        bias = Param("bias", (a.num_output,), a.bias_filler, out_axis=0)
        return (weight, bias) if a.bias_term else (weight,)

    @staticmethod
    def infer(a: ConvolutionAttrs, s: Sig) -> dict[str, Type]:
        x = s.ins["x0"]
        check_channels(a, x)
        check_equal(s)
        sizes = (w.size for w in deconv_windows(a, x))
        y = Type((*x.shape[: x.axis(a.axis)], a.num_output, *sizes))
        return dict.fromkeys(s.tops, y)

    @staticmethod
    def grads(a: ConvolutionAttrs, s: Sig) -> tuple[Grad, ...]:
        return pair_grads(a, s)

    @staticmethod
    def ties(a: ConvolutionAttrs, s: Sig) -> Algebra:
        return pair_ties(a, s, lead="x")

    @staticmethod
    def narrow(a: ConvolutionAttrs, s: Sig, kept: Kept) -> ConvolutionAttrs:
        return pair_narrow(a, s, kept)

    @staticmethod
    def macs(a: ConvolutionAttrs, part: str, s: Sig) -> int:
        if part.startswith("dbias"):
            return 0
        x = s.ins["x0"]
        per_input = a.num_output // a.group * kernel_count(deconv_windows(a, x))
        pairs = len(s.many("x")) if part == "forward" else 1
        return pairs * x.size * per_input

    @staticmethod
    def reference(a: ConvolutionAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        correlation = _correlation(a, ctx)
        tops = {}
        for i, x in enumerate(many(v, "x")):
            y = correlation.transpose(x, v["weight"])
            tops[f"y{i}"] = add_bias(y, v["bias"], correlation.axis) if a.bias_term else y
        return tops

    @staticmethod
    def vjp(a: ConvolutionAttrs, part: str, v: Values, ctx: Ctx) -> F64:
        correlation = _correlation(a, ctx)
        if part.startswith("dbias"):
            return sum_to_bias(v["dy" + part.removeprefix("dbias")], correlation.axis)
        if part.startswith("dweight"):
            i = part.removeprefix("dweight")
            return correlation.weight(v[f"x{i}"], v[f"dy{i}"])
        return correlation.apply(v["dy" + part.removeprefix("dx")], v["weight"])

    kernels = (
        Kernel(
            "cpu",
            "forward",
            "deconv",
            attrs=_told,
            packs=(Pack("weight", "deconv_pack", _packed),),
            strided=True,
            fuses=("relu", "residual"),
        ),
        Kernel(
            "cpu",
            "forward",
            "dnnl_conv_dx",
            attrs=lambda a, s: {**_told_of_image(a, s), "shift": a.bias_term},
            when=lambda a, s: _is_image(a, s) and len(s.many("x")) == 1,
            packs=(Pack("weight", "dnnl_conv_dx_pack"),),
            strided=True,
            fuses=("relu",),
            formats=((BLOCKED, BLOCKED),),
            asks=True,
        ),
        Kernel(
            "cpu",
            "dx*",
            "conv",
            attrs=_told_of_gradients,
            packs=(Pack("weight", "conv_pack", _packed_for_dx),),
            strided=True,
        ),
        Kernel(
            "cpu",
            "dx*",
            "dnnl_conv",
            attrs=_told_of_image,
            when=_is_image,
            packs=(Pack("weight", "dnnl_conv_pack"),),
            strided=True,
            formats=((BLOCKED, BLOCKED),),
            asks=True,
        ),
        Kernel(
            "cpu",
            "dweight*",
            "conv_dweight",
            attrs=lambda a, s: {**_told_of_gradients(a, s), "transpose": True},
            adds=True,
        ),
        Kernel(
            "cpu",
            "dweight*",
            "dnnl_conv_dweight",
            deterministic=False,
            attrs=lambda a, s: {**_told_of_image(a, s), "transpose": True},
            when=_is_image,
            formats=((BLOCKED, BLOCKED),),
            asks=True,
            adds=True,
        ),
        *bias_gradients(),
    )
    samples = (
        Sample(((2, 3, 3, 2),), ConvolutionAttrs(num_output=2, kernel_size=(3,), pad=(1,))),
        Sample(
            ((1, 4, 2, 3),),
            ConvolutionAttrs(num_output=6, kernel_size=(3,), stride=(2,), group=2, bias_term=False),
        ),
        Sample(((2, 2, 2, 2),), ConvolutionAttrs(num_output=4, kernel_size=(2,), group=2)),
        Sample(
            ((1, 2, 3, 3),),
            ConvolutionAttrs(num_output=2, kernel_h=2, kernel_w=1, stride_h=1, stride_w=2),
        ),
        Sample(((2, 2, 3),), ConvolutionAttrs(num_output=3, kernel_size=(3,), dilation=(2,))),
        Sample(((2, 3),), ConvolutionAttrs(num_output=2)),
        Sample(((2, 2, 3),), ConvolutionAttrs(num_output=3, kernel_size=(2,), axis=0)),
        Sample(((1, 2, 2, 2),) * 2, ConvolutionAttrs(num_output=2, kernel_size=(2,)), tops=2),
        Sample(((0, 2, 2, 2),), ConvolutionAttrs(num_output=2, kernel_size=(2,))),
    )


def _correlation(a: ConvolutionAttrs, ctx: Ctx) -> Correlation:
    """The convolution, from the top to the bottom, that this layer transposes."""
    x = ctx.sig["x0"]
    return Correlation(x.axis(a.axis), deconv_windows(a, x), a.group)
