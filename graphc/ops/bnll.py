"""BNLL: the softplus, or binomial normal log likelihood."""

from __future__ import annotations

from graphc.ir.op import NoAttrs
from graphc.ops.elementwise import Elementwise
from graphc.ops.scalar import Expr, Var, exp, log1p, minimum, where
from graphc.ops.spec import Sample

LARGEST = 50.0
"""The gradient's exponent is cut here, as in Caffe: exp(50) still fits a float."""


class BNLL(Elementwise):
    """y = log(1 + exp(x)), computed without overflow. x, y: any shape."""

    type = "BNLL"

    @staticmethod
    def forward(a: NoAttrs) -> Expr:
        x = Var("x")
        return where(x > 0, x + log1p(exp(-x)), log1p(exp(x)))

    @staticmethod
    def backward(a: NoAttrs) -> Expr:
        grown = exp(minimum(Var("x"), LARGEST))
        return Var("dy") * (grown / (grown + 1))

    samples = (Sample(((2, 3, 4),)), Sample(((0, 3),)))
