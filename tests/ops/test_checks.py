"""The generated tests themselves: each check refuses a declaration with one thing wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphc.check import properties as checks
from graphc.check.case import Case, cases
from graphc.ir.op import Sig, Trait
from graphc.ir.types import Type
from graphc.ops.inner_product import InnerProduct
from graphc.ops.spec import F64, Ctx, Forward, Grad, Sample, Values, View
from graphc.ops.ties import Algebra, Tie


class Right(InnerProduct):
    """An InnerProduct under test; it has no `type` of its own, so it is not registered."""

    samples = InnerProduct.samples[:1]


class WrongGradient(Right):
    @staticmethod
    def vjp(a: Any, part: str, v: Values, ctx: Ctx) -> F64:
        return InnerProduct.vjp(a, part, v, ctx) * (1.001 if part == "dweight" else 1)


class WrongGradientShape(Right):
    @staticmethod
    def vjp(a: Any, part: str, v: Values, ctx: Ctx) -> F64:
        return InnerProduct.vjp(a, part, v, ctx).ravel()


class ReadsTooMuch(Right):
    @staticmethod
    def grads(a: Any, s: Sig) -> tuple[Grad, ...]:
        dx, *rest = InnerProduct.grads(a, s)
        return (Grad("x", (*dx.reads, "y")), *rest)


class ReadsTooLittle(Right):
    @staticmethod
    def grads(a: Any, s: Sig) -> tuple[Grad, ...]:
        return (Grad("x", ("dy",)), *InnerProduct.grads(a, s)[1:])


class ForgetsAGradient(Right):
    @staticmethod
    def grads(a: Any, s: Sig) -> tuple[Grad, ...]:
        return InnerProduct.grads(a, s)[:2]


class ReadsTheUnknown(Right):
    @staticmethod
    def grads(a: Any, s: Sig) -> tuple[Grad, ...]:
        return (Grad("x", ("dy", "weights")), *InnerProduct.grads(a, s)[1:])


class OverSomethingSmaller(Right):
    @staticmethod
    def grads(a: Any, s: Sig) -> tuple[Grad, ...]:
        dx, *rest = InnerProduct.grads(a, s)
        return (Grad("x", dx.reads, over="dy"), *rest)


class WritesAParameter(Right):
    @staticmethod
    def forwards(a: Any, s: Sig) -> tuple[Forward, ...]:
        return (Forward(writes=("y", "weight")),)


class ForwardReadsTooLittle(Right):
    @staticmethod
    def forwards(a: Any, s: Sig) -> tuple[Forward, ...]:
        return (Forward(reads=("x", "weight")),)


class IgnoresItsBias(Right):
    @staticmethod
    def reference(a: Any, v: Values, ctx: Ctx) -> dict[str, F64]:
        return InnerProduct.reference(a, {**v, "bias": v["bias"] * 0}, ctx)


class WrongShape(Right):
    @staticmethod
    def infer(a: Any, s: Sig) -> dict[str, Type]:
        return {"y": Type((s.ins["x"].shape[0], a.num_output, 1))}


class WrongCount(Right):
    @staticmethod
    def macs(a: Any, part: str, s: Sig) -> int:
        return InnerProduct.macs(a, part, s) + 1


class WritesIntoItsInput(Right):
    @staticmethod
    def reference(a: Any, v: Values, ctx: Ctx) -> dict[str, F64]:
        found = InnerProduct.reference(a, v, ctx)
        v["x"][...] = 0
        return found


class Remembers(Right):
    calls = 0

    @classmethod
    def reference(cls, a: Any, v: Values, ctx: Ctx) -> dict[str, F64]:  # type: ignore[override]
        cls.calls += 1
        return {"y": InnerProduct.reference(a, v, ctx)["y"] + cls.calls}


class DependsOnLayout(Right):
    @staticmethod
    def reference(a: Any, v: Values, ctx: Ctx) -> dict[str, F64]:
        return {"y": InnerProduct.reference(a, v, ctx)["y"] * (1 + v["x"].flags.c_contiguous)}


class Warns(Right):
    @staticmethod
    def reference(a: Any, v: Values, ctx: Ctx) -> dict[str, F64]:
        return {"y": np.exp(InnerProduct.reference(a, v, ctx)["y"])}


class RaisesForeign(Right):
    @staticmethod
    def reference(a: Any, v: Values, ctx: Ctx) -> dict[str, F64]:
        if np.isnan(v["x"]).any():
            raise ValueError("nan")
        return InnerProduct.reference(a, v, ctx)


class MixesTheBatch(Right):
    @staticmethod
    def reference(a: Any, v: Values, ctx: Ctx) -> dict[str, F64]:
        return {"y": InnerProduct.reference(a, v, ctx)["y"] + v["x"].mean()}


class Curved(Right):
    @staticmethod
    def reference(a: Any, v: Values, ctx: Ctx) -> dict[str, F64]:
        return {"y": InnerProduct.reference(a, v, ctx)["y"] ** 2}


class TiedWrongly(Right):
    @staticmethod
    def ties(a: Any, s: Sig) -> Algebra:
        return (Tie("y.1", "weight.0"),)  # the bias is forgotten


class TiedOutOfRange(Right):
    @staticmethod
    def ties(a: Any, s: Sig) -> Algebra:
        return (Tie("x.1", "weight.0"),)


class TiedAcross(Right):
    """Tied to its inputs, although every input reaches every output."""

    samples = (Sample(((2, 3),), InnerProduct.Attrs(num_output=3)),)

    @staticmethod
    def ties(a: Any, s: Sig) -> Algebra:
        return (Tie("x.1", "y.1"), Tie("y.1", "weight.0"), Tie("y.1", "bias.0"))


class NoView(Right):
    samples = (Sample(((2, 3),), InnerProduct.Attrs(num_output=3)),)

    @staticmethod
    def views(a: Any, s: Sig) -> dict[str, View]:
        return {"y": View("x")}


class RefusesBadly(Right):
    @staticmethod
    def infer(a: Any, s: Sig) -> dict[str, Type]:
        return {"y": Type((*s.ins["x"].shape[:1], s.ins["x"].shape[1] * a.num_output))}


def reads(case: Case) -> None:
    checks.reads([case])


def shape_fuzz(case: Case) -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        checks.shape_fuzz(case, rng)


MUTANTS: tuple[tuple[type[InnerProduct], Callable[[Case], None]], ...] = (
    (WrongGradient, checks.gradient),
    (ReadsTooLittle, checks.gradient),
    (WrongGradientShape, checks.shapes),
    (WrongShape, checks.shapes),
    (ReadsTooMuch, reads),
    (IgnoresItsBias, reads),
    (ForwardReadsTooLittle, checks.gradient),
    (ForgetsAGradient, checks.names),
    (ReadsTheUnknown, checks.names),
    (OverSomethingSmaller, checks.names),
    (WritesAParameter, checks.names),
    (WrongCount, checks.cost),
    (WritesIntoItsInput, checks.purity),
    (Remembers, checks.purity),
    (DependsOnLayout, checks.purity),
    (Warns, checks.hostile_numbers),
    (RaisesForeign, checks.hostile_numbers),
    (MixesTheBatch, checks.batch_separable),
    (Curved, checks.linear),
    (Right, checks.elementwise),
    (TiedWrongly, checks.ties),
    (TiedOutOfRange, checks.ties),
    (TiedAcross, checks.ties),
    (NoView, checks.views),
    (RefusesBadly, shape_fuzz),
)


@pytest.mark.parametrize(
    ("op", "check"), MUTANTS, ids=[f"{op.__name__}-{check.__name__}" for op, check in MUTANTS]
)
def test_a_wrong_declaration_is_refused(
    op: type[InnerProduct], check: Callable[[Case], None]
) -> None:
    with pytest.raises((AssertionError, KeyError, ValueError, IndexError, RuntimeWarning)):
        check(Case(op, 0))


@pytest.mark.parametrize("check", dict.fromkeys(check for _, check in MUTANTS))
def test_the_right_one_passes(check: Callable[[Case], None]) -> None:
    if check is not checks.elementwise:
        check(Case(Right, 0))


def test_every_trait_has_a_user() -> None:
    """A trait nobody has would leave its check untested."""
    found = set().union(*(c.op.traits_of(c.attrs, c.sig) for c in cases()))
    assert {Trait.LINEAR, Trait.ELEMENTWISE, Trait.BATCH_SEPARABLE} <= found
