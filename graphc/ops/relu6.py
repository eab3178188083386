"""ReLU6: the forks' rectifier that saturates at 6."""

from __future__ import annotations

import math

from graphc.ir.op import Sig, Trait
from graphc.ir.types import Type
from graphc.ops.clip import Clip, ClipAttrs
from graphc.ops.relu import ReLU, ReLUAttrs
from graphc.ops.spec import Layer, OpSpec, Sample


class ReLU6(OpSpec):
    """y = min(max(x, 0), 6): a Clip, whose gradient passes at 0 and 6 too. x, y: any shape.

    With a negative_slope it is a leaky ReLU and a Clip from above.
    """

    type, param_field = "ReLU6", "relu6_param"
    Attrs = ReLUAttrs
    traits = frozenset({Trait.ELEMENTWISE, Trait.BATCH_SEPARABLE, Trait.EXTENSION})

    @staticmethod
    def infer(a: ReLUAttrs, s: Sig) -> dict[str, Type]:
        return {"y": s.ins["x"]}

    @staticmethod
    def expand(a: ReLUAttrs, s: Sig) -> tuple[Layer, ...]:
        if a.negative_slope == 0:
            return (Layer(Clip, "clip", ClipAttrs(min=0.0, max=6.0), ("x",), ("y",)),)
        above = ClipAttrs(min=-math.inf, max=6.0)
        return (
            Layer(ReLU, "relu", a, ("x",), ("leaky",)),
            Layer(Clip, "clip", above, ("leaky",), ("y",)),
        )

    samples = (
        Sample(((2, 3, 4),)),
        Sample(((2, 5),), ReLUAttrs(negative_slope=0.1)),
        Sample(((0, 3),)),
    )
