"""Eltwise: sum, product or maximum of blobs of one shape."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

from graphc.errors import fail
from graphc.ir.op import Sig, Trait
from graphc.ir.types import Type
from graphc.ops.elementwise import Elementwise
from graphc.ops.scalar import Const, Expr, Var, equal, maximum, where
from graphc.ops.spec import Sample
from graphc.records import record


@record(frozen=True)
class EltwiseAttrs:
    operation: str = "SUM"
    coeff: tuple[float, ...] = ()
    stable_prod_grad: bool = True


class Eltwise(Elementwise):
    """y = sum_i coeff[i] * x_i, or prod_i x_i, or max_i x_i.

    x0, x1, ..., y: one shape. A coefficient 0 leaves its bottom out. The gradient of a product is
    dy times the other factors, or, unless `stable_prod_grad`, dy * y / x_i. A maximum's goes to
    one winner, whose index is in `mask` (uint8 up to 256 bottoms, else int32): of equal x0 and x1
    x1 wins, a later bottom only if it is greater than all before.
    """

    type, param_field = "Eltwise", "eltwise_param"
    Attrs = EltwiseAttrs
    bottoms = ("x*",)
    traits = Elementwise.traits | {Trait.LINEAR}

    @classmethod
    def traits_of(cls, a: EltwiseAttrs, s: Sig) -> frozenset[Trait]:
        curved = set() if a.operation == "SUM" else {Trait.LINEAR}
        return super().traits_of(a, s) - curved

    @classmethod
    def infer(cls, a: EltwiseAttrs, s: Sig) -> dict[str, Type]:
        count = len(s.ins)
        if count < 2:
            fail("GC-N004", f"takes at least 2 bottoms, but {count} is given")
        if a.coeff and len(a.coeff) != count:
            fail("GC-N008", f"{len(a.coeff)} coeff for {count} bottoms", "give one each, or none")
        if a.coeff and a.operation == "PROD":
            fail(
                "GC-N008", "coeff is for operation SUM, not for PROD", "scale y with Power instead"
            )
        for role, t in s.ins.items():
            if t.shape != s.ins["x0"].shape:
                fail(
                    "GC-S003",
                    f"bottoms differ: x0 has shape {s.ins['x0'].shape}, {role} has {t.shape}",
                    "a stride, padding or number of outputs on one of the branches differs",
                )
        return super().infer(a, s)

    @staticmethod
    def aux(a: EltwiseAttrs, s: Sig) -> dict[str, Type]:
        if a.operation != "MAX":
            return {}
        return {"mask": Type(s.ins["x0"].shape, "u8" if len(s.ins) <= 256 else "i32")}

    @classmethod
    def outputs(cls, a: EltwiseAttrs, s: Sig) -> dict[str, Expr]:
        xs: list[Expr] = [Var(role) for role in s.ins]
        if a.operation == "SUM":
            terms = [_times(c, x) for c, x in zip(_coeff(a, s), xs, strict=True) if c != 0]
            return {"y": reduce(_add, terms) if terms else Const(0.0)}
        if a.operation == "PROD":
            return {"y": reduce(_multiply, xs)}
        if a.operation == "MAX":
            # x1 first: in a draw with x0 the second wins, and a NaN there stays to the end
            return {"y": reduce(maximum, [xs[1], xs[0], *xs[2:]]), "mask": _winner(xs)}
        fail("GC-N008", f"operation {a.operation!r} is not one of SUM, PROD, MAX")

    @classmethod
    def gradients(cls, a: EltwiseAttrs, s: Sig) -> dict[str, Expr]:
        dy, y = Var("dy"), Var("y")
        if a.operation == "SUM":
            return {
                role: _times(c, dy) if c != 0 else Const(0.0)
                for role, c in zip(s.ins, _coeff(a, s), strict=True)
            }
        if a.operation == "MAX":
            return {role: where(equal(Var("mask"), i), dy, 0) for i, role in enumerate(s.ins)}
        if not a.stable_prod_grad:
            return {role: dy * (y / Var(role)) for role in s.ins}
        others = _products_of_others([Var(role) for role in s.ins])
        return {role: dy * other for role, other in zip(s.ins, others, strict=True)}

    samples = (
        Sample(((2, 3, 4), (2, 3, 4))),
        Sample(((2, 3),) * 3, EltwiseAttrs(coeff=(1.0, -0.5, 0.0))),
        Sample(((2, 3),) * 2, EltwiseAttrs(coeff=(0.0, 0.0))),
        Sample(((2, 3),) * 3, EltwiseAttrs(operation="PROD")),
        Sample(((2, 3),) * 3, EltwiseAttrs(operation="PROD", stable_prod_grad=False)),
        Sample(((2, 3, 4),) * 2, EltwiseAttrs(operation="MAX")),
        Sample(((3, 8),) * 4, EltwiseAttrs(operation="MAX")),
        Sample(((0, 3),) * 2, EltwiseAttrs(operation="MAX")),
    )


def _coeff(a: EltwiseAttrs, s: Sig) -> tuple[float, ...]:
    return a.coeff or (1.0,) * len(s.ins)


def _times(factor: float, expr: Expr) -> Expr:
    return expr if factor == 1 else factor * expr


def _add(left: Expr, right: Expr) -> Expr:
    return left + right


def _multiply(left: Expr, right: Expr) -> Expr:
    return left * right


def _winner(xs: list[Expr]) -> Expr:
    """Index of the winner: the first bottom equal to y, x1 before x0; if y is NaN, it is x1."""
    index: Expr = Const(1.0)
    for i in (*range(len(xs) - 1, 1, -1), 0):
        index = where(equal(xs[i], Var("y")), i, index)
    return where(equal(xs[1], Var("y")), 1, index)


def _products_of_others(xs: list[Expr]) -> list[Expr]:
    """For each factor the product of all others, from running products of both sides."""
    before = _running(xs[:-1], _multiply)
    after = _running(xs[:0:-1], lambda right, left: left * right)[::-1]
    middle = [left * right for left, right in zip(before, after[1:], strict=False)]
    return [after[0], *middle, before[-1]]


def _running(xs: list[Expr], join: Callable[[Expr, Expr], Expr]) -> list[Expr]:
    """x0, join(x0, x1), join(join(x0, x1), x2), ..."""
    found = xs[:1]
    for x in xs[1:]:
        found.append(join(found[-1], x))
    return found
