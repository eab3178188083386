"""Axpy: the scaled residual sum of squeeze-and-excitation networks."""

from __future__ import annotations

from graphc.errors import fail
from graphc.ir.op import NoAttrs, Sig, Trait
from graphc.ir.types import Type
from graphc.ops.eltwise import Eltwise, EltwiseAttrs
from graphc.ops.scale import Scale, ScaleAttrs
from graphc.ops.spec import Layer, OpSpec, Sample


class Axpy(OpSpec):
    """y[n,c,...] = factor[n,c] * x[n,c,...] + offset[n,c,...]: Flatten, Scale and Eltwise.

    factor: (N, C), trailing axes of extent 1 allowed; x, offset, y: (N, C, ...).
    Source: Hu et al., "Squeeze-and-Excitation Networks", arXiv 1709.01507.
    """

    type = "Axpy"
    bottoms = ("factor", "x", "offset")
    traits = frozenset({Trait.BATCH_SEPARABLE, Trait.EXTENSION})

    @staticmethod
    def infer(a: NoAttrs, s: Sig) -> dict[str, Type]:
        factor, x, offset = s.ins["factor"], s.ins["x"], s.ins["offset"]
        if x.rank < 2 or factor.rank < 2 or factor.shape[:2] != x.shape[:2] or factor.count(2) != 1:
            fail(
                "GC-S003",
                f"factor has shape {factor.shape}, x has {x.shape}",
                "factor holds one number per sample and channel of x: (N, C, 1, 1)",
            )
        if offset.shape != x.shape:
            fail("GC-S003", f"x has shape {x.shape}, but what is added has {offset.shape}")
        return {"y": x}

    @staticmethod
    def expand(a: NoAttrs, s: Sig) -> tuple[Layer, ...]:
        from graphc.ops.flatten import Flatten, FlattenAttrs

        return (
            Layer(Flatten, "flatten", FlattenAttrs(), ("factor",), ("flat",)),
            Layer(Scale, "scale", ScaleAttrs(axis=0), ("x", "flat"), ("scaled",)),
            Layer(Eltwise, "sum", EltwiseAttrs(), ("scaled", "offset"), ("y",)),
        )

    samples = (
        Sample(((2, 3, 1, 1), (2, 3, 2, 2), (2, 3, 2, 2))),
        Sample(((2, 3), (2, 3, 4), (2, 3, 4))),
        Sample(((0, 3, 1, 1), (0, 3, 2, 2), (0, 3, 2, 2))),
    )
