"""Power: a power of an affine function."""

from __future__ import annotations

from graphc.ops._draws import positive
from graphc.ops.elementwise import Elementwise
from graphc.ops.scalar import Const, Expr, Var, power
from graphc.ops.spec import Sample
from graphc.records import record


@record(frozen=True)
class PowerAttrs:
    power: float = 1.0
    scale: float = 1.0
    shift: float = 0.0


class Power(Elementwise):
    """y = (shift + scale * x) ^ power. x, y: any shape.

    Short cuts as in Caffe: where power * scale is 0, y is a constant (even where x is NaN) and the
    gradient is 0; where power is 1 the gradient needs dy alone. Unlike Caffe's, the gradient of
    whole powers is finite where shift + scale * x is 0.
    """

    type, param_field = "Power", "power_param"
    Attrs = PowerAttrs

    @staticmethod
    def forward(a: PowerAttrs) -> Expr:
        if a.power * a.scale == 0:
            return Const(1.0) if a.power == 0 else power(a.shift, a.power)
        return _raised(_base(a), a.power)

    @staticmethod
    def backward(a: PowerAttrs) -> Expr:
        slope = a.power * a.scale
        if slope == 0:
            return Const(0.0)
        scaled = Var("dy") if slope == 1 else slope * Var("dy")
        return scaled if a.power == 1 else scaled * _raised(_base(a), a.power - 1)

    samples = (
        Sample(((2, 3, 4),)),
        Sample(((2, 5),), PowerAttrs(scale=-2.0, shift=0.5)),
        Sample(((2, 5),), PowerAttrs(power=2.0, scale=0.5, shift=1.5)),
        Sample(((2, 5),), PowerAttrs(power=3.0)),
        Sample(((2, 5),), PowerAttrs(power=0.37, scale=0.83, shift=0.4), draw={"x": positive}),
        Sample(((2, 5),), PowerAttrs(power=-1.0, scale=2.0), draw={"x": positive}),
        Sample(((2, 5),), PowerAttrs(power=0.0, scale=2.0, shift=1.0)),
        Sample(((2, 5),), PowerAttrs(power=2.0, scale=0.0, shift=-3.0)),
        Sample(((0, 3),), PowerAttrs(power=2.0)),
    )


def _base(a: PowerAttrs) -> Expr:
    scaled = Var("x") if a.scale == 1 else a.scale * Var("x")
    return scaled if a.shift == 0 else scaled + a.shift


def _raised(base: Expr, exponent: float) -> Expr:
    if exponent == 1:
        return base
    return base * base if exponent == 2 else power(base, exponent)
