"""UpdateRule: a solver's rule as a declaration, read by the stages that read layers'."""

from __future__ import annotations

from typing import Any, ClassVar

from graphc.ir.op import Sig
from graphc.ops.scalar import Expr, Var, where
from graphc.ops.update.base import TERM, Update, total
from graphc.records import record

RATE = "rate"
"""The step parameter that every rule reads: the learning rate of this step, one number."""
FACTOR = "factor"
"""The bottom that says by what gradients are multiplied where they are clipped."""


@record(frozen=True)
class RuleAttrs:
    """What all rules know of one parameter.

    `lr_mult`: what the solver's rate is multiplied by; `decay`: the factor of the decay term, the
    weight itself, or its sign if `is_l1`; `passes`: of how many passes the gradient is the sum.
    """

    lr_mult: float = 1.0
    decay: float = 0.0
    is_l1: bool = False
    passes: int = 1


class UpdateRule(Update):
    """w' = w - update(gradient of w, w, history); one node per learned parameter.

    Params: "w" and `histories`, all shaped as w. `type` is the solver's `type`. `step` gives the
    step parameters. `absorbed`: the symbol of the kernel whose work kernels of gradients can do as
    well, see `with_update`. `refused`: fields of a solver that the rule has no use for; `takes_l1`:
    can the decay be that of L1?
    """

    bottoms: ClassVar[tuple[str, ...]] = (RATE, "dw*")
    step_params: ClassVar[tuple[str, ...]] = (RATE,)
    histories: ClassVar[tuple[str, ...]] = ()
    absorbed: ClassVar[str] = ""
    refused: ClassVar[tuple[str, ...]] = ()
    takes_l1: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        cls.kept = ("w", *cls.histories)
        super().__init_subclass__(**kwargs)

    @classmethod
    def step(cls, a: Any, rate: float, iteration: int) -> dict[str, float]:
        """The step parameters of the update after `iteration` others; `a`: anybody's attributes."""
        return {RATE: rate}


def is_plain(a: RuleAttrs, s: Sig) -> bool:
    """Is it the gradient of one pass, whole and with L2 decay, that the rule goes by?"""
    is_whole = FACTOR not in s.ins and TERM not in s.ins
    return is_whole and a.passes == 1 and not (a.decay and a.is_l1)


def slope(a: RuleAttrs, s: Sig) -> Expr:
    """The gradient that a rule goes by, in Caffe's order: clipped, averaged, then with decay, and
    what regularizers add."""
    found, w = total(s), Var("w")
    if FACTOR in s.ins:
        found = found * Var(FACTOR)
    if a.passes != 1:
        found = found * (1.0 / a.passes)
    if a.decay:
        sign = where(w > 0, 1.0, where(w < 0, -1.0, 0.0))
        found = found + a.decay * (sign if a.is_l1 else w)
    return found + Var(TERM) if TERM in s.ins else found


def local_rate(a: RuleAttrs) -> Expr:
    return Var(RATE) if a.lr_mult == 1 else Var(RATE) * a.lr_mult


def with_update(part: str, rule: type[UpdateRule]) -> str:
    """The part that makes a parameter's gradient and updates it: "dweight+SGD"."""
    return f"{part}+{rule.type}"


def gradient_of(part: str) -> str:
    """What `with_update` was given; any other part is itself."""
    return part.partition("+")[0]


__all__ = [
    "FACTOR",
    "RATE",
    "RuleAttrs",
    "UpdateRule",
    "gradient_of",
    "is_plain",
    "local_rate",
    "slope",
    "with_update",
]
