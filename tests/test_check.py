"""`graphc.check`: right declarations pass, wrong ones are told what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from graphc.check import check
from graphc.ops.inner_product import InnerProduct
from graphc.ops.registry import all_ops, find
from graphc.ops.spec import F64, Ctx, OpSpec, Values


class WrongGradient(InnerProduct):
    type = ""

    @staticmethod
    def vjp(a: Any, part: str, v: Values, ctx: Ctx) -> F64:
        return InnerProduct.vjp(a, part, v, ctx) * (1.001 if part == "dweight" else 1)


class Crashing(InnerProduct):
    type = ""

    @staticmethod
    def reference(a: Any, v: Values, ctx: Ctx) -> dict[str, F64]:
        raise ZeroDivisionError("no")


@pytest.mark.parametrize("name", ["ReLU", "Pooling", "SPP", "LSTM", "SoftmaxWithLoss"])
def test_right_declarations_hold(name: str) -> None:
    report = check(find(name))
    assert report.ok, str(report)
    assert report.samples == len(find(name).samples)
    assert "all hold" in str(report)


@pytest.mark.parametrize(
    ("op", "words"), [(WrongGradient, "gradient of 'weight' is off"), (Crashing, "ZeroDivision")]
)
def test_wrong_declarations_are_told_apart(op: type[OpSpec], words: str) -> None:
    report = check(op)
    assert not report.ok
    assert words in str(report)


def test_nothing_to_check_is_not_ok() -> None:
    source = next(op for op in all_ops().values() if op.type == "MemoryData")
    assert not check(source).ok
