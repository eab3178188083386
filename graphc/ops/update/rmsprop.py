"""RMSProp: rates divided by a moving average of the gradient's size."""

from __future__ import annotations

from graphc.ir.op import Sig
from graphc.ops.scalar import Expr, Var, sqrt
from graphc.ops.update.adagrad import AdaGradAttrs
from graphc.ops.update.rule import UpdateRule, local_rate, slope
from graphc.records import record


@record(frozen=True)
class RMSPropAttrs(AdaGradAttrs):
    """`rms_decay` of the SolverParameter: how much of the average stays."""

    rms_decay: float = 0.99


class RMSProp(UpdateRule):
    """h' = rms_decay * h + (1 - rms_decay) * g^2; w' = w - rate * lr_mult * g / (sqrt(h') + delta).

    g: the gradient with its decay term. Caffe, rmsprop_solver.cpp; Tieleman, Hinton 2012.
    """

    type = "RMSProp"
    Attrs = RMSPropAttrs
    histories = ("h",)
    refused = ("momentum",)

    @classmethod
    def outputs(cls, a: RMSPropAttrs, s: Sig) -> dict[str, Expr]:
        g = slope(a, s)
        h = a.rms_decay * Var("h") + (1.0 - a.rms_decay) * (g * g)
        return {"h": h, "w": Var("w") - local_rate(a) * (g / (sqrt(h) + a.delta))}


__all__ = ["RMSProp", "RMSPropAttrs"]
