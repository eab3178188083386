"""ArgMax: indices, or values, of the largest elements."""

from __future__ import annotations

from graphc.errors import fail
from graphc.ir.op import Sig, Trait
from graphc.ir.types import Type
from graphc.numpy_later import np
from graphc.ops._axes import along
from graphc.ops.kernel import Kernel
from graphc.ops.spec import F64, Ctx, OpSpec, Sample, Values, prod
from graphc.ops.ties import Algebra, same
from graphc.records import record


@record(frozen=True)
class ArgMaxAttrs:
    out_max_val: bool = False
    top_k: int = 1
    axis: int | None = None


class ArgMax(OpSpec):
    """y[n,0,j] = index of the j-th largest element of x[n], j < top_k.

    x: (N, ...), each sample flattened; y: (N, 1, top_k), further axes 1 as far as x has more than
    three; with out_max_val (N, 2, top_k), indices first, then values. With `axis`, elements are
    compared along it alone, y has x's axes, and out_max_val gives the values only. Of equal
    elements the one with the larger index comes first; NaN counts as largest. No gradient.
    """

    type, param_field = "ArgMax", "argmax_param"
    Attrs = ArgMaxAttrs
    traits = frozenset({Trait.BATCH_SEPARABLE})

    @classmethod
    def traits_of(cls, a: ArgMaxAttrs, s: Sig) -> frozenset[Trait]:
        return along(cls.traits, 1 if a.axis is None else s.ins["x"].axis(a.axis))

    @staticmethod
    def infer(a: ArgMaxAttrs, s: Sig) -> dict[str, Type]:
        x = s.ins["x"]
        axis = None if a.axis is None else x.axis(a.axis, "argmax_param.axis")
        x.axis(0)
        extent = x.count(1) if axis is None else x.shape[axis]
        if not 1 <= a.top_k <= extent:
            fail(
                "GC-N008",
                f"argmax_param.top_k is {a.top_k}, but x of shape {x.shape} has {extent} elements "
                + ("per sample" if axis is None else f"along axis {axis}"),
            )
        if axis is not None:
            return {"y": Type((*x.shape[:axis], a.top_k, *x.shape[axis + 1 :]))}
        rows = 2 if a.out_max_val else 1
        return {"y": Type((x.shape[0], rows, a.top_k, *(1,) * (x.rank - 3)))}

    @staticmethod
    def ties(a: ArgMaxAttrs, s: Sig) -> Algebra:
        if a.axis is None:
            return ()
        x = s.ins["x"]
        return same("x", "y", *(i for i in range(1, x.rank) if i != x.axis(a.axis)))

    @staticmethod
    def reference(a: ArgMaxAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        x = v["x"]
        if a.axis is not None:
            axis = ctx.sig["x"].axis(a.axis)
            best, index = _largest(np.moveaxis(x, axis, -1), a.top_k)
            return {"y": np.moveaxis(best if a.out_max_val else index, -1, axis)}
        best, index = _largest(x.reshape(x.shape[0], prod(x.shape[1:])), a.top_k)
        y = np.stack((index, best), 1) if a.out_max_val else index[:, None, :]
        return {"y": y.reshape(*y.shape, *(1,) * (x.ndim - 3))}

    kernels = (Kernel("cpu", "forward", "arg_max", attrs=lambda a, s: _told(a, s)),)

    samples = (
        Sample(((3, 8),)),
        Sample(((3, 2, 2, 2),), ArgMaxAttrs(out_max_val=True, top_k=3)),
        Sample(((2, 5, 3),), ArgMaxAttrs(axis=1, top_k=2)),
        Sample(((2, 5, 3),), ArgMaxAttrs(axis=-1, out_max_val=True)),
        Sample(((0, 8),)),
    )


def _told(a: ArgMaxAttrs, s: Sig) -> dict[str, int]:
    """Axis -1 stands for the whole sample."""
    both = a.axis is None
    return {
        "axis": -1 if a.axis is None else s["x"].axis(a.axis),
        "top_k": a.top_k,
        "indices": both or not a.out_max_val,
        "values": a.out_max_val,
    }


def _largest(x: F64, k: int) -> tuple[F64, F64]:
    """The k largest along the last axis, descending, and their indices."""
    order = np.argsort(x, axis=-1, kind="stable")[..., ::-1][..., :k]
    return np.take_along_axis(x, order, axis=-1), order.astype(np.float64)
