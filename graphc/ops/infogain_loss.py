"""InfogainLoss: cross entropy weighted by a matrix of gains, from scores."""

from __future__ import annotations

from graphc.errors import fail
from graphc.ir.op import Sig, Trait
from graphc.ir.types import Type
from graphc.numpy_later import np
from graphc.ops._axes import around
from graphc.ops._contract import contract
from graphc.ops._loss import (
    NO_LOSS_PARAM,
    SCALAR,
    SMALLEST_PROB,
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


@record(frozen=True)
class InfogainLossAttrs:
    source: str = ""
    axis: int = 1
    loss_param: LossParam = NO_LOSS_PARAM


class InfogainLoss(OpSpec):
    """loss = -1/Z sum_o,i sum_k H[label[o,i], k] log(max(prob[o,k,i], 1e-20)), prob = softmax(x).

    x, prob: (O..., C, I...), classes along `axis`; label: O * I whole numbers below C; H: C x C
    (axes of 1 before), the third bottom or else the BlobProto file `source`. Z follows loss_param,
    by default the number of labels not ignored, at least 1. The second top is prob; as in Caffe
    no gradient comes back through it. Raises GC-D003 for a label out of range, GC-F001 and GC-D002
    for the file.
    """

    type, param_field = "InfogainLoss", "infogain_loss_param"
    extra_fields = ("loss_param",)
    Attrs = InfogainLossAttrs
    bottoms, tops = ("x", "label", "H?"), ("loss", "prob?")
    traits = frozenset({Trait.LOSS})

    @staticmethod
    def infer(a: InfogainLossAttrs, s: Sig) -> dict[str, Type]:
        x = s.ins["x"]
        axis = x.axis(a.axis, "infogain_loss_param.axis")
        outer, classes, inner = around(x.shape, axis)
        check_labels(x.shape, s.ins["label"].shape, outer * inner, batch=axis > 0)
        divisor(a.loss_param, "VALID", 1, 1, 1)
        if classes < 1:
            fail("GC-S002", f"x of shape {x.shape} has no classes along axis {axis}")
        if "H" in s.ins:
            _check_matrix(s.ins["H"].shape, classes, "GC-S003", "H")
        elif not a.source:
            fail(
                "GC-N008",
                "there is no infogain matrix",
                "give a third bottom, or infogain_loss_param.source",
            )
        return {"loss": SCALAR, "prob": x}

    @staticmethod
    def aux(a: InfogainLossAttrs, s: Sig) -> dict[str, Type]:
        x = s.ins["x"]
        classes = x.shape[x.axis(a.axis)]
        matrix = {} if "H" in s.ins else {"H": Type((classes, classes))}
        return matrix if "prob" in s.tops else {"prob": x} | matrix

    @staticmethod
    def grads(a: InfogainLossAttrs, s: Sig) -> tuple[Grad, ...]:
        return (Grad("x", ("dloss", "prob", "label", "H"), over="prob"),)

    @staticmethod
    def macs(a: InfogainLossAttrs, part: str, s: Sig) -> int:
        return s["x"].size if part == "forward" else 0

    @staticmethod
    def reference(a: InfogainLossAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        axis = ctx.sig["x"].axis(a.axis)
        outer, classes, inner = around(v["x"].shape, axis)
        index, valid = read_labels(v["label"], outer, inner, classes, a.loss_param.ignore_label)
        gain = (v["H"] if "H" in v else _read_matrix(a, ctx, classes)).reshape(classes, classes)
        prob = softmax(v["x"], axis)
        log = np.log(np.where(prob < SMALLEST_PROB, SMALLEST_PROB, prob))
        log = np.moveaxis(log.reshape(outer, classes, inner), 1, 2)
        with np.errstate(all="ignore"):
            each = contract("oik,oik->oi", gain[index], log)
            z = divisor(a.loss_param, "VALID", outer, inner, int(valid.sum()))
            loss = -np.where(valid, each, 0.0).sum() / z
        return {"loss": np.asarray(loss), "prob": prob, "H": gain}

    @staticmethod
    def vjp(a: InfogainLossAttrs, part: str, v: Values, ctx: Ctx) -> F64:
        prob = v["prob"]
        outer, classes, inner = rows = around(prob.shape, ctx.sig["x"].axis(a.axis))
        index, valid = read_labels(v["label"], outer, inner, classes, a.loss_param.ignore_label)
        gain = v["H"].reshape(classes, classes)
        z = divisor(a.loss_param, "VALID", outer, inner, int(valid.sum()))
        with np.errstate(all="ignore"):
            whole = gain.sum(1)[index][:, None, :]
            dx = prob.reshape(rows) * whole - np.moveaxis(gain[index], 2, 1)
            dx = np.where(valid[:, None, :], dx, 0.0) * (v["dloss"] / z)
        return dx.reshape(prob.shape)

    kernels = (
        Kernel(
            "cpu",
            "forward",
            "infogain_loss",
            attrs=lambda a, s: _told(a, s),
            when=lambda a, s: "H" in s.ins,  # else it is read from a file
        ),
        Kernel("cpu", "dx", "infogain_loss_gradient", attrs=lambda a, s: _told(a, s)),
    )

    samples = (
        Sample(((4, 5), (4,), (5, 5)), draw={"label": class_labels(5)}),
        Sample(
            ((2, 3, 2, 2), (2, 1, 2, 2), (1, 1, 3, 3)),
            InfogainLossAttrs(loss_param=LossParam(ignore_label=1)),
            tops=2,
            draw={"label": class_labels(3)},
        ),
        Sample(
            ((3, 4, 2), (3, 4), (2, 2)),
            InfogainLossAttrs(axis=-1, loss_param=LossParam(normalization="NONE")),
            draw={"label": class_labels(2)},
        ),
        Sample(((0, 5), (0,), (5, 5)), draw={"label": class_labels(5)}),
    )


def _told(a: InfogainLossAttrs, s: Sig) -> dict[str, int]:
    axis = s["x"].axis(a.axis)
    outer, _, inner = around(s["x"].shape, axis)
    return {"axis": axis, **kernel_attrs(a.loss_param, "VALID", outer, inner)}


def _check_matrix(shape: tuple[int, ...], classes: int, code: str, what: str) -> None:
    """Raise unless `shape` is classes x classes, with nothing but axes of 1 before."""
    if shape[-2:] != (classes, classes) or any(d != 1 for d in shape[:-2]):
        fail(
            code,
            f"{what} has shape {shape}, but x has {classes} classes: needs {classes} x {classes}",
        )


def _read_matrix(a: InfogainLossAttrs, ctx: Ctx, classes: int) -> F64:
    """H from the file `source`."""
    from graphc.data.blob import read_blob

    env = ctx.sig.env
    matrix = read_blob(env.resolve(a.source), env.limits)
    _check_matrix(matrix.shape, classes, "GC-D002", f"the matrix in {a.source!r}")
    return matrix.astype(np.float64)
