"""Swish: a linear unit gated by its own sigmoid."""

from __future__ import annotations

from graphc.ops.elementwise import Elementwise
from graphc.ops.scalar import Expr, Var, sigmoid
from graphc.ops.spec import Sample
from graphc.records import record


@record(frozen=True)
class SwishAttrs:
    beta: float = 1.0


class Swish(Elementwise):
    """y = x * sigmoid(beta * x). x, y: any shape. Source: Ramachandran et al., arXiv 1710.05941."""

    type, param_field = "Swish", "swish_param"
    Attrs = SwishAttrs

    @staticmethod
    def forward(a: SwishAttrs) -> Expr:
        return Var("x") * _gate(a)

    @staticmethod
    def backward(a: SwishAttrs) -> Expr:
        gate, scaled = _gate(a), _scaled(a)
        return Var("dy") * (gate + scaled * gate * (1 - gate))

    samples = (
        Sample(((2, 3, 4),)),
        Sample(((2, 5),), SwishAttrs(beta=-1.7)),
        Sample(((0, 3),)),
    )


def _scaled(a: SwishAttrs) -> Expr:
    return Var("x") if a.beta == 1 else a.beta * Var("x")


def _gate(a: SwishAttrs) -> Expr:
    return sigmoid(_scaled(a))
