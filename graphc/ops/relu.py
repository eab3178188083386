"""ReLU: the rectified linear unit, plain or leaky."""

from __future__ import annotations

from graphc.ops.elementwise import Elementwise
from graphc.ops.scalar import Expr, Var, maximum, where
from graphc.ops.spec import Sample
from graphc.records import record


@record(frozen=True)
class ReLUAttrs:
    negative_slope: float = 0.0
    engine: str = "DEFAULT"


class ReLU(Elementwise):
    """y = x where x > 0, else negative_slope * x; NaN passes. x, y: any shape.

    The gradient is dy where x > 0, else negative_slope * dy. With a slope >= 0, x > 0 just where
    y > 0, so it is read off y; else off x. Plain ReLU gives 0 at -inf, where Caffe's CPU layer
    multiplies it by 0.
    """

    type, param_field = "ReLU", "relu_param"
    Attrs = ReLUAttrs

    @staticmethod
    def forward(a: ReLUAttrs) -> Expr:
        x = Var("x")
        if a.negative_slope == 0:
            return maximum(x, 0)
        return where(x > 0, x, a.negative_slope * x)

    @staticmethod
    def backward(a: ReLUAttrs) -> Expr:
        dy = Var("dy")
        sign = Var("y") if a.negative_slope >= 0 else Var("x")
        return where(sign > 0, dy, a.negative_slope * dy if a.negative_slope else 0)

    samples = (
        Sample(((2, 3, 4),)),
        Sample(((2, 5),), ReLUAttrs(negative_slope=0.1)),
        Sample(((2, 5),), ReLUAttrs(negative_slope=-0.5)),
        Sample(((0, 3),)),
    )
