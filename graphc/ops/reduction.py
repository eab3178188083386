"""Reduction: sums over the last axes."""

from __future__ import annotations

from graphc.errors import fail
from graphc.ir.op import Sig, Trait
from graphc.ir.types import Type
from graphc.numpy_later import np
from graphc.ops._axes import along
from graphc.ops._contract import contract
from graphc.ops._expr_rows import Body, gradient_rows
from graphc.ops.kernel import Kernel
from graphc.ops.scalar import Var, where
from graphc.ops.spec import F64, Ctx, Grad, OpSpec, Sample, Values, prod
from graphc.ops.ties import Algebra, Free, same
from graphc.records import record


@record(frozen=True)
class ReductionAttrs:
    operation: str = "SUM"
    axis: int = 0
    coeff: float = 1.0


class Reduction(OpSpec):
    """y[n] = coeff * sum_k f(x[n,k]), f(x) = x (SUM, MEAN), |x| (ASUM) or x^2 (SUMSQ).

    x: (N..., K...), split at `axis`, which with all later axes is summed over; MEAN divides by
    their count. y: (N...).
    """

    type, param_field = "Reduction", "reduction_param"
    Attrs = ReductionAttrs
    traits = frozenset({Trait.LINEAR, Trait.BATCH_SEPARABLE})

    @classmethod
    def traits_of(cls, a: ReductionAttrs, s: Sig) -> frozenset[Trait]:
        found = along(cls.traits, s.ins["x"].axis(a.axis))
        return found if a.operation in ("SUM", "MEAN") else found - {Trait.LINEAR}

    @staticmethod
    def infer(a: ReductionAttrs, s: Sig) -> dict[str, Type]:
        x = s.ins["x"]
        if a.operation not in ("SUM", "ASUM", "SUMSQ", "MEAN"):
            fail(
                "GC-N008",
                f"reduction_param.operation is {a.operation!r}",
                "SUM, ASUM, SUMSQ or MEAN",
            )
        return {"y": Type(x.shape[: x.axis(a.axis, "reduction_param.axis")])}

    @staticmethod
    def grads(a: ReductionAttrs, s: Sig) -> tuple[Grad, ...]:
        if a.operation in ("SUM", "MEAN"):
            return (Grad("x", ("dy",)),)
        return (Grad("x", ("dy", "x"), over="x"),)

    @staticmethod
    def ties(a: ReductionAttrs, s: Sig) -> Algebra:
        x = s.ins["x"]
        axis = x.axis(a.axis)
        kept = same("x", "y", *range(1, axis))
        if a.operation == "MEAN":  # the count it divides by would change: summed axes stay pinned
            return kept
        return (*kept, *(Free(f"x.{i}") for i in range(max(1, axis), x.rank)))

    @staticmethod
    def macs(a: ReductionAttrs, part: str, s: Sig) -> int:
        return s["x"].size if part == "forward" and a.operation == "SUMSQ" else 0

    @staticmethod
    def reference(a: ReductionAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        shape, axis = v["x"].shape, ctx.sig["x"].axis(a.axis)
        x = v["x"].reshape(prod(shape[:axis]), prod(shape[axis:]))
        with np.errstate(all="ignore"):
            if a.operation == "SUMSQ":
                y = contract("nk,nk->n", x, x)
            else:
                y = np.abs(x).sum(1) if a.operation == "ASUM" else x.sum(1)
            return {"y": np.asarray(_scale(a, x.shape[1]) * y).reshape(shape[:axis])}

    @staticmethod
    def vjp(a: ReductionAttrs, part: str, v: Values, ctx: Ctx) -> F64:
        axis, dy = ctx.sig["x"].axis(a.axis), v["dy"]
        summed = ctx.sig["x"].shape[axis:]
        with np.errstate(all="ignore"):
            dy = (_scale(a, prod(summed)) * dy).reshape(*dy.shape, *(1,) * len(summed))
            if a.operation == "ASUM":
                return np.asarray(dy * ((v["x"] > 0).astype(np.float64) - (v["x"] < 0)))
            if a.operation == "SUMSQ":
                return np.asarray(2 * dy * v["x"])
            return np.array(np.broadcast_to(dy, (*dy.shape[:axis], *summed)))

    kernels = (
        Kernel(
            "cpu",
            "forward",
            "reduction",
            attrs=lambda a, s: {"operation": a.operation, "coeff": a.coeff},
        ),
    )

    @classmethod
    def kernels_of(cls, a: ReductionAttrs, s: Sig) -> tuple[Kernel, ...]:
        x = s.ins["x"]
        axis = x.axis(a.axis)
        (part,) = cls.grads(a, s)
        slope = float(_scale(a, prod(x.shape[axis:]))) * Var("dy")
        if a.operation == "ASUM":
            slope = slope * (where(Var("x") > 0, 1, 0) - where(Var("x") < 0, 1, 0))
        elif a.operation == "SUMSQ":
            slope = 2 * slope * Var("x")
        body = Body({"dx": slope}, part.reads, ("dx",), {"dy": 0}, s)
        return (*cls.kernels, *gradient_rows(part, body))

    samples = (
        Sample(((3, 2, 4),)),
        Sample(((3, 2, 4),), ReductionAttrs(operation="MEAN", axis=1, coeff=2.5)),
        Sample(((3, 2, 4),), ReductionAttrs(operation="ASUM", axis=1)),
        Sample(((3, 2, 4),), ReductionAttrs(operation="SUMSQ", axis=-1, coeff=-0.5)),
        Sample(((0, 4),), ReductionAttrs(operation="SUMSQ", axis=1)),
    )


def _scale(a: ReductionAttrs, count: int) -> F64:
    """coeff, or coeff / count for MEAN (infinite if there is nothing to sum, as in Caffe)."""
    with np.errstate(all="ignore"):
        return np.asarray(np.float64(a.coeff) / (count if a.operation == "MEAN" else 1))
