"""MVN: normalise every sample, or every channel of it, by its own mean and variance."""

from __future__ import annotations

from graphc.ir.op import Sig, Trait
from graphc.ir.types import Type
from graphc.numpy_later import np
from graphc.ops.kernel import Kernel
from graphc.ops.spec import F64, Ctx, Forward, Grad, Limitation, OpSpec, Sample, Values, prod
from graphc.ops.ties import Algebra, Tie, same
from graphc.records import record


@record(frozen=True)
class MVNAttrs:
    normalize_variance: bool = True
    across_channels: bool = False
    eps: float = 1e-9


class MVN(OpSpec):
    """y[g,i] = (x[g,i] - mean[g]) / (sqrt(variance[g]) + eps); eps is outside the root.

    x, y: (N, C, ...); a group g is one channel of one sample, or with `across_channels` one
    sample. Without `normalize_variance` only the mean is taken off. The aux value `deviation`
    holds the denominators: (N, C) or (N,).
    """

    type, param_field = "MVN", "mvn_param"
    Attrs = MVNAttrs
    traits = frozenset({Trait.BATCH_SEPARABLE})

    @classmethod
    def traits_of(cls, a: MVNAttrs, s: Sig) -> frozenset[Trait]:
        return cls.traits if s.ins["x"].rank > 0 else frozenset()

    @staticmethod
    def infer(a: MVNAttrs, s: Sig) -> dict[str, Type]:
        return {"y": s.ins["x"]}

    @staticmethod
    def aux(a: MVNAttrs, s: Sig) -> dict[str, Type]:
        shape = s.ins["x"].shape
        return {"deviation": Type(shape[: _group_rank(a)])} if a.normalize_variance else {}

    @staticmethod
    def forwards(a: MVNAttrs, s: Sig) -> tuple[Forward, ...]:
        return (Forward(over=(("y", "x"),)),)

    @staticmethod
    def grads(a: MVNAttrs, s: Sig) -> tuple[Grad, ...]:
        reads = ("dy", "y", "deviation") if a.normalize_variance else ("dy",)
        return (Grad("x", reads, over="dy"),)

    @staticmethod
    def ties(a: MVNAttrs, s: Sig) -> Algebra:
        if a.across_channels or s.ins["x"].rank < 2:
            return ()
        rows: Algebra = (Tie("x.1", "deviation.1"),) if a.normalize_variance else ()
        return (*same("x", "y", 1), *rows)

    @staticmethod
    def reference(a: MVNAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        x = v["x"]
        with np.errstate(all="ignore"):
            centred = x - _mean(x, a)
            if not a.normalize_variance:
                return {"y": centred}
            deviation = np.sqrt(_mean(np.square(centred), a)) + a.eps
            shape = x.shape[: _group_rank(a)]
            return {"y": centred / deviation, "deviation": deviation.reshape(shape)}

    @staticmethod
    def vjp(a: MVNAttrs, part: str, v: Values, ctx: Ctx) -> F64:
        dy = v["dy"]
        with np.errstate(all="ignore"):
            centred = dy - _mean(dy, a)
            if not a.normalize_variance:
                return centred
            y, rows = v["y"], v["deviation"]
            deviation = rows.reshape(rows.shape + (1,) * (dy.ndim - rows.ndim))
            return np.asarray((centred - y * _mean(dy * y, a)) / deviation)

    kernels = (
        Kernel("cpu", "forward", "mvn", attrs=lambda a, s: _told(a, s)),
        Kernel("cpu", "dx", "mvn_gradient", attrs=lambda a, s: _told(a, s)),
    )

    samples = (
        Sample(((2, 3, 4),)),
        Sample(((2, 3, 2, 2),), MVNAttrs(across_channels=True)),
        Sample(((2, 3, 2, 2),), MVNAttrs(normalize_variance=False)),
        Sample(((2, 6),), MVNAttrs(across_channels=True, normalize_variance=False)),
        Sample(((0, 3, 4),)),
    )
    limitations = (
        Limitation(
            "as in Caffe the gradient leaves out a factor 1 + eps / sqrt(variance), "
            "which matters only for a large eps"
        ),
    )


def _told(a: MVNAttrs, s: Sig) -> dict[str, int | float]:
    groups = prod(s["x"].shape[: _group_rank(a)])
    return {"groups": groups, "eps": a.eps, "variance": a.normalize_variance}


def _group_rank(a: MVNAttrs) -> int:
    """How many leading axes tell groups apart."""
    return 1 if a.across_channels else 2


def _mean(x: F64, a: MVNAttrs) -> F64:
    """Mean over each group, its axes kept with extent 1."""
    axes = tuple(range(_group_rank(a), x.ndim))
    groups = max(1, int(np.prod(x.shape[: _group_rank(a)])))
    return np.asarray(x.sum(axes, keepdims=True) / max(1, x.size // groups))
