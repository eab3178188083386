"""HingeLoss: one-against-all margins of 1."""

from __future__ import annotations

from graphc.errors import fail
from graphc.ir.op import Sig, Trait
from graphc.ir.types import Type
from graphc.numpy_later import np
from graphc.ops._contract import contract
from graphc.ops._loss import SCALAR, check_labels, class_labels, mean_over, read_labels
from graphc.ops.kernel import Kernel
from graphc.ops.spec import F64, Ctx, Grad, OpSpec, Sample, Values, prod
from graphc.records import record


@record(frozen=True)
class HingeLossAttrs:
    norm: str = "L1"


class HingeLoss(OpSpec):
    """loss = 1/N sum_n,k max(0, 1 - t[n,k] x[n,k])^p, t = 1 at k = label[n] and -1 elsewhere.

    x: (N, K...), all axes but the first count as classes; label: N whole numbers below K; p is 1
    (norm L1) or 2 (L2). As in Caffe a NaN score counts as no loss, and an empty batch gives NaN.
    Raises GC-D003 for a label out of range.
    """

    type, param_field = "HingeLoss", "hinge_loss_param"
    Attrs = HingeLossAttrs
    bottoms, tops = ("x", "label"), ("loss",)
    traits = frozenset({Trait.LOSS})

    @staticmethod
    def infer(a: HingeLossAttrs, s: Sig) -> dict[str, Type]:
        x = s.ins["x"]
        if a.norm not in ("L1", "L2"):
            fail("GC-N008", f"hinge_loss_param.norm is {a.norm!r}", "L1 or L2")
        x.axis(0)
        check_labels(x.shape, s.ins["label"].shape, x.shape[0])
        return {"loss": SCALAR}

    @staticmethod
    def grads(a: HingeLossAttrs, s: Sig) -> tuple[Grad, ...]:
        return (Grad("x", ("dloss", "x", "label"), over="x"),)

    @staticmethod
    def macs(a: HingeLossAttrs, part: str, s: Sig) -> int:
        return s["x"].size if part == "forward" and a.norm == "L2" else 0

    @staticmethod
    def reference(a: HingeLossAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        slack = _slack(v["x"], _signs(v))
        with np.errstate(all="ignore"):
            total = contract("nk,nk->", slack, slack) if a.norm == "L2" else slack.sum()
        return {"loss": mean_over(total, slack.shape[0])}

    @staticmethod
    def vjp(a: HingeLossAttrs, part: str, v: Values, ctx: Ctx) -> F64:
        signs = _signs(v)
        slack = _slack(v["x"], signs)
        with np.errstate(all="ignore"):
            slope = 2 * slack if a.norm == "L2" else np.sign(slack)
            dx = -signs * slope * (v["dloss"] / slack.shape[0])
        return np.asarray(dx).reshape(v["x"].shape)

    kernels = (
        *(
            Kernel("cpu", part, symbol, attrs=lambda a, s: {"squared": a.norm == "L2"})
            for part, symbol in (("forward", "hinge_loss"), ("dx", "hinge_loss_gradient"))
        ),
    )

    samples = (
        Sample(((4, 5), (4,)), draw={"label": class_labels(5)}),
        Sample(((3, 2, 2), (3, 1)), HingeLossAttrs(norm="L2"), draw={"label": class_labels(4)}),
        Sample(((0, 5), (0,)), draw={"label": class_labels(5)}),
    )


def _signs(v: Values) -> F64:
    """t[n,k]: 1 at the label, -1 elsewhere."""
    n, k = v["x"].shape[0], prod(v["x"].shape[1:])
    signs = np.full((n, k), -1.0)
    signs[np.arange(n), read_labels(v["label"], n, 1, k).target[:, 0]] = 1
    return signs


def _slack(x: F64, signs: F64) -> F64:
    """max(0, 1 - t x), 0 for NaN."""
    with np.errstate(all="ignore"):
        margin = 1 - signs * x.reshape(signs.shape)
        return np.where(margin > 0, margin, 0.0)
