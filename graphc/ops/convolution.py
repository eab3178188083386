"""Convolution: one kernel slid over every spatial axis."""

from __future__ import annotations

from graphc.ir.op import Param, Sig, Trait
from graphc.ir.types import Type
from graphc.ops._conv import (
    ConvolutionAttrs,
    check_channels,
    check_equal,
    conv_traits,
    conv_windows,
    pair_grads,
    pair_narrow,
    pair_ties,
)
from graphc.ops._conv_rows import CONVOLUTION_ROWS
from graphc.ops._correlation import Correlation, add_bias, sum_to_bias
from graphc.ops._sparse import CONV_MODES, check_mode
from graphc.ops._windows import kernel_count
from graphc.ops.spec import F64, Ctx, Grad, OpSpec, Sample, Values, many
from graphc.ops.ties import Algebra, Kept


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

    kernels = CONVOLUTION_ROWS
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
