"""BatchNorm: normalise every channel by its mean and variance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from graphc.errors import fail
from graphc.ir.op import Effect, Kind, Param, Sig, Trait
from graphc.ir.types import Type
from graphc.numpy_later import np
from graphc.ops._draws import positive
from graphc.ops.kernel import BLOCKED, Kernel
from graphc.ops.spec import F64, Ctx, Forward, Grad, OpSpec, Sample, Values
from graphc.ops.ties import Algebra, Tie, same
from graphc.records import record

TRAINED = {"variance": positive, "factor": positive}


@record(frozen=True)
class BatchNormAttrs:
    """`use_global_stats` None: in the TEST phase."""

    use_global_stats: bool | None = None
    moving_average_fraction: float = 0.999
    eps: float = 1e-5


def _rows(
    part: str,
    symbol: str,
    when: Callable[[BatchNormAttrs, Sig], bool] = lambda a, s: True,
    *,
    dense: bool = False,
    fuses: tuple[str, ...] = (),
) -> tuple[Kernel, Kernel]:
    """Rows for plain operands, only `dense` ones if so, and for blocked ones."""
    row = Kernel(
        "cpu",
        part,
        symbol,
        attrs=lambda a, s: {"eps": a.eps},
        when=when,
        strided=not dense,
        fuses=fuses,
    )
    blocked = replace(
        row,
        attrs=lambda a, s: {"eps": a.eps, "channels": s["x"].shape[1]},
        when=lambda a, s: s["x"].rank == 4 and when(a, s),
        strided=True,
        formats=((BLOCKED, BLOCKED),),
    )
    return row, blocked


class BatchNorm(OpSpec):
    """y[n,c,...] = (x[n,c,...] - m[c]) / sqrt(v[c] + eps), without coefficients of its own.

    x, y: (N, C, ...), or (N,) as one channel. m, v: with `use_global_stats` mean / factor and
    variance / factor (0 while factor is 0); else the batch's mean and biased variance over all
    axes but C, in the aux values batch_mean and batch_variance. These are then added to the decayed
    state: s = s * moving_average_fraction + batch's, the variance as the unbiased one, and 1 to
    factor; an empty batch adds nothing. mean, variance: (C,); factor: (1,).
    Source: Ioffe and Szegedy, arXiv 1502.03167.
    """

    type, param_field = "BatchNorm", "batch_norm_param"
    Attrs = BatchNormAttrs
    effects = frozenset({Effect.STATE})
    traits = frozenset({Trait.LINEAR, Trait.ELEMENTWISE, Trait.BATCH_SEPARABLE})

    @classmethod
    def traits_of(cls, a: BatchNormAttrs, s: Sig) -> frozenset[Trait]:
        return cls.traits if _is_global(a, s) else frozenset()

    @staticmethod
    def params(a: BatchNormAttrs, s: Sig) -> tuple[Param, ...]:
        shape = (_channels(s.ins["x"]),)
        return (
            Param("mean", shape, kind=Kind.STATE, out_axis=0),
            Param("variance", shape, kind=Kind.STATE, out_axis=0),
            Param("factor", (1,), kind=Kind.STATE),
        )

    @staticmethod
    def infer(a: BatchNormAttrs, s: Sig) -> dict[str, Type]:
        if s.ins["x"].rank == 0:
            fail("GC-S002", "x is a scalar, but BatchNorm takes (N, C, ...) or (N,)")
        return {"y": s.ins["x"]}

    @staticmethod
    def aux(a: BatchNormAttrs, s: Sig) -> dict[str, Type]:
        if _is_global(a, s):
            return {}
        channels = Type((_channels(s.ins["x"]),))
        return {"batch_mean": channels, "batch_variance": channels}

    @staticmethod
    def forwards(a: BatchNormAttrs, s: Sig) -> tuple[Forward, ...]:
        over = (("y", "x"),)
        if _is_global(a, s):
            return (Forward(over=over),)
        state, batch = ("mean", "variance", "factor"), ("batch_mean", "batch_variance")
        return (
            Forward("statistics", ("x",), batch),
            Forward("normalize", ("x", *batch), ("y",), over),
            Forward("update", (*batch, *state), state, effects=frozenset({Effect.STATE})),
        )

    @staticmethod
    def grads(a: BatchNormAttrs, s: Sig) -> tuple[Grad, ...]:
        if _is_global(a, s):
            return (Grad("x", ("dy", "variance", "factor"), over="dy"),)
        # y is the normalised x, so it stands in for x and batch_mean
        return (Grad("x", ("dy", "y", "batch_variance"), over="dy"),)

    @staticmethod
    def ties(a: BatchNormAttrs, s: Sig) -> Algebra:
        if s.ins["x"].rank < 2:
            return ()
        spatial = range(2, s.ins["x"].rank) if _is_global(a, s) else ()
        rows = ("mean", "variance", *BatchNorm.aux(a, s))
        return (*same("x", "y", 1, *spatial), *(Tie("x.1", f"{role}.0") for role in rows))

    @staticmethod
    def reference(a: BatchNormAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        with np.errstate(all="ignore"):
            if ctx.part == "statistics":
                mean, variance = _statistics(v["x"])
                return {"batch_mean": mean, "batch_variance": variance}
            if ctx.part == "update":
                return _update(a, v, _count(ctx.sig["x"].shape))
            if ctx.part == "normalize":
                mean, variance = v["batch_mean"], v["batch_variance"]
            else:
                mean, variance = (_unscaled(v, role) for role in ("mean", "variance"))
            deviation = np.sqrt(variance + a.eps)
            x = v["x"]
            return {"y": (x - _along(mean, x.ndim)) / _along(deviation, x.ndim)}

    @staticmethod
    def vjp(a: BatchNormAttrs, part: str, v: Values, ctx: Ctx) -> F64:
        dy = v["dy"]
        with np.errstate(all="ignore"):
            if "y" not in v:
                return dy / _along(np.sqrt(_unscaled(v, "variance") + a.eps), dy.ndim)
            y, axes, count = v["y"], _reduced(dy.ndim), max(1, _count(dy.shape))
            level = dy.sum(axes, keepdims=True) / count
            slope = (dy * y).sum(axes, keepdims=True) / count
            deviation = _along(np.sqrt(v["batch_variance"] + a.eps), dy.ndim)
            return np.asarray((dy - level - slope * y) / deviation)

    kernels = (
        Kernel("cpu", "forward", "batch_norm", attrs=lambda a, s: {"eps": a.eps}, strided=True),
        *(
            Kernel(
                "cpu",
                "forward",
                symbol,
                attrs=lambda a, s: {"eps": a.eps, "channels": s.ins["x"].shape[1]},
                when=lambda a, s: s.ins["x"].rank == 4,
                strided=True,
                formats=((BLOCKED, BLOCKED),),
                asks=True,
            )
            for symbol in ("batch_norm", "dnnl_batch_norm")
        ),
        *_rows("statistics", "batch_norm_statistics", dense=True),
        *_rows("normalize", "batch_norm_normalize", fuses=("scale",)),
        *_rows(
            "dx",
            "batch_norm_gradient",
            when=lambda a, s: not _is_global(a, s),
            dense=True,
            fuses=("scale",),
        ),
        *_rows("dx", "batch_norm_global_gradient", when=lambda a, s: _is_global(a, s)),
        Kernel(
            "cpu",
            "update",
            "batch_norm_update",
            attrs=lambda a, s: {
                "kept": a.moving_average_fraction,
                "count": _count(s["x"].shape),
            },
        ),
    )

    samples = (
        Sample(((3, 2, 2, 2),), draw=TRAINED),
        Sample(((3, 2, 2, 2),), phase="TRAIN", draw=TRAINED),
        Sample(((5, 3),), BatchNormAttrs(eps=0.1), phase="TRAIN", draw=TRAINED),
        Sample(((5,),), phase="TRAIN", draw=TRAINED),
        Sample(((1, 3, 4),), BatchNormAttrs(use_global_stats=False), draw=TRAINED),
        Sample(((2, 3, 2),), BatchNormAttrs(use_global_stats=True), phase="TRAIN", draw=TRAINED),
        Sample(((0, 3),), draw=TRAINED),
        Sample(((0, 3),), phase="TRAIN", draw=TRAINED),
    )


def _is_global(a: BatchNormAttrs, s: Sig) -> bool:
    return not s.train if a.use_global_stats is None else a.use_global_stats


def _channels(x: Type) -> int:
    return x.shape[1] if x.rank > 1 else 1


def _count(shape: tuple[int, ...]) -> int:
    """Number of elements that one channel of x has."""
    return Type(shape).size // max(1, _channels(Type(shape)))


def _reduced(rank: int) -> tuple[int, ...]:
    """All axes but that of the channels."""
    return tuple(i for i in range(rank) if i != 1)


def _along(row: F64, rank: int) -> F64:
    """A per-channel row, shaped to broadcast against x."""
    return row.reshape((1, -1, *(1,) * (rank - 2))) if rank > 1 else row


def _statistics(x: F64) -> tuple[F64, F64]:
    axes, count = _reduced(x.ndim), max(1, _count(x.shape))
    mean = x.sum(axes, keepdims=True) / count
    variance = np.square(x - mean).sum(axes, keepdims=True) / count
    return mean.reshape(-1), variance.reshape(-1)


def _update(a: BatchNormAttrs, v: Values, count: int) -> dict[str, F64]:
    if count == 0:
        return {role: np.array(v[role]) for role in ("mean", "variance", "factor")}
    unbiased = count / (count - 1) if count > 1 else 1.0
    kept = a.moving_average_fraction
    return {
        "mean": v["mean"] * kept + v["batch_mean"],
        "variance": v["variance"] * kept + unbiased * v["batch_variance"],
        "factor": v["factor"] * kept + 1,
    }


def _unscaled(v: Values, role: str) -> F64:
    """The state's running sum divided by its factor; 0 before the first update."""
    factor = v["factor"][0]
    return np.asarray(v[role] / factor if factor != 0 else v[role] * 0)
