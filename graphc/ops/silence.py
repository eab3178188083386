"""Silence: blobs taken and not used."""

from __future__ import annotations

from graphc.ir.op import Sig
from graphc.ir.types import Type
from graphc.numpy_later import np
from graphc.ops._expr_rows import Body, gradient_rows
from graphc.ops.kernel import Kernel
from graphc.ops.scalar import Const
from graphc.ops.spec import F64, Ctx, Forward, Grad, OpSpec, Sample, Values
from graphc.ops.ties import Algebra, Free


class Silence(OpSpec):
    """No tops: takes blobs, so that they are no outputs of the net; their gradients are 0."""

    type = "Silence"
    bottoms, tops = ("x*",), ()

    @staticmethod
    def infer(a: object, s: Sig) -> dict[str, Type]:
        return {}

    @staticmethod
    def forwards(a: object, s: Sig) -> tuple[Forward, ...]:
        return (Forward(reads=(), writes=()),)

    @staticmethod
    def grads(a: object, s: Sig) -> tuple[Grad, ...]:
        return tuple(Grad(role) for role in s.ins)

    @staticmethod
    def ties(a: object, s: Sig) -> Algebra:
        return tuple(Free(f"{role}.{i}") for role, x in s.ins.items() for i in range(1, x.rank))

    @staticmethod
    def reference(a: object, v: Values, ctx: Ctx) -> dict[str, F64]:
        return {}

    @staticmethod
    def vjp(a: object, part: str, v: Values, ctx: Ctx) -> F64:
        return np.zeros(ctx.sig[part[1:]].shape)

    @classmethod
    def kernels_of(cls, a: object, s: Sig) -> tuple[Kernel, ...]:
        zeros = {role: Body({role: Const(0.0)}, (), (role,), {}, s) for role in s.ins}
        parts = [(part, zeros[part.out]) for part in cls.grads(a, s)]
        return tuple(row for part, body in parts for row in gradient_rows(part, body))

    samples = (
        Sample(((2, 3),), tops=0),
        Sample(((2, 3), (4,)), tops=0),
        Sample(((0, 3),), tops=0),
    )
