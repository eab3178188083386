"""One layer called by hand: its forward parts in order, one of its gradient parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphc.check.case import signature
from graphc.errors import GraphError
from graphc.ops.spec import F64, Ctx, OpSpec

Draw = Callable[[tuple[int, ...], int], F64]


class Call:
    """`op` with `attrs` on the given bottoms and parameters, by role; `values` holds all there is,
    new state under its role."""

    def __init__(
        self,
        op: type[OpSpec],
        attrs: Any = None,
        *,
        phase: str = "TEST",
        draw: Draw | None = None,
        params: dict[str, Any] | None = None,
        **ins: Any,
    ) -> None:
        self.op, self.attrs, self.draw = op, op.Attrs() if attrs is None else attrs, draw
        self.values = {r: np.asarray(v, float) for r, v in {**ins, **(params or {})}.items()}
        shapes = tuple(self.values[r].shape for r in ins)
        self.sig = signature(op, self.attrs, shapes, 1, phase)
        for part in op.forwards(self.attrs, self.sig):
            reads = (*self.sig.ins, *self.sig.params) if part.reads is None else part.reads
            operands = {r: self.values[r] for r in reads}
            self.values |= op.reference(self.attrs, operands, Ctx(self.sig, part.name, draw))

    @property
    def y(self) -> F64:
        return self.values["y"]

    def gradient(self, part: str, dy: Any) -> F64:
        """The part's result; it is handed its declared reads and nothing else."""
        (grad,) = (g for g in self.op.grads(self.attrs, self.sig) if g.part == part)
        known = {**self.values, "dy": np.asarray(dy, float)}
        operands = {r: known[r] for r in grad.reads}
        return self.op.vjp(self.attrs, part, operands, Ctx(self.sig, part, self.draw))


def refusal(op: type[OpSpec], attrs: Any, *shapes: tuple[int, ...]) -> str:
    """Code and message with which `op` refuses bottoms of these shapes."""
    with pytest.raises(GraphError) as caught:
        signature(op, attrs, shapes, 1, "TEST")
    return f"{caught.value.code}: {caught.value.message}"
