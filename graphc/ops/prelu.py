"""PReLU: a leaky ReLU that learns its slopes."""

from __future__ import annotations

from graphc.errors import fail
from graphc.ir.op import Filler, Param, Sig
from graphc.ir.types import Type
from graphc.ops.elementwise import Elementwise
from graphc.ops.scalar import Expr, Var, where
from graphc.ops.spec import Sample
from graphc.records import record


@record(frozen=True)
class PReLUAttrs:
    """`filler` None: the constant 0.25."""

    filler: Filler | None = None
    channel_shared: bool = False


class PReLU(Elementwise):
    """y[n,c,...] = x where x > 0, else slope[c] * x. Source: He et al., arXiv 1502.01852.

    x, y: (N, C, ...). slope: (C,), or a scalar with `channel_shared`. The slopes' sign is not known
    beforehand, so the gradient reads x and not y.
    """

    type, param_field = "PReLU", "prelu_param"
    Attrs = PReLUAttrs

    @staticmethod
    def params(a: PReLUAttrs, s: Sig) -> tuple[Param, ...]:
        shape = () if a.channel_shared else s.ins["x"].shape[1:2]
        filler = a.filler or Filler(value=0.25)
        return (Param("slope", shape, filler, out_axis=0 if shape else None),)

    @classmethod
    def infer(cls, a: PReLUAttrs, s: Sig) -> dict[str, Type]:
        if s.ins["x"].rank < 2:
            fail("GC-S002", f"x has shape {s.ins['x'].shape}, but needs a channel axis 1")
        return super().infer(a, s)

    @staticmethod
    def starts(a: PReLUAttrs, s: Sig) -> dict[str, int]:
        return {"slope": 0 if a.channel_shared else 1}

    @staticmethod
    def forward(a: PReLUAttrs) -> Expr:
        x = Var("x")
        return where(x > 0, x, Var("slope") * x)

    @classmethod
    def gradients(cls, a: PReLUAttrs, s: Sig) -> dict[str, Expr]:
        x, dy = Var("x"), Var("dy")
        return {
            "x": where(x > 0, dy, Var("slope") * dy),
            "slope": where(x > 0, 0, dy * x),
        }

    samples = (
        Sample(((2, 3, 4),)),
        Sample(((2, 3),), PReLUAttrs(filler=Filler(value=0.33))),
        Sample(((2, 3, 2, 2),), PReLUAttrs(channel_shared=True)),
        Sample(((0, 3, 2),)),
    )
