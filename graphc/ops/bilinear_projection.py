"""BilinearProjection: an inner product whose weight is a sum of a few Kronecker products."""

from __future__ import annotations

from graphc.errors import fail
from graphc.ir.op import Filler, Param, Sig, Trait
from graphc.ir.types import Type
from graphc.ops._blob_shape import BlobShape
from graphc.ops._conv import ConvolutionAttrs
from graphc.ops.bias import Bias, BiasAttrs
from graphc.ops.convolution import Convolution
from graphc.ops.inner_product import InnerProduct, InnerProductAttrs
from graphc.ops.reshape import Reshape, ReshapeAttrs
from graphc.ops.spec import Layer, OpSpec, Sample
from graphc.records import record


@record(frozen=True)
class BilinearProjectionAttrs:
    in_h: int = 0
    in_w: int = 0
    out_h: int = 0
    out_w: int = 0
    rank: int = 1
    bias_term: bool = True
    weight_filler: Filler = Filler()
    bias_filler: Filler = Filler()


class BilinearProjection(OpSpec):
    """y[n,:] = vec(sum_r A_r X_n B_r^T) + bias: an inner product by sum_r kron(A_r, B_r).

    x: (N, K...), of which X_n has in_h rows and in_w columns, row by row; y: (N, out_h * out_w).
    a: (out_h, in_h, rank, 1), A_r[i,j] = a[i,j,r]; b: (rank * out_w, in_w), B_r the r-th of its
    blocks of rows; bias: (out_h * out_w,). It is an InnerProduct by all B_r of each row of X, and a
    Convolution of the columns by all A_r. Source: Yu et al., arXiv 2011.01391.
    """

    type, param_field = "BilinearProjection", "bilinear_param"
    Attrs = BilinearProjectionAttrs
    traits = frozenset({Trait.BATCH_SEPARABLE, Trait.EXTENSION})

    @staticmethod
    def params(a: BilinearProjectionAttrs, s: Sig) -> tuple[Param, ...]:
        left = Param("a", (a.out_h, a.in_h, a.rank, 1), a.weight_filler, out_axis=0, in_axis=1)
        right = Param("b", (a.rank * a.out_w, a.in_w), a.weight_filler, out_axis=0, in_axis=1)
        bias = Param("bias", (a.out_h * a.out_w,), a.bias_filler, out_axis=0)
        return (left, right, bias) if a.bias_term else (left, right)

    @staticmethod
    def infer(a: BilinearProjectionAttrs, s: Sig) -> dict[str, Type]:
        x = s.ins["x"]
        for name in ("in_h", "in_w", "out_h", "out_w", "rank"):
            if getattr(a, name) < 1:
                fail("GC-N008", f"{name} is {getattr(a, name)}", f"set bilinear_param.{name}")
        if x.rank < 2:
            fail("GC-S002", f"x has shape {x.shape}, but needs a batch axis and others")
        if a.in_h * a.in_w != x.count(1):
            told = f"in_h * in_w is {a.in_h} * {a.in_w}, but x {x.shape} has {x.count(1)} elements"
            fail("GC-S002", f"{told} per sample", "they must be as many")
        return {"y": Type((x.shape[0], a.out_h * a.out_w))}

    @staticmethod
    def expand(a: BilinearProjectionAttrs, s: Sig) -> tuple[Layer, ...]:
        return bilinear_layers(a)

    samples = (
        Sample(((2, 6),), BilinearProjectionAttrs(in_h=2, in_w=3, out_h=3, out_w=2)),
        Sample(
            ((2, 3, 2, 2),),
            BilinearProjectionAttrs(in_h=3, in_w=4, out_h=2, out_w=2, rank=2, bias_term=False),
        ),
        Sample(((0, 6),), BilinearProjectionAttrs(in_h=2, in_w=3, out_h=1, out_w=2, rank=2)),
    )


def bilinear_layers(a: BilinearProjectionAttrs) -> tuple[Layer, ...]:
    """The stock layers that a projection stands for."""
    rows = ReshapeAttrs(BlobShape((0, a.in_h, a.in_w)))
    right = InnerProductAttrs(
        a.rank * a.out_w, bias_term=False, weight_filler=a.weight_filler, axis=2
    )
    terms = ReshapeAttrs(BlobShape((0, a.in_h, a.rank, a.out_w)))
    left = ConvolutionAttrs(
        a.out_h, bias_term=False, kernel_h=a.rank, kernel_w=1, weight_filler=a.weight_filler
    )
    flat = ReshapeAttrs(BlobShape((0, a.out_h * a.out_w)))
    end = ("sum",) if a.bias_term else ("y",)
    found = (
        Layer(Reshape, "rows", rows, ("x",), ("rows",)),
        Layer(InnerProduct, "right", right, ("rows",), ("right",), ("b",)),
        Layer(Reshape, "terms", terms, ("right",), ("terms",)),
        Layer(Convolution, "left", left, ("terms",), ("left",), ("a",)),
        Layer(Reshape, "flat", flat, ("left",), end),
    )
    shift = BiasAttrs(filler=a.bias_filler)
    bias = Layer(Bias, "bias", shift, end, ("y",), ("bias",))
    return (*found, bias) if a.bias_term else found
