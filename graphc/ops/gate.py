"""Gate: a learned multiplier for each channel, which pruning methods train and judge."""

from __future__ import annotations

from graphc.ir.op import Filler, Kind, Param, Sig, Trait
from graphc.ir.types import Type
from graphc.ops._expr_rows import Body, gradient_rows
from graphc.ops._span import span
from graphc.ops.elementwise import Elementwise
from graphc.ops.kernel import Kernel
from graphc.ops.scalar import Expr, Var
from graphc.ops.spec import Sample
from graphc.records import record


@record(frozen=True)
class GateAttrs:
    """`filler` None: the constant 1."""

    axis: int = 1
    filler: Filler | None = None


class Gate(Elementwise):
    """y[m,c,l] = weight[c] * mask[c] * x[m,c,l], c: axis `axis` of x.

    x, y: (M..., C, L...). weight: (C,), learned. mask: (C,), 0 where a channel is shut for good,
    else 1; no gradient reaches it, so that training leaves a shut channel shut. An extension of
    graphc: `merge_gates` makes stock Caffe of it. Source: You et al., arXiv 1909.08174.
    """

    type, param_field = "Gate", "gate_param"
    Attrs = GateAttrs
    traits = Elementwise.traits | {Trait.LINEAR, Trait.EXTENSION}

    @staticmethod
    def params(a: GateAttrs, s: Sig) -> tuple[Param, ...]:
        _, shape = span(s.ins["x"], a.axis, 1)
        weight = Param("weight", shape, a.filler or Filler(value=1.0), out_axis=0)
        return (weight, Param("mask", shape, Filler(value=1.0), Kind.STATE, out_axis=0))

    @classmethod
    def infer(cls, a: GateAttrs, s: Sig) -> dict[str, Type]:
        span(s.ins["x"], a.axis, 1)
        return super().infer(a, s)

    @staticmethod
    def starts(a: GateAttrs, s: Sig) -> dict[str, int]:
        axis = s.ins["x"].axis(a.axis)
        return {"weight": axis, "mask": axis}

    @classmethod
    def outputs(cls, a: GateAttrs, s: Sig) -> dict[str, Expr]:
        return {"y": Var("x") * (Var("weight") * Var("mask"))}

    @classmethod
    def gradients(cls, a: GateAttrs, s: Sig) -> dict[str, Expr]:
        dy, weight, mask = Var("dy"), Var("weight"), Var("mask")
        return {"x": dy * (weight * mask), "weight": dy * Var("x") * mask}

    @classmethod
    def kernels_of(cls, a: GateAttrs, s: Sig) -> tuple[Kernel, ...]:
        """The mask, being the same for all that is summed, is a factor of the sum."""
        others = [row for row in super().kernels_of(a, s) if row.part != "dweight"]
        (part,) = (part for part in cls.grads(a, s) if part.out == "weight")
        reads = tuple(role for role in part.reads if role != "mask")
        sums = {"dweight": Var("dy") * Var("x")}
        body = Body(sums, reads, ("dweight",), cls.starts(a, s), s)
        return (*others, *gradient_rows(part, body, part.reads.index("mask")))

    samples = (
        Sample(((2, 3, 4),)),
        Sample(((2, 3, 2, 2),), GateAttrs(filler=Filler(value=0.5))),
        Sample(((2, 3, 2),), GateAttrs(axis=-1)),
        Sample(((0, 3, 2),)),
    )
