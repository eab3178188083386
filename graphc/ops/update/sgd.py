"""SGD: stochastic gradient descent with momentum, as Caffe's solver of that name."""

from __future__ import annotations

from graphc.ops.kernel import Kernel
from graphc.ops.spec import F64, Ctx, Values
from graphc.ops.update.rule import RATE, RuleAttrs, UpdateRule, gradient
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

    @staticmethod
    def reference(a: SGDAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        with_momentum = a.momentum * v["h"]
        h = with_momentum + v[RATE][0] * a.lr_mult * gradient(a, v)
        return {"h": h, "w": v["w"] - h}

    kernels = (
        Kernel(
            "cpu",
            "update",
            "sgd",
            attrs=lambda a, s: {
                "momentum": a.momentum,
                "lr_mult": a.lr_mult,
                "decay": a.decay,
            },
        ),
    )


__all__ = ["SGD", "SGDAttrs"]
