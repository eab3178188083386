"""BatchReindex: samples picked by number."""

from __future__ import annotations

from graphc.errors import fail
from graphc.ir.op import Sig
from graphc.ir.types import Type
from graphc.numpy_later import np, npt
from graphc.ops._loss import class_labels
from graphc.ops.kernel import Kernel
from graphc.ops.spec import F64, Ctx, Grad, OpSpec, Sample, Values
from graphc.ops.ties import Algebra, same


class BatchReindex(OpSpec):
    """y[m] = x[index[m]].

    x: (N, ...); index: (M,), truncated to whole numbers below N; y: (M, ...). Gradients of a
    sample picked several times add up. Raises GC-D003 for an index out of range.
    """

    type = "BatchReindex"
    bottoms = ("x", "index")

    @staticmethod
    def infer(a: object, s: Sig) -> dict[str, Type]:
        x, index = s.ins["x"], s.ins["index"]
        if index.rank != 1 or x.rank < 1:
            fail(
                "GC-S002",
                f"x has shape {x.shape}, index {index.shape}; index takes one axis, x at least one",
            )
        return {"y": Type((*index.shape, *x.shape[1:]))}

    @staticmethod
    def grads(a: object, s: Sig) -> tuple[Grad, ...]:
        return (Grad("x", ("dy", "index")),)

    @staticmethod
    def ties(a: object, s: Sig) -> Algebra:
        return same("x", "y", *range(1, s.ins["x"].rank))

    @staticmethod
    def reference(a: object, v: Values, ctx: Ctx) -> dict[str, F64]:
        return {"y": v["x"][_rows(v["index"], v["x"].shape[0])]}

    @staticmethod
    def vjp(a: object, part: str, v: Values, ctx: Ctx) -> F64:
        shape = ctx.sig["x"].shape
        dx = np.zeros(shape)
        with np.errstate(all="ignore"):
            np.add.at(dx, _rows(v["index"], shape[0]), v["dy"])
        return dx

    kernels = (
        Kernel("cpu", "forward", "gather", strided=True),
        Kernel("cpu", "dx", "gather_gradient"),
    )
    samples = (
        Sample(((4, 3, 2), (6,)), draw={"index": class_labels(4)}),
        Sample(((3,), (2,)), draw={"index": class_labels(3)}),
        Sample(((3, 2), (0,))),
    )


def _rows(index: F64, count: int) -> npt.NDArray[np.int64]:
    """`index` as whole numbers. Raises GC-D003 for one that is not below `count`, or NaN."""
    whole = np.trunc(index)
    with np.errstate(invalid="ignore"):
        bad = ~((whole >= 0) & (whole < count))
    if bad.any():
        first = int(np.argmax(bad))
        fail("GC-D003", f"index {index[first]:g} at [{first}] is none of the {count} samples of x")
    return whole.astype(np.int64)
