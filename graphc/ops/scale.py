"""Scale: multiply by coefficients along some axes."""

from __future__ import annotations

from graphc.ir.op import Filler, Param, Sig, Trait
from graphc.ir.types import Type
from graphc.ops._span import channel_axis, span, span_of_bottom
from graphc.ops.elementwise import Elementwise
from graphc.ops.scalar import Expr, Var
from graphc.ops.spec import Sample
from graphc.records import record


@record(frozen=True)
class ScaleAttrs:
    """`filler` None: the constant 1."""

    axis: int = 1
    num_axes: int = 1
    filler: Filler | None = None
    bias_term: bool = False
    bias_filler: Filler = Filler()


class Scale(Elementwise):
    """y[m,k,l] = weight[k] * x[m,k,l] + bias[k]; k: `num_axes` axes of x from `axis` on.

    x, y: (M..., K..., L...). weight: (K...), learned; or a second bottom `factor` of that shape,
    in which case `num_axes` is its rank. bias: (K...), with `bias_term`.
    """

    type, param_field = "Scale", "scale_param"
    Attrs = ScaleAttrs
    bottoms = ("x", "factor?")
    traits = Elementwise.traits | {Trait.LINEAR}

    @classmethod
    def traits_of(cls, a: ScaleAttrs, s: Sig) -> frozenset[Trait]:
        bilinear = {Trait.LINEAR} if "factor" in s.ins else set()
        return super().traits_of(a, s) - bilinear

    @staticmethod
    def params(a: ScaleAttrs, s: Sig) -> tuple[Param, ...]:
        start, shape = _place(a, s)
        channel = channel_axis(start, shape)
        weight = Param("weight", shape, a.filler or Filler(value=1.0), out_axis=channel)
        bias = Param("bias", shape, a.bias_filler, out_axis=channel)
        return (*(() if "factor" in s.ins else (weight,)), *((bias,) if a.bias_term else ()))

    @classmethod
    def infer(cls, a: ScaleAttrs, s: Sig) -> dict[str, Type]:
        _place(a, s)
        return super().infer(a, s)

    @staticmethod
    def starts(a: ScaleAttrs, s: Sig) -> dict[str, int]:
        start, _ = _place(a, s)
        return {_multiplier(s): start} | ({"bias": start} if a.bias_term else {})

    @classmethod
    def outputs(cls, a: ScaleAttrs, s: Sig) -> dict[str, Expr]:
        scaled = Var("x") * Var(_multiplier(s))
        return {"y": scaled + Var("bias") if a.bias_term else scaled}

    @classmethod
    def gradients(cls, a: ScaleAttrs, s: Sig) -> dict[str, Expr]:
        x, dy, multiplier = Var("x"), Var("dy"), _multiplier(s)
        bias = {"bias": dy} if a.bias_term else {}
        return {"x": dy * Var(multiplier), multiplier: dy * x, **bias}

    samples = (
        Sample(((2, 3, 4),)),
        Sample(((2, 3, 2, 2),), ScaleAttrs(num_axes=2, bias_term=True)),
        Sample(((2, 3, 2),), ScaleAttrs(axis=0, num_axes=-1)),
        Sample(((2, 3, 2),), ScaleAttrs(axis=-1, bias_term=True)),
        Sample(((2, 3),), ScaleAttrs(num_axes=0, bias_term=True)),
        Sample(((2, 3, 2), (3,))),
        Sample(((2, 3, 2), (2, 3)), ScaleAttrs(axis=0, bias_term=True)),
        Sample(((2, 3), (2, 3)), ScaleAttrs(axis=0)),
        Sample(((2, 3), ())),
        Sample(((0, 3, 2),), ScaleAttrs(bias_term=True)),
    )


def _multiplier(s: Sig) -> str:
    return "factor" if "factor" in s.ins else "weight"


def _place(a: ScaleAttrs, s: Sig) -> tuple[int, tuple[int, ...]]:
    """First axis of x that the coefficients lie along, and their shape."""
    if "factor" in s.ins:
        factor = s.ins["factor"]
        return span_of_bottom(s.ins["x"], a.axis, factor, "factor"), factor.shape
    return span(s.ins["x"], a.axis, a.num_axes)
