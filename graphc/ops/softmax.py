"""Softmax: scores to probabilities."""

from __future__ import annotations

from graphc.ir.op import Sig, Trait
from graphc.ir.types import Type
from graphc.numpy_later import np
from graphc.ops._axes import along, around
from graphc.ops._contract import contract
from graphc.ops._softmax import softmax
from graphc.ops.kernel import Kernel
from graphc.ops.spec import F64, Ctx, Forward, Grad, OpSpec, Sample, Values
from graphc.ops.ties import Algebra, same
from graphc.records import record


@record(frozen=True)
class SoftmaxAttrs:
    engine: str = "DEFAULT"
    axis: int = 1


class Softmax(OpSpec):
    """y[o,c,i] = exp(x[o,c,i]) / sum_k exp(x[o,k,i]), c and k along `axis`.

    x, y: (O..., C, I...). The maximum is taken off first, so that nothing overflows.
    """

    type, param_field = "Softmax", "softmax_param"
    Attrs = SoftmaxAttrs
    traits = frozenset({Trait.BATCH_SEPARABLE})

    @classmethod
    def traits_of(cls, a: SoftmaxAttrs, s: Sig) -> frozenset[Trait]:
        return along(cls.traits, s.ins["x"].axis(a.axis))

    @staticmethod
    def infer(a: SoftmaxAttrs, s: Sig) -> dict[str, Type]:
        x = s.ins["x"]
        x.axis(a.axis)
        return {"y": x}

    @staticmethod
    def forwards(a: SoftmaxAttrs, s: Sig) -> tuple[Forward, ...]:
        # a row is read for its maximum and its sum before any of it is overwritten
        return (Forward(over=(("y", "x"),)),)

    @staticmethod
    def grads(a: SoftmaxAttrs, s: Sig) -> tuple[Grad, ...]:
        return (Grad("x", ("dy", "y"), over="dy"),)

    @staticmethod
    def ties(a: SoftmaxAttrs, s: Sig) -> Algebra:
        x = s.ins["x"]
        return same("x", "y", *(i for i in range(1, x.rank) if i != x.axis(a.axis)))

    @staticmethod
    def macs(a: SoftmaxAttrs, part: str, s: Sig) -> int:
        return s["x"].size if part == "dx" else 0

    @staticmethod
    def reference(a: SoftmaxAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        return {"y": softmax(v["x"], ctx.sig["x"].axis(a.axis))}

    @staticmethod
    def vjp(a: SoftmaxAttrs, part: str, v: Values, ctx: Ctx) -> F64:
        shape = v["y"].shape
        rows = around(shape, ctx.sig["x"].axis(a.axis))
        dy, y = v["dy"].reshape(rows), v["y"].reshape(rows)
        with np.errstate(all="ignore"):
            mean = contract("oci,oci->oi", dy, y)
            return np.asarray((dy - mean[:, None, :]) * y).reshape(shape)

    kernels = (
        Kernel("cpu", "forward", "softmax", attrs=lambda a, s: {"axis": s["x"].axis(a.axis)}),
        Kernel("cpu", "dx", "softmax_gradient", attrs=lambda a, s: {"axis": s["x"].axis(a.axis)}),
    )

    samples = (
        Sample(((2, 5),)),
        Sample(((2, 3, 2, 2),)),
        Sample(((2, 3, 4),), SoftmaxAttrs(axis=-1)),
        Sample(((4, 3),), SoftmaxAttrs(axis=0)),
        Sample(((0, 5),)),
    )
