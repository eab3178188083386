"""UpdateRule: a solver's rule as a declaration, read by the stages that read layers'."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from graphc.ir.op import Effect, Sig
from graphc.ops.spec import F64, Forward, OpSpec, Values, many
from graphc.records import record

RATE = "rate"
"""The step parameter that every rule reads: the learning rate of this step, one number."""


@record(frozen=True)
class RuleAttrs:
    """What all rules know of one parameter: what the solver's rate and decay are multiplied by."""

    lr_mult: float = 1.0
    decay: float = 0.0


class UpdateRule(OpSpec):
    """w' = w - update(gradient of w, w, history); one node per learned parameter.

    Bottoms: "rate", (1,), and "dw0", "dw1", ...: the summands of the gradient of w, of as many
    elements. Params: "w" and `histories`, all shaped as w, which get new versions.
    No layer: `type` is the solver's `type`, and no prototxt layer can have it.
    """

    bottoms, tops = (RATE, "dw*"), ()
    histories: ClassVar[tuple[str, ...]] = ()
    effects = frozenset({Effect.STATE})

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Unlike a layer's, a rule's name is not entered in the table of layer types."""

    @classmethod
    def forwards(cls, a: Any, s: Sig) -> tuple[Forward, ...]:
        """One call, which reads everything."""
        changed = ("w", *cls.histories)
        reads = (RATE, *changed, *(role for role in s.ins if role != RATE))
        return (Forward("update", reads, changed, effects=frozenset({Effect.STATE})),)


def with_update(part: str, rule: type[UpdateRule]) -> str:
    """The part that makes a parameter's gradient and updates it: "dweight+SGD"."""
    return f"{part}+{rule.type}"


def gradient_of(part: str) -> str:
    """What `with_update` was given; any other part is itself."""
    return part.partition("+")[0]


def gradient(a: RuleAttrs, v: Values) -> F64:
    """The gradient of the loss and of the decay term, shaped as w."""
    summands: Iterable[F64] = (np.reshape(each, v["w"].shape) for each in many(v, "dw"))
    return np.asarray(sum(summands, start=a.decay * v["w"]))


__all__ = ["RATE", "RuleAttrs", "UpdateRule", "gradient", "gradient_of", "with_update"]
