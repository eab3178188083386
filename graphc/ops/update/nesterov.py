"""Nesterov: SGD that looks ahead along its momentum, as Caffe's solver of that name."""

from __future__ import annotations

from graphc.ir.op import Sig
from graphc.ops.scalar import Expr, Var
from graphc.ops.update.rule import UpdateRule, local_rate, slope
from graphc.ops.update.sgd import SGDAttrs


class Nesterov(UpdateRule):
    """h' = momentum * h + rate * lr_mult * g; w' = w - ((1 + momentum) * h' - momentum * h).

    g: the gradient with its decay term. Caffe, nesterov_solver.cpp.
    """

    type = "Nesterov"
    Attrs = SGDAttrs
    histories = ("h",)

    @classmethod
    def outputs(cls, a: SGDAttrs, s: Sig) -> dict[str, Expr]:
        h = a.momentum * Var("h") + local_rate(a) * slope(a, s)
        return {"h": h, "w": Var("w") - ((1.0 + a.momentum) * h - a.momentum * Var("h"))}


__all__ = ["Nesterov"]
