"""Accuracy: how often the label is among the best scores."""

from __future__ import annotations

from graphc.errors import fail
from graphc.ir.op import Sig
from graphc.ir.types import Type
from graphc.numpy_later import np
from graphc.ops._axes import around
from graphc.ops._loss import SCALAR, check_labels, class_labels, read_labels
from graphc.ops.kernel import Kernel
from graphc.ops.spec import F64, Ctx, OpSpec, Sample, Values
from graphc.records import record


@record(frozen=True)
class AccuracyAttrs:
    top_k: int = 1
    axis: int = 1
    ignore_label: int | None = None


class Accuracy(OpSpec):
    """accuracy = share of positions (o,i) where under top_k others have x >= x[o, label[o,i], i].

    x: (O..., C, I...), classes along `axis`; label: O * I whole numbers below C; per_class: (C,),
    the same among the positions of each class, 0 where there are none. A tie counts against the
    label, a NaN score of the label for it, as in Caffe. No gradient. Raises GC-D003 for a label
    out of range.
    """

    type, param_field = "Accuracy", "accuracy_param"
    Attrs = AccuracyAttrs
    bottoms, tops = ("x", "label"), ("accuracy", "per_class?")

    @staticmethod
    def infer(a: AccuracyAttrs, s: Sig) -> dict[str, Type]:
        x = s.ins["x"]
        axis = x.axis(a.axis, "accuracy_param.axis")
        outer, classes, inner = around(x.shape, axis)
        check_labels(x.shape, s.ins["label"].shape, outer * inner, batch=axis > 0)
        if not 1 <= a.top_k <= classes:
            fail("GC-N008", f"accuracy_param.top_k is {a.top_k}, but x has {classes} classes")
        return {"accuracy": SCALAR, "per_class": Type((classes,))}

    @staticmethod
    def reference(a: AccuracyAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        outer, classes, inner = around(v["x"].shape, ctx.sig["x"].axis(a.axis))
        index, valid = read_labels(v["label"], outer, inner, classes, a.ignore_label)
        x = v["x"].reshape(outer, classes, inner)
        with np.errstate(invalid="ignore"):
            own = np.take_along_axis(x, index[:, None, :], axis=1)
            better = (x >= own).sum(1) - 1
        right = valid & (better < a.top_k)
        seen = np.bincount(index[valid], minlength=classes)
        hits = np.bincount(index[right], minlength=classes)
        return {
            "accuracy": np.asarray(right.sum() / max(1, valid.sum()), np.float64),
            "per_class": hits / np.maximum(1, seen),
        }

    kernels = (Kernel("cpu", "forward", "accuracy", attrs=lambda a, s: _told(a, s)),)

    samples = (
        Sample(((8, 4), (8,)), draw={"label": class_labels(4)}),
        Sample(((8, 4), (8, 1)), AccuracyAttrs(top_k=2), tops=2, draw={"label": class_labels(4)}),
        Sample(
            ((2, 3, 4), (2, 3)),
            AccuracyAttrs(axis=-1, ignore_label=1),
            draw={"label": class_labels(4)},
        ),
        Sample(((0, 4), (0,)), tops=2, draw={"label": class_labels(4)}),
    )


def _told(a: AccuracyAttrs, s: Sig) -> dict[str, int]:
    ignored = {} if a.ignore_label is None else {"ignore_label": a.ignore_label}
    return {"axis": s["x"].axis(a.axis), "top_k": a.top_k, **ignored}
