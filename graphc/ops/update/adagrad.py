"""AdaGrad: rates that shrink with the squared gradients so far."""

from __future__ import annotations

from graphc.ir.op import Sig
from graphc.ops.scalar import Expr, Var, sqrt
from graphc.ops.update.rule import RuleAttrs, UpdateRule, local_rate, slope
from graphc.records import record


@record(frozen=True)
class AdaGradAttrs(RuleAttrs):
    """`delta` of the SolverParameter, added to what is divided by."""

    delta: float = 1e-8


class AdaGrad(UpdateRule):
    """h' = h + g^2; w' = w - rate * lr_mult * g / (sqrt(h') + delta).

    g: the gradient with its decay term. Caffe, adagrad_solver.cpp; Duchi, Hazan, Singer 2011.
    """

    type = "AdaGrad"
    Attrs = AdaGradAttrs
    histories = ("h",)
    refused = ("momentum",)

    @classmethod
    def outputs(cls, a: AdaGradAttrs, s: Sig) -> dict[str, Expr]:
        g = slope(a, s)
        h = Var("h") + g * g
        return {"h": h, "w": Var("w") - local_rate(a) * (g / (sqrt(h) + a.delta))}


__all__ = ["AdaGrad", "AdaGradAttrs"]
