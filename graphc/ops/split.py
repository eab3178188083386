"""Split: one blob under several names."""

from __future__ import annotations

from graphc.ir.op import Sig, Trait
from graphc.ir.types import Type
from graphc.ops.kernel import Kernel
from graphc.ops.spec import F64, Ctx, Grad, OpSpec, Sample, Values, View
from graphc.ops.ties import Algebra, same


class Split(OpSpec):
    """y_k = x for every top k; the gradients add up."""

    type = "Split"
    tops = ("y*",)
    traits = frozenset({Trait.LINEAR, Trait.BATCH_SEPARABLE})

    @staticmethod
    def infer(a: object, s: Sig) -> dict[str, Type]:
        return dict.fromkeys(s.tops, s.ins["x"])

    @staticmethod
    def views(a: object, s: Sig) -> dict[str, View]:
        return dict.fromkeys(s.tops, View("x"))

    @staticmethod
    def grads(a: object, s: Sig) -> tuple[Grad, ...]:
        return tuple(
            Grad("x", (f"d{role}",), view=View(f"d{role}"), name=f"dx_from_{role}")
            for role in s.tops
        )

    @staticmethod
    def ties(a: object, s: Sig) -> Algebra:
        ties: Algebra = ()
        for role in s.tops:
            ties += same("x", role, *range(1, s.ins["x"].rank))
        return ties

    @staticmethod
    def reference(a: object, v: Values, ctx: Ctx) -> dict[str, F64]:
        return dict.fromkeys(ctx.sig.tops, v["x"])

    @staticmethod
    def vjp(a: object, part: str, v: Values, ctx: Ctx) -> F64:
        (dy,) = v.values()
        return dy

    kernels = (Kernel("cpu", "forward", "copy", strided=True),)
    samples = (
        Sample(((2, 3, 4),), tops=2),
        Sample(((3,),), tops=3),
        Sample(((2, 2),)),
        Sample(((0, 3),), tops=2),
    )
