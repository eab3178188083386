"""Bias: add coefficients along some axes."""

from __future__ import annotations

from graphc.ir.op import Filler, Param, Sig, Trait
from graphc.ir.types import Type
from graphc.ops._span import channel_axis, span, span_of_bottom
from graphc.ops.elementwise import Elementwise
from graphc.ops.scalar import Expr, Var
from graphc.ops.spec import Sample
from graphc.records import record


@record(frozen=True)
class BiasAttrs:
    axis: int = 1
    num_axes: int = 1
    filler: Filler = Filler()


class Bias(Elementwise):
    """y[m,k,l] = x[m,k,l] + bias[k]; k runs over `num_axes` axes of x from `axis` on.

    x, y: (M..., K..., L...). bias: (K...), learned; or a second bottom `offset` of that shape,
    in which case `num_axes` is its rank.
    """

    type, param_field = "Bias", "bias_param"
    Attrs = BiasAttrs
    bottoms = ("x", "offset?")
    traits = Elementwise.traits | {Trait.LINEAR}

    @staticmethod
    def params(a: BiasAttrs, s: Sig) -> tuple[Param, ...]:
        if "offset" in s.ins:
            return ()
        start, shape = span(s.ins["x"], a.axis, a.num_axes)
        return (Param("bias", shape, a.filler, out_axis=channel_axis(start, shape)),)

    @classmethod
    def infer(cls, a: BiasAttrs, s: Sig) -> dict[str, Type]:
        cls.starts(a, s)
        return super().infer(a, s)

    @staticmethod
    def starts(a: BiasAttrs, s: Sig) -> dict[str, int]:
        if "offset" in s.ins:
            return {"offset": span_of_bottom(s.ins["x"], a.axis, s.ins["offset"], "offset")}
        return {"bias": span(s.ins["x"], a.axis, a.num_axes)[0]}

    @classmethod
    def outputs(cls, a: BiasAttrs, s: Sig) -> dict[str, Expr]:
        return {"y": Var("x") + Var(_added(s))}

    @classmethod
    def gradients(cls, a: BiasAttrs, s: Sig) -> dict[str, Expr]:
        return {"x": Var("dy"), _added(s): Var("dy")}

    samples = (
        Sample(((2, 3, 4),)),
        Sample(((2, 3, 2, 2),), BiasAttrs(num_axes=2)),
        Sample(((2, 3, 2),), BiasAttrs(num_axes=-1)),
        Sample(((2, 3),), BiasAttrs(num_axes=0)),
        Sample(((2, 3, 2), (3, 2))),
        Sample(((2, 3), (2, 3)), BiasAttrs(axis=0)),
        Sample(((0, 3, 2),)),
    )


def _added(s: Sig) -> str:
    return "offset" if "offset" in s.ins else "bias"
