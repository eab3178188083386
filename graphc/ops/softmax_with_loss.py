"""SoftmaxWithLoss: softmax and cross entropy against class labels."""

from __future__ import annotations

from graphc.ir.op import Sig, Trait
from graphc.ir.types import Type
from graphc.numpy_later import np
from graphc.ops._axes import around
from graphc.ops._loss import (
    NO_LOSS_PARAM,
    SCALAR,
    LossParam,
    check_labels,
    class_labels,
    divisor,
    kernel_attrs,
    read_labels,
)
from graphc.ops._softmax import softmax
from graphc.ops.kernel import Kernel
from graphc.ops.spec import F64, Ctx, Grad, OpSpec, Sample, Values
from graphc.records import record

SMALLEST = 2.0**-126  # C's FLT_MIN


@record(frozen=True)
class SoftmaxWithLossAttrs:
    engine: str = "DEFAULT"
    axis: int = 1
    loss_param: LossParam = NO_LOSS_PARAM


class SoftmaxWithLoss(OpSpec):
    """loss = -1/Z sum_o,i log(max(prob[o, label[o,i], i], FLT_MIN)), prob = softmax(x).

    x, prob: (O..., C, I...), classes along `axis`; label: O * I whole numbers below C. Z follows
    loss_param, by default the number of labels not ignored, at least 1. The second top is prob;
    as in Caffe no gradient comes back through it. Raises GC-D003 for a label out of range.
    """

    type, param_field = "SoftmaxWithLoss", "softmax_param"
    extra_fields = ("loss_param",)
    Attrs = SoftmaxWithLossAttrs
    bottoms, tops = ("x", "label"), ("loss", "prob?")
    traits = frozenset({Trait.LOSS})

    @staticmethod
    def infer(a: SoftmaxWithLossAttrs, s: Sig) -> dict[str, Type]:
        x = s.ins["x"]
        axis = x.axis(a.axis, "softmax_param.axis")
        outer, _, inner = around(x.shape, axis)
        check_labels(x.shape, s.ins["label"].shape, outer * inner, batch=axis > 0)
        divisor(a.loss_param, "VALID", 1, 1, 1)
        return {"loss": SCALAR, "prob": x}

    @staticmethod
    def aux(a: SoftmaxWithLossAttrs, s: Sig) -> dict[str, Type]:
        return {} if "prob" in s.tops else {"prob": s.ins["x"]}

    @staticmethod
    def grads(a: SoftmaxWithLossAttrs, s: Sig) -> tuple[Grad, ...]:
        return (Grad("x", ("dloss", "prob", "label"), over="prob"),)

    @staticmethod
    def reference(a: SoftmaxWithLossAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        axis = ctx.sig["x"].axis(a.axis)
        outer, classes, inner = around(v["x"].shape, axis)
        labels = read_labels(v["label"], outer, inner, classes, a.loss_param.ignore_label)
        prob = softmax(v["x"], axis)
        o, i = np.nonzero(labels.valid)
        picked = prob.reshape(outer, classes, inner)[o, labels.target[o, i], i]
        total = -np.log(np.where(picked < SMALLEST, SMALLEST, picked)).sum()
        z = divisor(a.loss_param, "VALID", outer, inner, o.size)
        return {"loss": np.asarray(total / z), "prob": prob}

    @staticmethod
    def vjp(a: SoftmaxWithLossAttrs, part: str, v: Values, ctx: Ctx) -> F64:
        prob = v["prob"]
        outer, classes, inner = rows = around(prob.shape, ctx.sig["x"].axis(a.axis))
        labels = read_labels(v["label"], outer, inner, classes, a.loss_param.ignore_label)
        o, i = np.nonzero(labels.valid)
        dx = np.where(labels.valid[:, None, :], prob.reshape(rows), 0.0)
        dx[o, labels.target[o, i], i] -= 1
        with np.errstate(all="ignore"):
            dx *= v["dloss"] / divisor(a.loss_param, "VALID", outer, inner, o.size)
        return dx.reshape(prob.shape)

    kernels = (
        Kernel("cpu", "forward", "softmax_with_loss", attrs=lambda a, s: _told(a, s)),
        Kernel("cpu", "dx", "softmax_with_loss_gradient", attrs=lambda a, s: _told(a, s)),
    )

    samples = (
        Sample(((4, 5), (4,)), draw={"label": class_labels(5)}),
        Sample(((2, 4, 3, 2), (2, 1, 3, 2)), draw={"label": class_labels(4)}),
        Sample(
            ((3, 4, 2), (3, 4)),
            SoftmaxWithLossAttrs(axis=-1, loss_param=LossParam(normalization="FULL")),
            tops=2,
            draw={"label": class_labels(2)},
        ),
        Sample(
            ((3, 4, 3), (3, 3)),
            SoftmaxWithLossAttrs(loss_param=LossParam(ignore_label=1, normalization="BATCH_SIZE")),
            draw={"label": class_labels(4)},
        ),
        Sample(((0, 5), (0,)), draw={"label": class_labels(5)}),
    )


def _told(a: SoftmaxWithLossAttrs, s: Sig) -> dict[str, int]:
    axis = s["x"].axis(a.axis)
    outer, _, inner = around(s["x"].shape, axis)
    return {"axis": axis, **kernel_attrs(a.loss_param, "VALID", outer, inner)}
