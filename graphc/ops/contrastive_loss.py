"""ContrastiveLoss: similar pairs pulled together, others pushed a margin apart."""

from __future__ import annotations

from graphc.errors import fail
from graphc.ir.op import Sig, Trait
from graphc.ir.types import Type
from graphc.numpy_later import np, npt
from graphc.ops._contract import contract
from graphc.ops._loss import SCALAR, check_same, class_labels, mean_over
from graphc.ops.kernel import Kernel
from graphc.ops.spec import F64, Ctx, Grad, OpSpec, Sample, Values, prod
from graphc.records import record


def _far(rng: np.random.Generator, shape: tuple[int, ...]) -> F64:
    return 100 * rng.standard_normal(shape)


@record(frozen=True)
class ContrastiveLossAttrs:
    margin: float = 1.0
    legacy_version: bool = False


def _gradient(part: str, sign: int) -> Kernel:
    return Kernel(
        "cpu",
        part,
        "contrastive_loss_gradient",
        attrs=lambda a, s: {"margin": a.margin, "legacy": a.legacy_version, "sign": sign},
    )


class ContrastiveLoss(OpSpec):
    """loss = 1/(2N) sum_n (d^2 if similar[n] else max(0, margin - d)^2), d = |left[n] - right[n]|.

    left, right: (N, C[, 1, 1]); similar: N numbers, true where their whole part is not 0.
    The old form (legacy_version) has max(0, margin - d^2). The gradient divides by d + 1e-4 in
    place of d, as Caffe's does. NaN over an empty batch.
    """

    type, param_field = "ContrastiveLoss", "contrastive_loss_param"
    Attrs = ContrastiveLossAttrs
    bottoms, tops = ("left", "right", "similar"), ("loss",)
    traits = frozenset({Trait.LOSS})

    @staticmethod
    def infer(a: ContrastiveLossAttrs, s: Sig) -> dict[str, Type]:
        _check(s.ins["left"].shape, s.ins["right"].shape, s.ins["similar"].shape)
        return {"loss": SCALAR}

    @staticmethod
    def aux(a: ContrastiveLossAttrs, s: Sig) -> dict[str, Type]:
        return {"diff": s.ins["left"]}

    @staticmethod
    def grads(a: ContrastiveLossAttrs, s: Sig) -> tuple[Grad, ...]:
        reads = ("dloss", "diff", "similar")
        return (Grad("left", reads, over="diff"), Grad("right", reads, over="diff"))

    @staticmethod
    def macs(a: ContrastiveLossAttrs, part: str, s: Sig) -> int:
        return s["left"].size

    @staticmethod
    def reference(a: ContrastiveLossAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        left = v["left"]
        _check(left.shape, v["right"].shape, v["similar"].shape)
        with np.errstate(all="ignore"):
            diff = left - v["right"].reshape(left.shape)
            square = _square(diff)
            far = square if a.legacy_version else np.sqrt(square)
            apart = np.maximum(a.margin - far, 0) ** (1 if a.legacy_version else 2)
            each = np.where(_similar(v), square, apart)
            return {"loss": mean_over(each.sum(), 2 * left.shape[0]), "diff": diff}

    @staticmethod
    def vjp(a: ContrastiveLossAttrs, part: str, v: Values, ctx: Ctx) -> F64:
        diff = v["diff"]
        sign = 1 if part == "dleft" else -1
        with np.errstate(all="ignore"):
            square = _square(diff)
            d = np.sqrt(square)
            gap = a.margin - (square if a.legacy_version else d)
            push = np.ones_like(gap) if a.legacy_version else gap / (d + 1e-4)
            factor = np.where(_similar(v), 1.0, np.where(gap > 0, -push, 0.0))
            alpha = sign * v["dloss"] / diff.shape[0]
            # a row without influence is 0, even where its difference is not finite
            rows = factor.reshape(-1, *(1,) * (diff.ndim - 1))
            grad = np.asarray(np.where(rows == 0, 0.0, alpha * rows * diff))
        shape = ctx.sig[part[1:]].shape
        return grad.reshape(diff.shape[0], *shape[1:])

    kernels = (
        Kernel(
            "cpu",
            "forward",
            "contrastive_loss",
            attrs=lambda a, s: {"margin": a.margin, "legacy": a.legacy_version},
        ),
        *(_gradient(part, sign) for part, sign in (("dleft", 1), ("dright", -1))),
    )

    samples = (
        # distances of some hundreds, so that the 1e-4 of Caffe's gradient is lost in rounding
        Sample(
            ((6, 4), (6, 4), (6,)),
            ContrastiveLossAttrs(margin=300.0),
            draw={
                "left": _far,
                "right": _far,
                "similar": class_labels(2),
            },
        ),
        Sample(
            ((6, 4, 1, 1), (6, 4), (6, 1)),
            ContrastiveLossAttrs(margin=6.0, legacy_version=True),
            draw={"similar": class_labels(2)},
        ),
        Sample(((0, 4), (0, 4), (0,))),
    )


def _check(left: tuple[int, ...], right: tuple[int, ...], similar: tuple[int, ...]) -> None:
    """Raise GC-S003 where the batches or channels differ, GC-S002 for spatial extents."""
    check_same("left", left, "right", right)
    for role, shape in (("left", left), ("right", right)):
        if prod(shape[2:]) != 1:
            fail("GC-S002", f"{role} has shape {shape}, but only N x C (x 1 x 1) fits")
    if not similar or similar[0] != left[0] or prod(similar) != left[0]:
        fail(
            "GC-S003",
            f"similar has shape {similar}, but left of shape {left} needs {left[0]} of them",
        )


def _similar(v: Values) -> npt.NDArray[np.bool_]:
    return np.asarray(np.trunc(v["similar"]).reshape(-1) != 0)


def _square(diff: F64) -> F64:
    """Squared length of each row."""
    rows = diff.reshape(diff.shape[0], prod(diff.shape[1:]))
    return contract("nc,nc->n", rows, rows)
