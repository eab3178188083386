"""Concat: blobs joined along one axis."""

from __future__ import annotations

from collections.abc import Iterator

from graphc.errors import fail
from graphc.ir.op import Sig, Trait
from graphc.ir.types import Type
from graphc.numpy_later import np
from graphc.ops._axes import along, axis_or_dim
from graphc.ops.kernel import Kernel
from graphc.ops.spec import F64, Ctx, Grad, OpSpec, Sample, Values, View, many
from graphc.ops.ties import Algebra, Tie, same
from graphc.records import record


@record(frozen=True)
class ConcatAttrs:
    """`axis` None stands for the proto's default 1; `concat_dim` is its old name."""

    concat_dim: int | None = None
    axis: int | None = None


class Concat(OpSpec):
    """y[o, c_0 + ... + c_{k-1} + c, i] = x_k[o,c,i] for bottom k, c_j the extents along `axis`.

    x_k: equal axes but for `axis`. The bottoms can live inside y, so that nothing is copied.
    """

    type, param_field = "Concat", "concat_param"
    Attrs = ConcatAttrs
    bottoms = ("x*",)
    traits = frozenset({Trait.LINEAR, Trait.BATCH_SEPARABLE})

    @classmethod
    def traits_of(cls, a: ConcatAttrs, s: Sig) -> frozenset[Trait]:
        return along(cls.traits, _axis(a, s))

    @staticmethod
    def infer(a: ConcatAttrs, s: Sig) -> dict[str, Type]:
        first = s.ins["x0"]
        axis = _axis(a, s)
        for k, x in enumerate(s.many("x")):
            _check(first.shape, x.shape, axis, k)
        total = sum(x.shape[axis] for x in s.many("x"))
        return {"y": Type((*first.shape[:axis], total, *first.shape[axis + 1 :]))}

    @staticmethod
    def views(a: ConcatAttrs, s: Sig) -> dict[str, View]:
        if len(s.ins) == 1:
            return {"y": View("x0")}
        return {f"x{k}": View("y", _axis(a, s), lo, hi) for k, lo, hi in _spans(a, s)}

    @staticmethod
    def grads(a: ConcatAttrs, s: Sig) -> tuple[Grad, ...]:
        if len(s.ins) == 1:
            return (Grad("x0", ("dy",), view=View("dy")),)
        axis = _axis(a, s)
        return tuple(
            Grad(f"x{k}", ("dy",), view=View("dy", axis, lo, hi)) for k, lo, hi in _spans(a, s)
        )

    @staticmethod
    def ties(a: ConcatAttrs, s: Sig) -> Algebra:
        axis = _axis(a, s)
        ties: Algebra = ()
        for k, lo, _ in _spans(a, s):
            ties += same(f"x{k}", "y", *(i for i in range(1, s.ins["x0"].rank) if i != axis))
            ties += (Tie(f"x{k}.{axis}", f"y.{axis}", at=lo),) if axis else ()
        return ties

    @staticmethod
    def reference(a: ConcatAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        axis, blobs = _axis(a, ctx.sig), many(v, "x")
        for k, x in enumerate(blobs):  # live extents may differ where the types do not
            _check(blobs[0].shape, x.shape, axis, k)
        return {"y": np.concatenate(blobs, axis)}

    @staticmethod
    def vjp(a: ConcatAttrs, part: str, v: Values, ctx: Ctx) -> F64:
        axis = _axis(a, ctx.sig)
        lo, hi = next((lo, hi) for k, lo, hi in _spans(a, ctx.sig) if part == f"dx{k}")
        return np.asarray(v["dy"][(slice(None),) * axis + (slice(lo, hi),)])

    kernels = (
        Kernel("cpu", "forward", "concat", attrs=lambda a, s: {"axis": _axis(a, s)}, strided=True),
    )
    samples = (
        Sample(((2, 3, 2), (2, 1, 2), (2, 2, 2))),
        Sample(((2, 3, 4), (3, 3, 4)), ConcatAttrs(axis=0)),
        Sample(((2, 3, 4), (2, 3, 1)), ConcatAttrs(axis=-1)),
        Sample(((2, 3), (1, 3)), ConcatAttrs(concat_dim=0)),
        Sample(((2, 3, 4),)),
        Sample(((0, 3), (0, 2))),
    )


def _axis(a: ConcatAttrs, s: Sig) -> int:
    return axis_or_dim(s.ins["x0"], a.axis, a.concat_dim, "concat_dim")


def _spans(a: ConcatAttrs, s: Sig) -> Iterator[tuple[int, int, int]]:
    """(k, start, stop) of each bottom along the axis of y."""
    axis, start = _axis(a, s), 0
    for k, x in enumerate(s.many("x")):
        yield k, start, start + x.shape[axis]
        start += x.shape[axis]


def _check(first: tuple[int, ...], other: tuple[int, ...], axis: int, k: int) -> None:
    """Raise GC-S003 unless bottom k has the axes of bottom 0, but for `axis`."""
    if (first[:axis], first[axis + 1 :], len(first)) != (
        other[:axis],
        other[axis + 1 :],
        len(other),
    ):
        fail(
            "GC-S003",
            f"x0 has shape {first}, x{k} {other}: they differ in more than axis {axis}",
        )
