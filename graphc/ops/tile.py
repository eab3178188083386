"""Tile: copies of a blob side by side along one axis."""

from __future__ import annotations

from graphc.errors import fail
from graphc.ir.op import Sig, Trait
from graphc.ir.types import Type
from graphc.numpy_later import np
from graphc.ops._axes import along, around
from graphc.ops.kernel import Kernel
from graphc.ops.spec import F64, Ctx, Grad, OpSpec, Sample, Values
from graphc.ops.ties import Algebra, Tie, same
from graphc.records import record


@record(frozen=True)
class TileAttrs:
    axis: int = 1
    tiles: int = 0


class Tile(OpSpec):
    """y[o, t * C + c, i] = x[o,c,i] for t < tiles, c along `axis`."""

    type, param_field = "Tile", "tile_param"
    Attrs = TileAttrs
    traits = frozenset({Trait.LINEAR, Trait.BATCH_SEPARABLE})

    @classmethod
    def traits_of(cls, a: TileAttrs, s: Sig) -> frozenset[Trait]:
        return along(cls.traits, s.ins["x"].axis(a.axis))

    @staticmethod
    def infer(a: TileAttrs, s: Sig) -> dict[str, Type]:
        x = s.ins["x"]
        axis = x.axis(a.axis, "tile_param.axis")
        if a.tiles < 1:
            fail("GC-N008", f"tile_param.tiles is {a.tiles}", "set how many copies to make")
        return {"y": Type((*x.shape[:axis], a.tiles * x.shape[axis], *x.shape[axis + 1 :]))}

    @staticmethod
    def grads(a: TileAttrs, s: Sig) -> tuple[Grad, ...]:
        return (Grad("x", ("dy",)),)

    @staticmethod
    def ties(a: TileAttrs, s: Sig) -> Algebra:
        x = s.ins["x"]
        axis = x.axis(a.axis)
        others = same("x", "y", *(i for i in range(1, x.rank) if i != axis))
        return (*others, Tie(f"x.{axis}", f"y.{axis}", tile=a.tiles)) if axis else others

    @staticmethod
    def reference(a: TileAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        axis, shape = ctx.sig["x"].axis(a.axis), v["x"].shape
        outer, extent, inner = around(shape, axis)
        x = v["x"].reshape(outer, 1, extent, inner)
        y = np.broadcast_to(x, (outer, a.tiles, extent, inner))
        return {"y": y.reshape(*shape[:axis], a.tiles * extent, *shape[axis + 1 :])}

    @staticmethod
    def vjp(a: TileAttrs, part: str, v: Values, ctx: Ctx) -> F64:
        axis, shape = ctx.sig["x"].axis(a.axis), v["dy"].shape
        outer, extent, inner = around(shape, axis)
        with np.errstate(all="ignore"):
            dx = v["dy"].reshape(outer, a.tiles, extent // a.tiles, inner).sum(1)
        return np.asarray(dx).reshape(*shape[:axis], extent // a.tiles, *shape[axis + 1 :])

    kernels = (
        Kernel(
            "cpu",
            "forward",
            "tile",
            attrs=lambda a, s: {"axis": s.ins["x"].axis(a.axis)},
            strided=True,
        ),
        Kernel("cpu", "dx", "tile_gradient", attrs=lambda a, s: {"axis": s.ins["x"].axis(a.axis)}),
    )
    samples = (
        Sample(((2, 3, 2),), TileAttrs(tiles=3)),
        Sample(((2, 3, 4),), TileAttrs(axis=0, tiles=2)),
        Sample(((2, 3),), TileAttrs(axis=-1, tiles=1)),
        Sample(((0, 3),), TileAttrs(tiles=2)),
    )
