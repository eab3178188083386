"""Crop: a blob cut to the extents of another."""

from __future__ import annotations

from graphc.errors import fail
from graphc.ir.op import Sig, Trait
from graphc.ir.types import Type
from graphc.numpy_later import np
from graphc.ops._axes import along
from graphc.ops.kernel import Kernel
from graphc.ops.spec import F64, Ctx, Forward, Grad, OpSpec, Sample, Values, View
from graphc.ops.ties import Algebra, same
from graphc.records import record


@record(frozen=True)
class CropAttrs:
    axis: int = 2
    offset: tuple[int, ...] = ()


class Crop(OpSpec):
    """y[..., h, w] = x[..., offset_h + h, offset_w + w]; from `axis` on y has ref's extents.

    One offset serves all cropped axes, or there is one for each; none means 0. Of ref only the
    shape matters.
    """

    type, param_field = "Crop", "crop_param"
    Attrs = CropAttrs
    bottoms = ("x", "ref")
    traits = frozenset({Trait.LINEAR, Trait.BATCH_SEPARABLE})

    @classmethod
    def traits_of(cls, a: CropAttrs, s: Sig) -> frozenset[Trait]:
        x, ref = s.ins["x"], s.ins["ref"]
        # sub-batches of ref must be those of x, for its extents are checked against x's
        alike = ref.shape[0] == x.shape[0]
        return along(cls.traits, x.axis(a.axis) if alike else 0)

    @staticmethod
    def infer(a: CropAttrs, s: Sig) -> dict[str, Type]:
        x, ref = s.ins["x"], s.ins["ref"]
        axis = x.axis(a.axis, "crop_param.axis")
        if len(a.offset) > 1 and len(a.offset) != x.rank - axis:
            fail(
                "GC-N008",
                f"{len(a.offset)} offsets for the {x.rank - axis} axes from {axis} on of x of "
                f"shape {x.shape}",
                "give one offset, or one per axis",
            )
        if ref.rank < x.rank:
            fail("GC-S003", f"x has shape {x.shape}, but ref only {ref.shape}")
        windows = _windows(a, s)
        for i, (lo, hi) in windows.items():
            if not 0 <= lo <= hi <= x.shape[i]:
                fail(
                    "GC-S002",
                    f"axis {i} of x of shape {x.shape} cannot be cut to {lo}..{hi} (offset {lo}, "
                    f"extent {ref.shape[i]} of ref of shape {ref.shape})",
                )
        sizes = {i: hi - lo for i, (lo, hi) in windows.items()}
        return {"y": Type(tuple(sizes.get(i, d) for i, d in enumerate(x.shape)))}

    @staticmethod
    def forwards(a: CropAttrs, s: Sig) -> tuple[Forward, ...]:
        return (Forward(reads=("x",)),)

    @staticmethod
    def views(a: CropAttrs, s: Sig) -> dict[str, View]:
        cut = {i: w for i, w in _windows(a, s).items() if w != (0, s.ins["x"].shape[i])}
        if len(cut) > 1:
            return {}
        return {"y": next((View("x", i, *w) for i, w in cut.items()), View("x"))}

    @staticmethod
    def grads(a: CropAttrs, s: Sig) -> tuple[Grad, ...]:
        return (Grad("x", ("dy",)),)

    @staticmethod
    def ties(a: CropAttrs, s: Sig) -> Algebra:
        # from `axis` on, ref's extents fix the indices
        return same("x", "y", *range(1, s.ins["x"].axis(a.axis)))

    @staticmethod
    def reference(a: CropAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        return {"y": v["x"][_index(a, ctx.sig)]}

    @staticmethod
    def vjp(a: CropAttrs, part: str, v: Values, ctx: Ctx) -> F64:
        axis = ctx.sig["x"].axis(a.axis)
        dx = np.zeros((*v["dy"].shape[:axis], *ctx.sig["x"].shape[axis:]))
        dx[_index(a, ctx.sig)] = v["dy"]
        return dx

    kernels = (
        Kernel(
            "cpu", "forward", "crop", attrs=lambda a, s: {"offset": _starts(a, s)}, strided=True
        ),
        Kernel(
            "cpu",
            "dx",
            "crop_gradient",
            attrs=lambda a, s: {"offset": _starts(a, s)},
            strided=True,
        ),
    )
    samples = (
        Sample(((2, 2, 4, 5), (1, 1, 3, 2)), CropAttrs(offset=(1,))),
        Sample(((2, 2, 4, 5), (2, 2, 3, 5)), CropAttrs(offset=(1, 0))),
        Sample(((3, 3, 4), (2, 2, 3)), CropAttrs(axis=0)),
        Sample(((2, 3, 4), (2, 3, 4)), CropAttrs(axis=-1)),
        Sample(((0, 2, 4), (1, 2, 3)), CropAttrs(offset=(1,))),
    )


def _windows(a: CropAttrs, s: Sig) -> dict[int, tuple[int, int]]:
    """(start, stop) in x of each cropped axis."""
    x, ref = s.ins["x"], s.ins["ref"]
    axis = x.axis(a.axis)
    offsets = a.offset if len(a.offset) > 1 else (a.offset or (0,)) * (x.rank - axis)
    return {i: (lo, lo + ref.shape[i]) for i, lo in zip(range(axis, x.rank), offsets, strict=True)}


def _index(a: CropAttrs, s: Sig) -> tuple[slice, ...]:
    windows = _windows(a, s)
    return tuple(slice(*windows.get(i, (None,))) for i in range(s.ins["x"].rank))


def _starts(a: CropAttrs, s: Sig) -> tuple[int, ...]:
    """Where y starts in x, along every axis."""
    windows = _windows(a, s)
    return tuple(windows[i][0] if i in windows else 0 for i in range(s.ins["x"].rank))
