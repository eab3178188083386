"""SGD: stochastic gradient descent with momentum, as Caffe's solver of that name."""

from __future__ import annotations

from graphc.ir.op import Sig
from graphc.ops.kernel import Kernel
from graphc.ops.scalar import Expr, Var
from graphc.ops.update.base import expression_row
from graphc.ops.update.rule import RuleAttrs, UpdateRule, is_plain, local_rate, slope
from graphc.records import record


@record(frozen=True)
class SGDAttrs(RuleAttrs):
    """`momentum` of the SolverParameter."""

    momentum: float = 0.0


class SGD(UpdateRule):
    """h' = momentum * h + rate * lr_mult * (dw + decay * w); w' = w - h'.

    Caffe, sgd_solver.cpp: the rate is inside the history, so that a change of the rate takes
    hold as the momentum forgets.
    """

    type = "SGD"
    Attrs = SGDAttrs
    histories = ("h",)
    absorbed = "sgd"

    @classmethod
    def outputs(cls, a: SGDAttrs, s: Sig) -> dict[str, Expr]:
        h = a.momentum * Var("h") + local_rate(a) * slope(a, s)
        return {"h": h, "w": Var("w") - h}


SGD.kernels = (
    Kernel(
        "cpu",
        "update",
        SGD.absorbed,
        attrs=lambda a, s: {"momentum": a.momentum, "lr_mult": a.lr_mult, "decay": a.decay},
        when=is_plain,
    ),
    expression_row(SGD),
)

__all__ = ["SGD", "SGDAttrs"]
