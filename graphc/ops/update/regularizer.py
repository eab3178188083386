"""Regularizer: what else is done to parameters or gradients, at a stage of an update."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, ClassVar

from graphc.ir.graph import Value
from graphc.ir.op import Effect
from graphc.ops.update.base import TERM, SolverOp, Update
from graphc.ops.update.rule import RATE
from graphc.records import record

SLOPE = "slope"


class Stage(Enum):
    """Where a regularizer stands. Its bottoms and params, and what it makes:

    BEFORE_CLIP: gradient "dw0", ... and "w" -> "slope", which is the gradient from then on.
    AFTER_DECAY: "w" -> "term", which the rule adds to the gradient once it has its decay.
    AFTER_UPDATE: "w" -> a new version of "w".

    All may read the step parameter "rate".
    """

    BEFORE_CLIP = "before_clip"
    AFTER_DECAY = "after_decay"
    AFTER_UPDATE = "after_update"


MADE = {Stage.BEFORE_CLIP: SLOPE, Stage.AFTER_DECAY: TERM, Stage.AFTER_UPDATE: "w"}
"""Stage -> the role that its regularizers write."""


class ElementwiseRegularizer(Update):
    """A regularizer by an expression of "w" (and at BEFORE_CLIP of `total`, see `base`).

    A subclass gives `stage`, `type` and `outputs`, one expression for the role that `MADE` says.
    """

    kept = ("w",)
    stage: ClassVar[Stage]
    bottoms, step_params = (RATE,), (RATE,)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        cls.changed = (MADE[cls.stage],)
        cls.effects = frozenset({Effect.STATE} if cls.stage is Stage.AFTER_UPDATE else ())
        super().__init_subclass__(**kwargs)


@record(frozen=True)
class Regularizer:
    """`op`, a declaration with roles as `Stage` says, for every parameter that `attrs` gives
    attributes for (None: not this one)."""

    op: type[SolverOp]
    stage: Stage
    attrs: Callable[[Value], Any]


__all__ = ["MADE", "SLOPE", "ElementwiseRegularizer", "Regularizer", "Stage"]
