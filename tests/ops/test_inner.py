"""The generated tests on inner roles: one right declaration, and wrong ones that are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from graphc.check import properties as checks
from graphc.check.case import Case
from graphc.ir.op import Sig
from graphc.ir.types import Type
from graphc.ops.inner_product import InnerProduct
from graphc.ops.spec import F64, Ctx, Grad, Values


class Shared(InnerProduct):
    """An InnerProduct whose parts read the gradient of its sums, which one part makes."""

    samples = InnerProduct.samples[:1]

    @staticmethod
    def inner(a: Any, s: Sig) -> dict[str, Type]:
        return {"sums": s.outs["y"]}

    @classmethod
    def grads(cls, a: Any, s: Sig) -> tuple[Grad, ...]:  # type: ignore[override]
        renamed = {"dy": "dsums"}
        parts = (
            replace(g, reads=tuple(renamed.get(r, r) for r in g.reads))
            for g in InnerProduct.grads(a, s)
        )
        return (Grad("sums", ("dy",), over="dy"), *parts)

    @staticmethod
    def macs(a: Any, part: str, s: Sig) -> int:
        return 0 if part == "dsums" else InnerProduct.macs(a, part, s)

    @staticmethod
    def vjp(a: Any, part: str, v: Values, ctx: Ctx) -> F64:
        if part == "dsums":
            return v["dy"].copy()
        return InnerProduct.vjp(a, part, {**v, "dy": v["dsums"]}, ctx)


class TooLate(Shared):
    @classmethod
    def grads(cls, a: Any, s: Sig) -> tuple[Grad, ...]:  # type: ignore[override]
        sums, *readers = Shared.grads(a, s)
        return (*readers, sums)


class Twice(Shared):
    @classmethod
    def grads(cls, a: Any, s: Sig) -> tuple[Grad, ...]:  # type: ignore[override]
        sums, *readers = Shared.grads(a, s)
        return (sums, replace(sums, name="again"), *readers)


class Unread(Shared):
    @staticmethod
    def grads(a: Any, s: Sig) -> tuple[Grad, ...]:
        return (Grad("sums", ("dy",)), *InnerProduct.grads(a, s))


class WithoutPart(Shared):
    @staticmethod
    def grads(a: Any, s: Sig) -> tuple[Grad, ...]:
        return InnerProduct.grads(a, s)


class NamedAsATop(Shared):
    @staticmethod
    def inner(a: Any, s: Sig) -> dict[str, Type]:
        return {"sums": s.outs["y"], "y": s.outs["y"]}


class OtherShape(Shared):
    @staticmethod
    def inner(a: Any, s: Sig) -> dict[str, Type]:
        return {"sums": s.ins["x"]}


class ReadsTooMuch(Shared):
    @classmethod
    def grads(cls, a: Any, s: Sig) -> tuple[Grad, ...]:  # type: ignore[override]
        sums, *readers = Shared.grads(a, s)
        return (replace(sums, reads=("dy", "x")), *readers)


class WrongGradient(Shared):
    @staticmethod
    def vjp(a: Any, part: str, v: Values, ctx: Ctx) -> F64:
        return Shared.vjp(a, part, v, ctx) * (1.001 if part == "dsums" else 1)


class WrongCount(Shared):
    @staticmethod
    def macs(a: Any, part: str, s: Sig) -> int:
        return Shared.macs(a, part, s) + (part == "dsums")


def reads(case: Case) -> None:
    checks.reads([case])


MUTANTS: tuple[tuple[type[Shared], Callable[[Case], None]], ...] = (
    (TooLate, checks.names),
    (Twice, checks.names),
    (Unread, checks.names),
    (WithoutPart, checks.names),
    (NamedAsATop, checks.names),
    (OtherShape, checks.shapes),
    (OtherShape, checks.cost),
    (ReadsTooMuch, reads),
    (WrongGradient, checks.gradient),
    (WrongCount, checks.cost),
)
CHECKS = (
    *dict.fromkeys(check for _, check in MUTANTS),
    checks.purity,
    checks.hostile_numbers,
    checks.batch_separable,
)


@pytest.mark.parametrize("check", CHECKS)
def test_a_right_inner_role_passes(check: Callable[[Case], None]) -> None:
    check(Case(Shared, 0))


@pytest.mark.parametrize(
    ("op", "check"), MUTANTS, ids=[f"{op.__name__}-{check.__name__}" for op, check in MUTANTS]
)
def test_a_wrong_inner_role_is_refused(op: type[Shared], check: Callable[[Case], None]) -> None:
    with pytest.raises(AssertionError):
        check(Case(op, 0))
