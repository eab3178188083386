"""ELU: the exponential linear unit."""

from __future__ import annotations

from graphc.ops.elementwise import Elementwise
from graphc.ops.scalar import Expr, Var, exp, expm1, where
from graphc.ops.spec import Sample
from graphc.records import record


@record(frozen=True)
class ELUAttrs:
    alpha: float = 1.0


class ELU(Elementwise):
    """y = x where x > 0, else alpha * (exp(x) - 1). x, y: any shape.

    With alpha >= 0 the sign of y tells that of x, so the gradient needs y alone.
    """

    type, param_field = "ELU", "elu_param"
    Attrs = ELUAttrs

    @staticmethod
    def forward(a: ELUAttrs) -> Expr:
        x = Var("x")
        return where(x > 0, x, a.alpha * expm1(x))

    @staticmethod
    def backward(a: ELUAttrs) -> Expr:
        x, y, dy = Var("x"), Var("y"), Var("dy")
        if a.alpha >= 0:
            return where(y > 0, dy, dy * (y + a.alpha))
        return where(x > 0, dy, dy * (a.alpha * exp(x)))

    samples = (
        Sample(((2, 3, 4),)),
        Sample(((2, 5),), ELUAttrs(alpha=0.3)),
        Sample(((2, 5),), ELUAttrs(alpha=-0.5)),
        Sample(((0, 3),)),
    )
