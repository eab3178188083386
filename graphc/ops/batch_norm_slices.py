"""BatchNormSlices: BatchNorm in training, of a batch that comes in slices."""

from __future__ import annotations

from typing import Any

from graphc.ir.op import Effect, Param, Sig
from graphc.ir.types import Type
from graphc.numpy_later import np
from graphc.ops.batch_norm import BatchNorm, BatchNormAttrs
from graphc.ops.kernel import Kernel
from graphc.ops.spec import F64, Ctx, Forward, Grad, OpSpec, Values, many

_STATE, _BATCH = ("mean", "variance", "factor"), ("batch_mean", "batch_variance")


class _InGraphsAlone(OpSpec):
    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Unlike a layer's, its name is not entered in the table of layer types."""


class BatchNormSlices(_InGraphsAlone):
    """y_k[n,c,...] = (x_k[n,c,...] - m[c]) / sqrt(v[c] + eps), m and v over all slices x_k.

    x_k, y_k: (N_k, C, ...). Each slice is normalized, and its gradient made, in a call of its own;
    what is summed over all of them before is two numbers per channel. So m and v are those of the
    whole batch, and memory need hold but what slices of the layers around take. Params, aux values
    and source as in BatchNorm. No layer of prototxt files.
    """

    type = "BatchNormSlices"
    Attrs = BatchNormAttrs
    bottoms, tops, paired = ("x*",), ("y*",), True
    effects = frozenset({Effect.STATE})

    @staticmethod
    def params(a: BatchNormAttrs, s: Sig) -> tuple[Param, ...]:
        return BatchNorm.params(a, _first(s))

    @staticmethod
    def infer(a: BatchNormAttrs, s: Sig) -> dict[str, Type]:
        return {f"y{k}": x for k, x in enumerate(s.many("x"))}

    @staticmethod
    def aux(a: BatchNormAttrs, s: Sig) -> dict[str, Type]:
        channels = Type((_channels(s),))
        return dict.fromkeys(_BATCH, channels)

    @staticmethod
    def inner(a: BatchNormAttrs, s: Sig) -> dict[str, Type]:
        """sums: (2, C), of dy and of dy y over all slices."""
        return {"sums": Type((2, _channels(s)))}

    @staticmethod
    def forwards(a: BatchNormAttrs, s: Sig) -> tuple[Forward, ...]:
        return (
            Forward("statistics", tuple(s.ins), _BATCH),
            *(
                Forward(f"normalize{k}", (f"x{k}", *_BATCH), (f"y{k}",), ((f"y{k}", f"x{k}"),))
                for k in range(len(s.ins))
            ),
            Forward("update", (*_BATCH, *_STATE), _STATE, effects=frozenset({Effect.STATE})),
        )

    @staticmethod
    def grads(a: BatchNormAttrs, s: Sig) -> tuple[Grad, ...]:
        count = range(len(s.ins))
        sums = Grad("sums", (*(f"dy{k}" for k in count), *(f"y{k}" for k in count)))
        reads = [(f"dy{k}", f"y{k}", "batch_variance", "dsums") for k in count]
        return (sums, *(Grad(f"x{k}", reads[k], over=f"dy{k}") for k in count))

    @staticmethod
    def reference(a: BatchNormAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        whole = Ctx(_whole(ctx.sig), ctx.part.rstrip("0123456789"))
        if ctx.part == "statistics":
            return BatchNorm.reference(a, {"x": np.concatenate(many(v, "x"))}, whole)
        if ctx.part == "update":
            return BatchNorm.reference(a, v, whole)
        k = ctx.part.removeprefix("normalize")
        found = BatchNorm.reference(a, {**v, "x": v[f"x{k}"]}, whole)
        return {f"y{k}": found["y"]}

    @staticmethod
    def vjp(a: BatchNormAttrs, part: str, v: Values, ctx: Ctx) -> F64:
        if part == "dsums":
            dy, y = np.concatenate(many(v, "dy")), np.concatenate(many(v, "y"))
            axes = tuple(i for i in range(dy.ndim) if i != 1)
            return np.stack([dy.sum(axes).reshape(-1), (dy * y).sum(axes).reshape(-1)])
        k = part.removeprefix("dx")
        dy, y = v[f"dy{k}"], v[f"y{k}"]
        along = (1, -1, *(1,) * (dy.ndim - 2)) if dy.ndim > 1 else (-1,)
        level, slope = (row.reshape(along) / max(1, _count(ctx.sig)) for row in v["dsums"])
        deviation = np.sqrt(v["batch_variance"] + a.eps).reshape(along)
        return np.asarray((dy - level - slope * y) / deviation)

    @classmethod
    def kernels_of(cls, a: BatchNormAttrs, s: Sig) -> tuple[Kernel, ...]:
        eps, count = a.eps, _count(s)
        found = [
            Kernel("cpu", "statistics", "batch_norm_slice_statistics"),
            Kernel("cpu", "dsums", "batch_norm_slice_sums"),
            Kernel(
                "cpu",
                "update",
                "batch_norm_update",
                attrs=lambda a, s: {"kept": a.moving_average_fraction, "count": count},
            ),
        ]
        for k in range(len(s.ins)):
            normalize, gradient = "batch_norm_normalize", "batch_norm_slice_gradient"
            found += [
                Kernel("cpu", f"normalize{k}", normalize, attrs=lambda a, s: {"eps": eps}),
                Kernel("cpu", f"dx{k}", gradient, attrs=lambda a, s: {"eps": eps, "count": count}),
            ]
        return tuple(found)


def _first(s: Sig) -> Sig:
    return Sig(ins={"x": s.ins["x0"]}, tops=("y",), phase=s.phase)


def _whole(s: Sig) -> Sig:
    """The signature of a BatchNorm of all slices together, which are statistics of their own."""
    first = s.ins["x0"]
    samples = sum(x.shape[0] for x in s.many("x"))
    return Sig(ins={"x": Type((samples, *first.shape[1:]))}, tops=("y",), phase="TRAIN")


def _channels(s: Sig) -> int:
    first = s.ins["x0"]
    return first.shape[1] if first.rank > 1 else 1


def _count(s: Sig) -> int:
    """Number of elements that one channel has in all slices."""
    return sum(x.size for x in s.many("x")) // max(1, _channels(s))


__all__ = ["BatchNormSlices"]
