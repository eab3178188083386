"""AdaDelta: steps as large as those before, by moving averages of both squares."""

from __future__ import annotations

from graphc.ir.op import Sig
from graphc.ops.scalar import Expr, Var, sqrt
from graphc.ops.update.adagrad import AdaGradAttrs
from graphc.ops.update.rule import UpdateRule, local_rate, slope
from graphc.records import record


@record(frozen=True)
class AdaDeltaAttrs(AdaGradAttrs):
    """`momentum` of the SolverParameter: how much of the averages stays."""

    momentum: float = 0.0


class AdaDelta(UpdateRule):
    """h1' = m * h1 + (1-m) * g^2; u = g * sqrt((delta + h2) / (delta + h1'));
    h2' = m * h2 + (1-m) * u^2; w' = w - rate * lr_mult * u.

    g: the gradient with its decay term, m: the momentum. Caffe, adadelta_solver.cpp; Zeiler 2012,
    with delta under the root.
    """

    type = "AdaDelta"
    Attrs = AdaDeltaAttrs
    histories = ("h1", "h2")

    @classmethod
    def outputs(cls, a: AdaDeltaAttrs, s: Sig) -> dict[str, Expr]:
        kept, new = a.momentum, 1.0 - a.momentum
        g = slope(a, s)
        h1 = kept * Var("h1") + new * (g * g)
        u = g * sqrt((a.delta + Var("h2")) / (a.delta + h1))
        h2 = kept * Var("h2") + new * (u * u)
        return {"h1": h1, "h2": h2, "w": Var("w") - local_rate(a) * u}


__all__ = ["AdaDelta", "AdaDeltaAttrs"]
