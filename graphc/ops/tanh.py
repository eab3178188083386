"""TanH: the hyperbolic tangent."""

from __future__ import annotations

from graphc.ops.elementwise import Elementwise
from graphc.ops.scalar import Expr, Var, tanh
from graphc.ops.spec import Sample
from graphc.records import record


@record(frozen=True)
class TanHAttrs:
    engine: str = "DEFAULT"


class TanH(Elementwise):
    """y = tanh(x). x, y: any shape."""

    type, param_field = "TanH", "tanh_param"
    Attrs = TanHAttrs

    @staticmethod
    def forward(a: TanHAttrs) -> Expr:
        return tanh(Var("x"))

    @staticmethod
    def backward(a: TanHAttrs) -> Expr:
        y = Var("y")
        return Var("dy") * (1 - y * y)

    samples = (Sample(((2, 3, 4),)), Sample(((0, 3),)))
