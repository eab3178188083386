"""Adam and AdamW: moving averages of the gradient and of its square."""

from __future__ import annotations

import math
from dataclasses import replace

from graphc.ir.op import Sig
from graphc.ops.scalar import Expr, Var, sqrt
from graphc.ops.update.adagrad import AdaGradAttrs
from graphc.ops.update.rule import RATE, UpdateRule, local_rate, slope
from graphc.records import record

CORRECTION = "correction"
"""The step parameter that makes up for averages which started from zero."""


@record(frozen=True)
class AdamAttrs(AdaGradAttrs):
    """`momentum`, `momentum2` of the SolverParameter: how much of the averages of the gradient and
    of its square stays."""

    momentum: float = 0.0
    momentum2: float = 0.999


class Adam(UpdateRule):
    """m' = b1 * m + (1-b1) * g; v' = b2 * v + (1-b2) * g^2;
    w' = w - rate * lr_mult * correction * m' / (sqrt(v') + delta).

    g: the gradient with its decay term; b1, b2: momentum and momentum2; correction:
    sqrt(1 - b2^t) / (1 - b1^t) in update t = 1, 2, ... Caffe, adam_solver.cpp: delta is added to
    the root of an average that is not corrected, unlike in Kingma, Ba 2015, algorithm 1.
    """

    type = "Adam"
    Attrs = AdamAttrs
    bottoms = (RATE, CORRECTION, "dw*")
    step_params = (RATE, CORRECTION)
    histories = ("m", "v")

    @classmethod
    def step(cls, a: AdamAttrs, rate: float, iteration: int) -> dict[str, float]:
        t = iteration + 1
        return {RATE: rate, CORRECTION: math.sqrt(1 - a.momentum2**t) / (1 - a.momentum**t)}

    @classmethod
    def outputs(cls, a: AdamAttrs, s: Sig) -> dict[str, Expr]:
        g = cls.slope(a, s)
        m = a.momentum * Var("m") + (1.0 - a.momentum) * g
        v = a.momentum2 * Var("v") + (1.0 - a.momentum2) * (g * g)
        step = local_rate(a) * Var(CORRECTION) * (m / (sqrt(v) + a.delta))
        return {"m": m, "v": v, "w": cls.shrunk(a) - step}

    @classmethod
    def slope(cls, a: AdamAttrs, s: Sig) -> Expr:
        """What the averages are of."""
        return slope(a, s)

    @classmethod
    def shrunk(cls, a: AdamAttrs) -> Expr:
        """What the step is taken from."""
        return Var("w")


class AdamW(Adam):
    """Adam without the decay term in g; w' = (1 - rate * lr_mult * decay) * w - the step.

    Loshchilov, Hutter 2019, algorithm 2, where the rate of the solver is alpha and the schedule's.
    """

    type = "AdamW"
    takes_l1 = False

    @classmethod
    def slope(cls, a: AdamAttrs, s: Sig) -> Expr:
        return slope(replace(a, decay=0.0), s)

    @classmethod
    def shrunk(cls, a: AdamAttrs) -> Expr:
        w = Var("w")
        return w - local_rate(a) * a.decay * w if a.decay else w


__all__ = ["CORRECTION", "Adam", "AdamAttrs", "AdamW"]
