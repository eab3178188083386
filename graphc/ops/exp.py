"""Exp: a power of a fixed base."""

from __future__ import annotations

import math

from graphc.errors import fail
from graphc.ops.elementwise import Elementwise
from graphc.ops.scalar import Expr, Var, exp
from graphc.ops.spec import Sample
from graphc.records import record


@record(frozen=True)
class ExpAttrs:
    """`base` -1 means e."""

    base: float = -1.0
    scale: float = 1.0
    shift: float = 0.0


class Exp(Elementwise):
    """y = base ^ (shift + scale * x). x, y: any shape."""

    type, param_field = "Exp", "exp_param"
    Attrs = ExpAttrs

    @staticmethod
    def forward(a: ExpAttrs) -> Expr:
        log_base = log_of_base(a.base)
        power = _times(log_base * a.scale, Var("x"))
        return exp(power if a.shift == 0 else power + log_base * a.shift)

    @staticmethod
    def backward(a: ExpAttrs) -> Expr:
        return _times(log_of_base(a.base) * a.scale, Var("dy") * Var("y"))

    samples = (
        Sample(((2, 3, 4),)),
        Sample(((2, 5),), ExpAttrs(base=2.0, scale=0.5, shift=-0.3)),
        Sample(((0, 3),), ExpAttrs(shift=1.5)),
    )


def _times(factor: float, expr: Expr) -> Expr:
    return expr if factor == 1 else factor * expr


def log_of_base(base: float) -> float:
    """The natural logarithm of an Exp or Log layer's base. Raises GC-N008."""
    if base == -1:
        return 1.0
    if not 0 < base < math.inf:
        fail("GC-N008", f"base is {base}", "it must be positive and finite, or -1 for e")
    return math.log(base)
