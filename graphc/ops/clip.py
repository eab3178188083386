"""Clip: cut values off at both ends."""

from __future__ import annotations

from graphc.errors import fail
from graphc.ops.elementwise import Elementwise
from graphc.ops.scalar import Expr, Var, maximum, minimum, where
from graphc.ops.spec import Sample
from graphc.records import record


@record(frozen=True)
class ClipAttrs:
    """Both are required; None stands for a field that is absent."""

    min: float | None = None
    max: float | None = None


class Clip(Elementwise):
    """y = max(min, min(x, max)); the gradient passes where min <= x <= max. x, y: any shape.

    As in Caffe a NaN becomes `min`, and so does everything if `min` exceeds `max`.
    """

    type, param_field = "Clip", "clip_param"
    Attrs = ClipAttrs

    @staticmethod
    def forward(a: ClipAttrs) -> Expr:
        low, high = _bounds(a)
        return maximum(low, minimum(Var("x"), high))

    @staticmethod
    def backward(a: ClipAttrs) -> Expr:
        low, high = _bounds(a)
        x, dy = Var("x"), Var("dy")
        return where(x >= low, where(x <= high, dy, 0), 0)

    samples = (
        Sample(((2, 3, 4),), ClipAttrs(min=-0.6, max=0.8)),
        Sample(((0, 3),), ClipAttrs(min=0.0, max=6.0)),
    )


def _bounds(a: ClipAttrs) -> tuple[float, float]:
    if a.min is None or a.max is None:
        missing = "min" if a.min is None else "max"
        fail("GC-N008", f"clip_param.{missing} is required", "give both min and max")
    return a.min, a.max
