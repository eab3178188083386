"""ClipGradients: what all gradients are multiplied by, so that together they are not too long."""

from __future__ import annotations

import math

from graphc.ir.op import Sig
from graphc.numpy_later import np
from graphc.ops.kernel import Kernel
from graphc.ops.spec import F64, Ctx, Forward, Values
from graphc.ops.update.base import SolverOp
from graphc.ops.update.rule import FACTOR
from graphc.records import record


@record(frozen=True)
class ClipGradientsAttrs:
    """`longest`: clip_gradients of the SolverParameter."""

    longest: float


class ClipGradients(SolverOp):
    """factor = longest / norm if norm > longest, else 1; norm^2 = the sum of all squares.

    "dw0", "dw1", ...: all gradients there are, of any shapes; top: "factor", one number. Caffe,
    SGDSolver::ClipGradients: gradients are those of the loss alone, summed over iter_size passes.
    """

    type = "ClipGradients"
    Attrs = ClipGradientsAttrs
    bottoms, tops = ("dw*",), (FACTOR,)

    @staticmethod
    def forwards(a: ClipGradientsAttrs, s: Sig) -> tuple[Forward, ...]:
        return (Forward("update", reads=(*s.ins, *s.params), writes=(FACTOR,)),)

    @staticmethod
    def reference(a: ClipGradientsAttrs, v: Values, ctx: Ctx) -> dict[str, F64]:
        with np.errstate(all="ignore"):
            norm = math.sqrt(sum(float((each * each).sum()) for each in v.values()))
        return {FACTOR: np.asarray(a.longest / norm if norm > a.longest else 1.0)}

    kernels = (Kernel("cpu", "update", "clip_factor", attrs=lambda a, s: {"longest": a.longest}),)


__all__ = ["ClipGradients", "ClipGradientsAttrs"]
