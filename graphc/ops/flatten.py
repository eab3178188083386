"""Flatten: several axes made one."""

from __future__ import annotations

from graphc.errors import fail
from graphc.ir.op import Sig, Trait
from graphc.ir.types import Type
from graphc.ops._axes import along
from graphc.ops._reshape import like, reshape_ties
from graphc.ops.kernel import Kernel
from graphc.ops.spec import F64, Ctx, Grad, OpSpec, Sample, Values, View, prod
from graphc.ops.ties import Algebra
from graphc.records import record


@record(frozen=True)
class FlattenAttrs:
    axis: int = 1
    end_axis: int = -1


class Flatten(OpSpec):
    """y[n, (c * H + h) * W + w] = x[n,c,h,w]: the axes from `axis` to `end_axis` become one.

    Elements keep their order, so y can share x's memory.
    """

    type, param_field = "Flatten", "flatten_param"
    Attrs = FlattenAttrs
    traits = frozenset({Trait.LINEAR, Trait.BATCH_SEPARABLE})

    @classmethod
    def traits_of(cls, a: FlattenAttrs, s: Sig) -> frozenset[Trait]:
        return along(cls.traits, s.ins["x"].axis(a.axis))

    @staticmethod
    def infer(a: FlattenAttrs, s: Sig) -> dict[str, Type]:
        x = s.ins["x"]
        start, end = x.axis(a.axis, "axis"), x.axis(a.end_axis, "end_axis")
        if end < start - 1:
            fail("GC-N008", f"end_axis {a.end_axis} lies before axis {a.axis} in shape {x.shape}")
        return {"y": Type(_flat(a, x, x.shape))}

    @staticmethod
    def views(a: FlattenAttrs, s: Sig) -> dict[str, View]:
        return {"y": View("x")}

    @staticmethod
    def grads(a: FlattenAttrs, s: Sig) -> tuple[Grad, ...]:
        return (Grad("x", ("dy",), view=View("dy")),)

    @staticmethod
    def ties(a: FlattenAttrs, s: Sig) -> Algebra:
        return reshape_ties(s.ins["x"], Type(_flat(a, s.ins["x"], s.ins["x"].shape)))

    @staticmethod
    def reference(a: FlattenAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        return {"y": v["x"].reshape(_flat(a, ctx.sig["x"], v["x"].shape))}

    @staticmethod
    def vjp(a: FlattenAttrs, part: str, v: Values, ctx: Ctx) -> F64:
        return like(v["dy"], ctx.sig["x"])

    kernels = (Kernel("cpu", "forward", "reshape", strided=True),)
    samples = (
        Sample(((2, 3, 2, 2),)),
        Sample(((2, 3, 4, 2),), FlattenAttrs(axis=1, end_axis=-2)),
        Sample(((2, 3, 4),), FlattenAttrs(axis=0)),
        Sample(((0, 3, 2),)),
    )


def _flat(a: FlattenAttrs, x: Type, shape: tuple[int, ...]) -> tuple[int, ...]:
    start, stop = x.axis(a.axis), x.axis(a.end_axis) + 1
    return (*shape[:start], prod(shape[start:stop]), *shape[stop:])
