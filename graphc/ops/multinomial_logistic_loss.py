"""MultinomialLogisticLoss: cross entropy of probabilities against class labels."""

from __future__ import annotations

from graphc.ir.op import Sig, Trait
from graphc.ir.types import Type
from graphc.numpy_later import np
from graphc.ops._loss import (
    SCALAR,
    SMALLEST_PROB,
    check_labels,
    class_labels,
    mean_over,
    read_labels,
)
from graphc.ops.kernel import Kernel
from graphc.ops.spec import F64, Ctx, Grad, OpSpec, Sample, Values, prod


class MultinomialLogisticLoss(OpSpec):
    """loss = -1/N sum_n log(max(x[n, label[n]], 1e-20)).

    x: (N, K...), probabilities, all axes but the first count as classes; label: N whole numbers
    below K. NaN over an empty batch, as in Caffe. Raises GC-D003 for a label out of range.
    """

    type = "MultinomialLogisticLoss"
    bottoms, tops = ("x", "label"), ("loss",)
    traits = frozenset({Trait.LOSS})

    @staticmethod
    def infer(a: object, s: Sig) -> dict[str, Type]:
        x = s.ins["x"]
        x.axis(0)
        check_labels(x.shape, s.ins["label"].shape, x.shape[0])
        return {"loss": SCALAR}

    @staticmethod
    def aux(a: object, s: Sig) -> dict[str, Type]:
        return {"picked": Type(s.ins["x"].shape[:1])}

    @staticmethod
    def grads(a: object, s: Sig) -> tuple[Grad, ...]:
        return (Grad("x", ("dloss", "picked", "label")),)

    @staticmethod
    def reference(a: object, v: Values, ctx: Ctx) -> dict[str, F64]:
        n, k = v["x"].shape[0], prod(v["x"].shape[1:])
        index = read_labels(v["label"], n, 1, k).target[:, 0]
        picked = v["x"].reshape(n, k)[np.arange(n), index]
        picked = np.where(picked < SMALLEST_PROB, SMALLEST_PROB, picked)
        return {"loss": mean_over(-np.log(picked).sum(), n), "picked": picked}

    @staticmethod
    def vjp(a: object, part: str, v: Values, ctx: Ctx) -> F64:
        n, shape = v["picked"].shape[0], ctx.sig["x"].shape
        index = read_labels(v["label"], n, 1, prod(shape[1:])).target[:, 0]
        dx = np.zeros((n, prod(shape[1:])))
        with np.errstate(all="ignore"):
            dx[np.arange(n), index] = -v["dloss"] / n / v["picked"]
        return dx.reshape(n, *shape[1:])

    kernels = (
        Kernel("cpu", "forward", "multinomial_logistic_loss"),
        Kernel("cpu", "dx", "multinomial_logistic_loss_gradient"),
    )

    samples = (
        Sample(
            ((4, 5), (4,)),
            draw={"x": lambda rng, shape: rng.uniform(0.1, 1, shape), "label": class_labels(5)},
        ),
        Sample(
            ((3, 2, 2), (3, 1)),
            draw={"x": lambda rng, shape: rng.uniform(0.1, 1, shape), "label": class_labels(4)},
        ),
        Sample(((0, 5), (0,)), draw={"label": class_labels(5)}),
    )
