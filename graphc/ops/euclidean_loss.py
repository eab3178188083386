"""EuclideanLoss: half the mean squared distance."""

from __future__ import annotations

from graphc.ir.op import Sig, Trait
from graphc.ir.types import Type
from graphc.numpy_later import np
from graphc.ops._contract import contract
from graphc.ops._loss import SCALAR, check_same, mean_over
from graphc.ops.kernel import Kernel
from graphc.ops.spec import F64, Ctx, Grad, OpSpec, Sample, Values


class EuclideanLoss(OpSpec):
    """loss = 1/(2N) sum_n,j (x[n,j] - target[n,j])^2.

    x, target: (N, ...) with equally many elements per sample; both get a gradient. NaN over an
    empty batch, as in Caffe.
    """

    type = "EuclideanLoss"
    bottoms, tops = ("x", "target"), ("loss",)
    traits = frozenset({Trait.LOSS})

    @staticmethod
    def infer(a: object, s: Sig) -> dict[str, Type]:
        check_same("x", s.ins["x"].shape, "target", s.ins["target"].shape)
        return {"loss": SCALAR}

    @staticmethod
    def aux(a: object, s: Sig) -> dict[str, Type]:
        return {"diff": s.ins["x"]}

    @staticmethod
    def grads(a: object, s: Sig) -> tuple[Grad, ...]:
        reads = ("dloss", "diff")
        return (Grad("x", reads, over="diff"), Grad("target", reads, over="diff"))

    @staticmethod
    def macs(a: object, part: str, s: Sig) -> int:
        return s["x"].size if part == "forward" else 0

    @staticmethod
    def reference(a: object, v: Values, ctx: Ctx) -> dict[str, F64]:
        x = v["x"]
        check_same("x", x.shape, "target", v["target"].shape)
        with np.errstate(all="ignore"):
            diff = x - v["target"].reshape(x.shape)
            flat = diff.reshape(-1)
            return {"loss": mean_over(contract("j,j->", flat, flat), 2 * x.shape[0]), "diff": diff}

    @staticmethod
    def vjp(a: object, part: str, v: Values, ctx: Ctx) -> F64:
        n = v["diff"].shape[0]
        with np.errstate(all="ignore"):
            if part == "dx":
                return np.asarray(v["diff"] * (v["dloss"] / n))
            target = (n, *ctx.sig["target"].shape[1:])
            return np.asarray(v["diff"] * (-v["dloss"] / n)).reshape(target)

    kernels = (
        Kernel("cpu", "forward", "euclidean_loss"),
        Kernel("cpu", "dx", "euclidean_loss_gradient", attrs=lambda a, s: {"sign": 1}),
        Kernel("cpu", "dtarget", "euclidean_loss_gradient", attrs=lambda a, s: {"sign": -1}),
    )

    samples = (
        Sample(((4, 5), (4, 5))),
        Sample(((3, 2, 2), (3, 4))),
        Sample(((0, 5), (0, 5))),
    )
