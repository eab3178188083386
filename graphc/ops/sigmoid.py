"""Sigmoid: the logistic function."""

from __future__ import annotations

from graphc.ops.elementwise import Elementwise
from graphc.ops.scalar import Expr, Var, sigmoid
from graphc.ops.spec import Sample
from graphc.records import record


@record(frozen=True)
class SigmoidAttrs:
    engine: str = "DEFAULT"


class Sigmoid(Elementwise):
    """y = 1 / (1 + exp(-x)), computed as tanh(x / 2) / 2 + 1/2. x, y: any shape."""

    type, param_field = "Sigmoid", "sigmoid_param"
    Attrs = SigmoidAttrs

    @staticmethod
    def forward(a: SigmoidAttrs) -> Expr:
        return sigmoid(Var("x"))

    @staticmethod
    def backward(a: SigmoidAttrs) -> Expr:
        y = Var("y")
        return Var("dy") * y * (1 - y)

    samples = (Sample(((2, 3, 4),)), Sample(((0, 3),)))
