"""Accumulate: the sum of a gradient over the passes that make one update."""

from __future__ import annotations

from graphc.ir.op import NoAttrs, Sig, Trait
from graphc.ops.scalar import Expr, Var, equal, where
from graphc.ops.update.base import Update, total

PASS = "pass"
"""The step parameter that counts the passes of an update, from 0 on."""


class Accumulate(Update):
    """sum' = dw0 + dw1 + ... in the first pass, sum + dw0 + dw1 + ... in those after it.

    Params: "sum", which starts anew in the first pass, whatever it holds.
    """

    type = "Accumulate"
    bottoms = (PASS, "dw*")
    step_params = (PASS,)
    kept = ("sum",)
    traits = frozenset({Trait.IN_BACKWARD})

    @classmethod
    def outputs(cls, a: NoAttrs, s: Sig) -> dict[str, Expr]:
        return {"sum": where(equal(Var(PASS), 0.0), 0.0, Var("sum")) + total(s)}


__all__ = ["PASS", "Accumulate"]
