"""Reshape: the same elements under other axes."""

from __future__ import annotations

import math
from dataclasses import replace

from graphc.errors import fail
from graphc.ir.op import Sig, Trait
from graphc.ir.types import Type
from graphc.ops._axes import along
from graphc.ops._blob_shape import NO_SHAPE, BlobShape
from graphc.ops._reshape import like, reshape_ties
from graphc.ops.kernel import Kernel
from graphc.ops.spec import F64, Ctx, Grad, OpSpec, Sample, Values, View
from graphc.ops.ties import Algebra, Kept
from graphc.records import record


@record(frozen=True)
class ReshapeAttrs:
    shape: BlobShape = NO_SHAPE
    axis: int = 0
    num_axes: int = -1


class Reshape(OpSpec):
    """y = x with the `num_axes` axes from `axis` on (-1: all) replaced by `shape`.

    In `shape` a 0 copies the axis of x at its place, and one -1 is whatever the count leaves.
    Elements keep their order, so y can share x's memory.
    """

    type, param_field = "Reshape", "reshape_param"
    Attrs = ReshapeAttrs
    traits = frozenset({Trait.LINEAR, Trait.BATCH_SEPARABLE})

    @classmethod
    def traits_of(cls, a: ReshapeAttrs, s: Sig) -> frozenset[Trait]:
        x, dims = s.ins["x"], a.shape.dim
        start = a.axis if a.axis >= 0 else x.rank + 1 + a.axis
        kept = start > 0 or dims[:1] == (0,)
        kept |= dims[:1] == (-1,) and target(a, x)[:1] == x.shape[:1]
        return along(cls.traits, int(kept))

    @staticmethod
    def infer(a: ReshapeAttrs, s: Sig) -> dict[str, Type]:
        return {"y": Type(target(a, s.ins["x"]))}

    @staticmethod
    def views(a: ReshapeAttrs, s: Sig) -> dict[str, View]:
        return {"y": View("x")}

    @staticmethod
    def grads(a: ReshapeAttrs, s: Sig) -> tuple[Grad, ...]:
        return (Grad("x", ("dy",), view=View("dy")),)

    @staticmethod
    def ties(a: ReshapeAttrs, s: Sig) -> Algebra:
        return reshape_ties(s.ins["x"], Type(target(a, s.ins["x"])))

    @staticmethod
    def narrow(a: ReshapeAttrs, s: Sig, kept: Kept) -> ReshapeAttrs:
        start = a.axis if a.axis >= 0 else s.ins["x"].rank + 1 + a.axis
        dims = list(a.shape.dim)
        for i, dim in enumerate(dims):
            left = kept.get(f"y.{start + i}")
            if dim > 0 and left is not None:
                dims[i] = len(left)
        return replace(a, shape=BlobShape(tuple(dims)))

    @staticmethod
    def reference(a: ReshapeAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        return {"y": v["x"].reshape(target(a, Type(v["x"].shape)))}

    @staticmethod
    def vjp(a: ReshapeAttrs, part: str, v: Values, ctx: Ctx) -> F64:
        return like(v["dy"], ctx.sig["x"])

    kernels = (Kernel("cpu", "forward", "reshape", strided=True),)
    samples = (
        Sample(((2, 3, 4),), ReshapeAttrs(BlobShape((0, 6, 2)))),
        Sample(((2, 4, 3, 2),), ReshapeAttrs(BlobShape((2, -1)), axis=1, num_axes=2)),
        Sample(((3, 4),), ReshapeAttrs(BlobShape((1,)), axis=-2, num_axes=0)),
        Sample(((2, 3),), ReshapeAttrs(BlobShape((-1,)))),
        Sample(((4, 3),), ReshapeAttrs(BlobShape((-1, 1, 3)))),
        Sample(((0, 6),), ReshapeAttrs(BlobShape((0, -1, 2)))),
    )


def target(a: ReshapeAttrs, x: Type) -> tuple[int, ...]:
    """The shape of y. Raises GC-N008 for fields out of range, GC-S002 where counts disagree."""
    start = a.axis if a.axis >= 0 else x.rank + 1 + a.axis
    if not 0 <= start <= x.rank:
        fail("GC-N008", f"reshape_param.axis is {a.axis}, but x has shape {x.shape}")
    stop = x.rank if a.num_axes == -1 else start + a.num_axes
    if a.num_axes < -1 or stop > x.rank:
        fail(
            "GC-N008",
            f"reshape_param.num_axes is {a.num_axes} from axis {start} on, but x has shape "
            f"{x.shape}",
            "-1 replaces all axes from `axis` on",
        )
    new = _copied(a, x, start)
    if -1 in new:
        new[new.index(-1)] = _inferred(a, x, start, stop, new)
    shape = (*x.shape[:start], *new, *x.shape[stop:])
    if math.prod(shape) != x.size:
        fail(
            "GC-S002",
            f"x of shape {x.shape} has {x.size} elements, the shape {shape} asked for has "
            f"{math.prod(shape)}",
            "one dim may be -1: it takes what is left",
        )
    return shape


def _copied(a: ReshapeAttrs, x: Type, start: int) -> list[int]:
    """The dims asked for, each 0 replaced by x's extent there."""
    dims = a.shape.dim
    Type(tuple(d for d in dims if d > 0))  # refuses what no blob can have, before any product
    if any(d < -1 for d in dims) or dims.count(-1) > 1:
        fail("GC-N008", f"reshape_param.shape is {list(dims)}", "at most one -1, no other negative")
    new = list(dims)
    for i, d in enumerate(dims):
        if d == 0:
            if start + i >= x.rank:
                fail(
                    "GC-S002",
                    f"dim {i} of {list(dims)} is 0, which copies axis {start + i} of x, but x has "
                    f"shape {x.shape}",
                )
            new[i] = x.shape[start + i]
    return new


def _inferred(a: ReshapeAttrs, x: Type, start: int, stop: int, new: list[int]) -> int:
    """What -1 stands for: x's count over that of all other axes of y."""
    whole = x.size
    rest = math.prod(d for d in new if d != -1) * x.count(0, start) * x.count(stop)
    if rest == 0:  # an empty batch: leave out the axes that both sides have
        same = [i for i, d in enumerate(a.shape.dim) if d == 0 and start + i < stop]
        whole = math.prod(x.shape[i] for i in range(start, stop) if i - start not in same)
        rest = math.prod(d for i, d in enumerate(new) if d != -1 and i not in same)
    if rest == 0 or whole % rest:
        fail(
            "GC-S002",
            f"x of shape {x.shape} has {x.size} elements, which the other dims of "
            f"{list(a.shape.dim)} do not divide",
        )
    return whole // rest
