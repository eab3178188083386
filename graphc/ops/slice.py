"""Slice: a blob cut along one axis."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from graphc.errors import fail
from graphc.ir.op import Sig, Trait
from graphc.ir.types import Type
from graphc.numpy_later import np
from graphc.ops._axes import along, axis_or_dim
from graphc.ops.kernel import Kernel
from graphc.ops.spec import F64, Ctx, Grad, OpSpec, Sample, Values, View, many
from graphc.ops.ties import Algebra, Kept, Tie, same
from graphc.records import record


@record(frozen=True)
class SliceAttrs:
    """`axis` None stands for the proto's default 1; `slice_dim` is its old name."""

    slice_dim: int | None = None
    slice_point: tuple[int, ...] = ()
    axis: int | None = None


class Slice(OpSpec):
    """y_k[o,c,i] = x[o, p_k + c, i] for top k, p_k the points along `axis`.

    The points are slice_point, one less than tops and ascending, or cut x in equal parts. Every
    top can live inside x.
    """

    type, param_field = "Slice", "slice_param"
    Attrs = SliceAttrs
    tops = ("y*",)
    traits = frozenset({Trait.LINEAR, Trait.BATCH_SEPARABLE})

    @classmethod
    def traits_of(cls, a: SliceAttrs, s: Sig) -> frozenset[Trait]:
        return along(cls.traits, _axis(a, s))

    @staticmethod
    def infer(a: SliceAttrs, s: Sig) -> dict[str, Type]:
        x, axis = s.ins["x"], _axis(a, s)
        spans = _spans(a, x.shape, axis, len(s.tops))
        return {
            role: Type((*x.shape[:axis], hi - lo, *x.shape[axis + 1 :]))
            for role, (lo, hi) in zip(s.tops, spans, strict=True)
        }

    @staticmethod
    def views(a: SliceAttrs, s: Sig) -> dict[str, View]:
        if len(s.tops) == 1:
            return {"y0": View("x")}
        axis = _axis(a, s)
        spans = _spans(a, s.ins["x"].shape, axis, len(s.tops))
        return {role: View("x", axis, *span) for role, span in zip(s.tops, spans, strict=True)}

    @staticmethod
    def grads(a: SliceAttrs, s: Sig) -> tuple[Grad, ...]:
        if len(s.tops) == 1:
            return (Grad("x", ("dy0",), view=View("dy0")),)
        return (Grad("x", tuple(f"d{role}" for role in s.tops)),)

    @staticmethod
    def ties(a: SliceAttrs, s: Sig) -> Algebra:
        x, axis = s.ins["x"], _axis(a, s)
        ties: Algebra = ()
        spans = _spans(a, x.shape, axis, len(s.tops))
        for role, (lo, hi) in zip(s.tops, spans, strict=True):
            ties += same("x", role, *(i for i in range(1, x.rank) if i != axis))
            ties += (Tie(f"x.{axis}", f"{role}.{axis}", start=lo, count=hi - lo),) if axis else ()
        return ties

    @staticmethod
    def narrow(a: SliceAttrs, s: Sig, kept: Kept) -> SliceAttrs:
        axis = _axis(a, s)
        left = kept.get(f"x.{axis}")
        if left is None or len(s.tops) == 1:
            return a
        spans = _spans(a, s.ins["x"].shape, axis, len(s.tops))
        points = np.searchsorted(left, [lo for lo, _ in spans[1:]])
        return replace(a, slice_point=tuple(points.tolist()))

    @staticmethod
    def reference(a: SliceAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        x, axis = v["x"], _axis(a, ctx.sig)
        spans = _spans(a, x.shape, axis, len(ctx.sig.tops))
        return {
            role: x[(slice(None),) * axis + (slice(*span),)]
            for role, span in zip(ctx.sig.tops, spans, strict=True)
        }

    @staticmethod
    def vjp(a: SliceAttrs, part: str, v: Values, ctx: Ctx) -> F64:
        return np.concatenate(many(v, "dy"), _axis(a, ctx.sig))

    kernels = (
        Kernel("cpu", "forward", "slice", attrs=lambda a, s: {"axis": _axis(a, s)}, strided=True),
        Kernel("cpu", "dx", "concat", attrs=lambda a, s: {"axis": _axis(a, s)}, strided=True),
    )
    samples = (
        Sample(((2, 6, 3),), tops=3),
        Sample(((2, 5, 3, 2),), SliceAttrs(slice_point=(1, 3)), tops=3),
        Sample(((2, 3, 4),), SliceAttrs(axis=-1, slice_point=(1,)), tops=2),
        Sample(((4, 3),), SliceAttrs(slice_dim=0), tops=2),
        Sample(((2, 6, 3),)),
        Sample(((0, 4),), tops=2),
    )


def _axis(a: SliceAttrs, s: Sig) -> int:
    return axis_or_dim(s.ins["x"], a.axis, a.slice_dim, "slice_dim")


def _spans(a: SliceAttrs, shape: tuple[int, ...], axis: int, n: int) -> list[tuple[int, int]]:
    """(start, stop) of each of `n` tops. Raises GC-N008 for points that do not fit."""
    extent, points = shape[axis], a.slice_point
    where = f"axis {axis} of a blob of shape {shape}"
    if points or n == 1:
        if len(points) != n - 1:
            fail("GC-N008", f"{len(points)} slice points for {n} tops", f"{n} tops take {n - 1}")
        edges = (0, *points, extent)
        if any(lo >= hi for lo, hi in zip(edges[:-2], points, strict=True)) or edges[-2] > extent:
            fail("GC-N008", f"slice_point {list(points)} does not ascend within {where}")
        return list(pairwise(edges))
    if extent % n:
        fail("GC-S002", f"{where} cannot be cut in {n} equal parts", "give slice_point")
    return [(k * extent // n, (k + 1) * extent // n) for k in range(n)]
