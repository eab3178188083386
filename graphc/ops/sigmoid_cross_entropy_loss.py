"""SigmoidCrossEntropyLoss: independent yes-or-no targets, from scores."""

from __future__ import annotations

from typing import Any

from graphc.ir.op import Sig, Trait
from graphc.ir.types import Type
from graphc.numpy_later import np, npt
from graphc.ops._loss import (
    NO_LOSS_PARAM,
    SCALAR,
    LossParam,
    check_same,
    divisor,
    kernel_attrs,
)
from graphc.ops.kernel import Kernel
from graphc.ops.spec import F64, Ctx, Grad, OpSpec, Sample, Values, prod
from graphc.records import record


@record(frozen=True)
class SigmoidCrossEntropyLossAttrs:
    loss_param: LossParam = NO_LOSS_PARAM


class SigmoidCrossEntropyLoss(OpSpec):
    """loss = -1/Z sum_j label[j] log prob[j] + (1 - label[j]) log(1 - prob[j]), prob = sigmoid(x).

    x, label: (N, ...) of equal counts; label in [0, 1]. Z follows loss_param, by default N, at
    least 1. A target whose whole part is `ignore_label` does not count.
    """

    type = "SigmoidCrossEntropyLoss"
    extra_fields = ("loss_param",)
    Attrs = SigmoidCrossEntropyLossAttrs
    bottoms, tops = ("x", "label"), ("loss",)
    traits = frozenset({Trait.LOSS})

    @staticmethod
    def infer(a: SigmoidCrossEntropyLossAttrs, s: Sig) -> dict[str, Type]:
        check_same("x", s.ins["x"].shape, "label", s.ins["label"].shape)
        divisor(a.loss_param, "BATCH_SIZE", 1, 1, 1)
        return {"loss": SCALAR}

    @staticmethod
    def aux(a: SigmoidCrossEntropyLossAttrs, s: Sig) -> dict[str, Type]:
        return {"prob": s.ins["x"]}

    @staticmethod
    def grads(a: SigmoidCrossEntropyLossAttrs, s: Sig) -> tuple[Grad, ...]:
        return (Grad("x", ("dloss", "prob", "label"), over="prob"),)

    @staticmethod
    def reference(a: SigmoidCrossEntropyLossAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        x = v["x"]
        check_same("x", x.shape, "label", v["label"].shape)
        label, valid, z = _targets(a.loss_param, v["label"], x.shape)
        with np.errstate(all="ignore"):
            up = x >= 0
            each = x * (label - up) - np.log1p(np.exp(x - 2 * x * up))
            loss = -np.where(valid, each, 0.0).sum() / z
            return {"loss": np.asarray(loss), "prob": 0.5 * np.tanh(0.5 * x) + 0.5}

    @staticmethod
    def vjp(a: SigmoidCrossEntropyLossAttrs, part: str, v: Values, ctx: Ctx) -> F64:
        label, valid, z = _targets(a.loss_param, v["label"], v["prob"].shape)
        with np.errstate(all="ignore"):
            return np.where(valid, v["prob"] - label, 0.0) * (v["dloss"] / z)

    kernels = (
        Kernel("cpu", "forward", "sigmoid_cross_entropy_loss", attrs=lambda a, s: _told(a, s)),
        Kernel("cpu", "dx", "sigmoid_cross_entropy_loss_gradient", attrs=lambda a, s: _told(a, s)),
    )

    samples = (
        Sample(((4, 5), (4, 5)), draw={"label": lambda rng, shape: rng.random(shape)}),
        Sample(
            ((3, 2, 2), (3, 4)),
            SigmoidCrossEntropyLossAttrs(LossParam(normalize=True)),
            draw={"label": lambda rng, shape: rng.random(shape)},
        ),
        Sample(
            ((4, 3), (4, 3)),
            SigmoidCrossEntropyLossAttrs(LossParam(ignore_label=-1, normalization="VALID")),
            draw={"label": lambda rng, shape: rng.integers(-1, 2, shape).astype(np.float64)},
        ),
        Sample(((0, 5), (0, 5))),
    )


def _told(a: SigmoidCrossEntropyLossAttrs, s: Sig) -> dict[str, int]:
    shape = s["x"].shape
    return kernel_attrs(a.loss_param, "BATCH_SIZE", shape[0], prod(shape[1:]))


def _targets(p: LossParam, label: F64, shape: tuple[int, ...]) -> tuple[F64, npt.NDArray[Any], int]:
    """Targets in the shape of x, which of them count, and what to divide by."""
    label = label.reshape(shape)
    with np.errstate(invalid="ignore"):
        keep = np.ones(shape, np.bool_)
        valid = keep if p.ignore_label is None else np.trunc(label) != p.ignore_label
    z = divisor(p, "BATCH_SIZE", shape[0], prod(shape[1:]), int(valid.sum()))
    return label, valid, z
