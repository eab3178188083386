"""Threshold: a step."""

from __future__ import annotations

from graphc.ops.elementwise import Elementwise
from graphc.ops.scalar import Expr, Var, where
from graphc.ops.spec import Sample
from graphc.records import record


@record(frozen=True)
class ThresholdAttrs:
    threshold: float = 0.0


class Threshold(Elementwise):
    """y = 1 where x > threshold, else 0; without a gradient. x, y: any shape."""

    type, param_field = "Threshold", "threshold_param"
    Attrs = ThresholdAttrs

    @staticmethod
    def forward(a: ThresholdAttrs) -> Expr:
        return where(Var("x") > a.threshold, 1, 0)

    samples = (
        Sample(((2, 3, 4),)),
        Sample(((2, 5),), ThresholdAttrs(threshold=0.4)),
        Sample(((0, 3),)),
    )
