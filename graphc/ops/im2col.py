"""Im2col: the elements under each kernel position, laid out as channels."""

from __future__ import annotations

import math
from typing import Any

from graphc.ir.op import Sig, Trait
from graphc.ir.types import Type
from graphc.numpy_later import np
from graphc.ops._conv import ConvolutionAttrs, conv_told, conv_traits, conv_windows
from graphc.ops._windows import fold, kernel_count, unfold, window_count
from graphc.ops.kernel import Kernel
from graphc.ops.spec import F64, Ctx, Grad, OpSpec, Sample, Values
from graphc.ops.ties import Algebra, Tie


def _told(a: ConvolutionAttrs, s: Sig) -> dict[str, Any]:
    return conv_told(a, s.ins["x"], conv_windows(a, s.ins["x"])) | {"group": 1}


class Im2col(OpSpec):
    """y[n, c*K + k, p] = x[n,c, p*stride - pad + k*dilation], zero in the padding.

    x: (N..., C, size...), channels at `axis`; k runs over the K kernel elements, row-major.
    y: (N..., C*K, windows...), the window counts of a convolution with the same options.
    """

    type, param_field = "Im2col", "convolution_param"
    Attrs = ConvolutionAttrs
    traits = frozenset({Trait.BATCH_SEPARABLE})

    @classmethod
    def traits_of(cls, a: ConvolutionAttrs, s: Sig) -> frozenset[Trait]:
        return conv_traits(a, s.ins["x"], cls.traits)

    @staticmethod
    def infer(a: ConvolutionAttrs, s: Sig) -> dict[str, Type]:
        x = s.ins["x"]
        windows, axis = conv_windows(a, x), x.axis(a.axis)
        channels = x.shape[axis] * kernel_count(windows)
        return {"y": Type((*x.shape[:axis], channels, *(w.out for w in windows)))}

    @staticmethod
    def grads(a: ConvolutionAttrs, s: Sig) -> tuple[Grad, ...]:
        return (Grad("x", ("dy",)),)

    @staticmethod
    def ties(a: ConvolutionAttrs, s: Sig) -> Algebra:
        x = s.ins["x"]
        axis, k = x.axis(a.axis), kernel_count(conv_windows(a, x))
        kept = tuple(Tie(f"x.{i}", f"y.{i}") for i in range(1, axis))
        return (Tie(f"x.{axis}", f"y.{axis}", repeat=k), *kept)

    @staticmethod
    def reference(a: ConvolutionAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        x, axis = v["x"], ctx.sig["x"].axis(a.axis)
        windows = conv_windows(a, ctx.sig["x"])
        flat = x.reshape(math.prod(x.shape[: axis + 1]), *x.shape[axis + 1 :])
        channels = x.shape[axis] * kernel_count(windows)
        outs = (w.out for w in windows)
        y = np.array(unfold(flat, windows)).reshape(*x.shape[:axis], channels, *outs)
        return {"y": y}

    @staticmethod
    def vjp(a: ConvolutionAttrs, part: str, v: Values, ctx: Ctx) -> F64:
        dy, x = v["dy"], ctx.sig["x"]
        axis, windows = x.axis(a.axis), conv_windows(a, x)
        shape = (*dy.shape[:axis], *x.shape[axis:])
        dx = np.zeros((math.prod(shape[: axis + 1]), *shape[axis + 1 :]))
        columns = dy.reshape(dx.shape[0], kernel_count(windows), window_count(windows))
        fold(columns, windows, dx)
        return dx.reshape(shape)

    kernels = (
        Kernel("cpu", "forward", "im2col", attrs=_told),
        Kernel("cpu", "dx", "col2im", attrs=_told),
    )
    samples = (
        Sample(((2, 2, 4, 5),), ConvolutionAttrs(kernel_size=(3,), stride=(2,), pad=(1,))),
        Sample(((1, 2, 5, 4),), ConvolutionAttrs(kernel_size=(2,), dilation=(2, 1))),
        Sample(((2, 3, 5),), ConvolutionAttrs(kernel_size=(2,), axis=-2)),
        Sample(((2, 2, 3),), ConvolutionAttrs(kernel_size=(1,), axis=0)),
        Sample(((0, 2, 4, 5),), ConvolutionAttrs(kernel_size=(3,))),
    )
