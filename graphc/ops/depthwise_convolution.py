"""DepthwiseConvolution: the forks' names of a convolution with one group per channel."""

from __future__ import annotations

from dataclasses import replace

from graphc.ir.op import Param, Sig, Trait
from graphc.ir.types import Type
from graphc.ops._conv import ConvolutionAttrs, conv_traits
from graphc.ops.convolution import Convolution
from graphc.ops.spec import Layer, OpSpec, Sample


class DepthwiseConvolution(OpSpec):
    """y[n, c*m + i] = weight[c*m + i] slid over x[n,c], + bias: Convolution with group = C.

    Operands as Convolution's; weight (O, 1, kernel...), O = m * C. A group in the file is heeded.
    """

    type, param_field = "DepthwiseConvolution", "convolution_param"
    Attrs = ConvolutionAttrs
    bottoms, tops, paired = ("x*",), ("y*",), True
    traits = frozenset({Trait.LINEAR, Trait.BATCH_SEPARABLE, Trait.EXTENSION})

    @classmethod
    def traits_of(cls, a: ConvolutionAttrs, s: Sig) -> frozenset[Trait]:
        return conv_traits(a, s.ins["x0"], cls.traits)

    @staticmethod
    def params(a: ConvolutionAttrs, s: Sig) -> tuple[Param, ...]:
        return Convolution.params(_grouped(a, s), s)

    @staticmethod
    def infer(a: ConvolutionAttrs, s: Sig) -> dict[str, Type]:
        return Convolution.infer(_grouped(a, s), s)

    @staticmethod
    def expand(a: ConvolutionAttrs, s: Sig) -> tuple[Layer, ...]:
        params = ("weight", "bias") if a.bias_term else ("weight",)
        return (Layer(Convolution, "conv", _grouped(a, s), tuple(s.ins), s.tops, params),)

    samples = (
        Sample(((2, 3, 4, 4),), ConvolutionAttrs(num_output=3, kernel_size=(3,), pad=(1,))),
        Sample(((1, 2, 4, 3),), ConvolutionAttrs(num_output=4, kernel_size=(2,), bias_term=False)),
        Sample(((0, 2, 3, 3),), ConvolutionAttrs(num_output=2, kernel_size=(2,))),
    )


class ConvolutionDepthwise(DepthwiseConvolution):
    """y[n, c*m + i] = weight[c*m + i] slid over x[n,c], + bias: as DepthwiseConvolution."""

    type = "ConvolutionDepthwise"


def _grouped(a: ConvolutionAttrs, s: Sig) -> ConvolutionAttrs:
    x = s.ins["x0"]
    return a if a.group != 1 else replace(a, group=max(1, x.shape[x.axis(a.axis)]))
