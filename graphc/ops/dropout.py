"""Dropout: zero random elements while training."""

from __future__ import annotations

from graphc.errors import fail
from graphc.ir.op import Effect, Sig
from graphc.ops.elementwise import DRAW, Elementwise
from graphc.ops.scalar import Expr, Var, where
from graphc.ops.spec import Limitation, Sample
from graphc.records import record


@record(frozen=True)
class DropoutAttrs:
    dropout_ratio: float = 0.5


class Dropout(Elementwise):
    """y = x / (1 - ratio) where u >= ratio, else 0; in the TEST phase y = x. x, y: any shape.

    u is a uniform draw in [0, 1) per element, repeated by the gradient, which so needs dy alone and
    no stored mask. Source: Srivastava et al., JMLR 15 (2014), in the inverted form of Caffe.
    """

    type, param_field = "Dropout", "dropout_param"
    Attrs = DropoutAttrs
    effects = frozenset({Effect.RNG})

    @classmethod
    def outputs(cls, a: DropoutAttrs, s: Sig) -> dict[str, Expr]:
        return {"y": _masked(Var("x"), a, s)}

    @classmethod
    def gradients(cls, a: DropoutAttrs, s: Sig) -> dict[str, Expr]:
        return {"x": _masked(Var("dy"), a, s)}

    samples = (
        Sample(((2, 3, 4),)),
        Sample(((4, 6),), phase="TRAIN"),
        Sample(((4, 6),), DropoutAttrs(dropout_ratio=0.3), phase="TRAIN"),
        Sample(((0, 3),), phase="TRAIN"),
    )
    limitations = (
        Limitation("in training the draws belong to positions, not to channels", skips="ties"),
    )


def _masked(value: Expr, a: DropoutAttrs, s: Sig) -> Expr:
    if not 0 <= a.dropout_ratio < 1:
        fail("GC-N008", f"dropout_ratio is {a.dropout_ratio}", "it must be at least 0 and below 1")
    if not s.train or a.dropout_ratio == 0:
        return value
    return where(Var(DRAW) >= a.dropout_ratio, value * (1 / (1 - a.dropout_ratio)), 0)
