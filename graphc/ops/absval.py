"""AbsVal: the absolute value."""

from __future__ import annotations

from graphc.ir.op import NoAttrs
from graphc.ops.elementwise import Elementwise
from graphc.ops.scalar import Expr, Var, absolute, where
from graphc.ops.spec import Sample


class AbsVal(Elementwise):
    """y = |x|; the gradient at 0 is 0. x, y: any shape."""

    type = "AbsVal"

    @staticmethod
    def forward(a: NoAttrs) -> Expr:
        return absolute(Var("x"))

    @staticmethod
    def backward(a: NoAttrs) -> Expr:
        x, dy = Var("x"), Var("dy")
        return where(x > 0, dy, where(x < 0, -dy, 0))

    samples = (Sample(((2, 3, 4),)), Sample(((0, 3),)))
